"""Artifacts of small models, written once for all tests of this folder."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.endpoints import Count, Example, Label, Seed, endpoint
from tfgen.models import GenerativeModel, Player
from tfgen.specs import Labels, Points

ARGUMENTS = {
    "vae": {"image_shape": (8, 8, 1), "levels": 17, "latent_size": 2, "hidden": (16,)},
    "pixel_cnn": {"image_shape": (4, 4, 1), "levels": 5, "width": 4, "blocks": 1, "head_width": 8},
    "dcgan": {"image_shape": (8, 8, 1), "latent_size": 4, "width": 4},
}


class Clusters(GenerativeModel):
    """A conditional model of points: a normal distribution around each class's center."""

    def __init__(self, **kwargs):
        super().__init__(example=Points(2), label=Labels(3), **kwargs)
        self.centers = keras.layers.Embedding(3, 2)
        self.centers.build((None,))
        self.idle = keras.layers.Dense(7)
        self.idle.build((None, 11))

    def players(self):
        return [Player("model", [self.centers], self.terms)]

    def terms(self, batch):
        return {"square": tf.reduce_mean(tf.square(batch["point"] - self.centers(batch["label"])))}

    def default_optimizers(self):
        return {"model": keras.optimizers.Adam(0.1)}

    @endpoint(returns="example", count=Count(), seed=Seed(), label=Label())
    def sample(self, count, seed=0, label=None):
        return self.centers(label) + tf.random.stateless_normal((count, 2), seed, alg="philox")

    @endpoint(x=Example(), label=Label())
    def locate(self, x, label=None):
        distances = tf.norm(x[:, None] - self.centers(tf.range(3)), axis=-1)
        return {"nearest": tf.argmin(distances, -1, tf.int32), "distance": tf.gather(distances, label, batch_dims=1)}


@pytest.fixture(scope="session")
def clusters():
    return Clusters(seed=3)


@pytest.fixture(scope="session")
def models():
    """Three models of the zoo, whose weights are random in every layer: zeros would hide what is lost."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    made = {id: tfgen.create(id, **arguments) for id, arguments in ARGUMENTS.items()}
    for model in made.values():
        for weight in model.trainable_weights:
            weight.assign(weight + 0.3 * rng.normal(size=weight.shape))
    return made


@pytest.fixture(scope="session")
def artifacts(models, tmp_path_factory):
    """Folder of each of `models` as a SavedModel."""
    root = tmp_path_factory.mktemp("artifacts")
    card = {"data": "digits", "metrics": {"nats": 1.5}}
    return {id: tfgen.export.saved_model(model, root / id, card=card) for id, model in models.items()}
