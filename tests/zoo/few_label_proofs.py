"""What the proofs of models that learn from few labels share: digits of which three of each class have a label."""

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

import tfgen
from tfgen.data import keep_labels, mixed_batches
from tfgen.specs import Images, Labels

DIGITS = Images((8, 8, 1), 17)

#: Perceptrons in place of convolutions.
SMALL = {"latent_size": 32, "hidden": (256, 128)}


def digits(seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns 1297 digits to train on and 500 to test, in an order that the seed says."""
    image, label = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(label))
    both = {"image": image.reshape(-1, 8, 8, 1)[order].astype(np.uint8), "label": label[order].astype(np.int32)}
    return {key: array[:1297] for key, array in both.items()}, {key: array[1297:] for key, array in both.items()}


def with_few_labels(
    id: str, train, *, seed: int = 0, steps: int = 2500, rate: float = 1e-3, labelled: int = 16, **arguments
):
    """Returns a model that was trained on 64 digits a step beside labelled ones, three of each class in all."""
    keras.utils.set_random_seed(seed)
    few = train | {"label": keep_labels(train["label"], 3, seed=seed)}
    batches = mixed_batches(few, 64 + labelled, labelled, seed=seed, drop_remainder=True)
    model = tfgen.create(id, example=DIGITS, label=Labels(10, partial=True), seed=seed, **SMALL | arguments)
    model.compile(keras.optimizers.Adam(rate, beta_1=0.5), steps_per_execution=20)
    model.fit(batches.repeat().take(steps), epochs=1, verbose=0)
    return model


def accuracy(model, test) -> float:
    return float(np.mean(np.argmax(model.classify(test["image"]), -1) == test["label"]))


def supervised_accuracy(model, train, test, *, seed: int = 0, steps: int = 2500, rate: float = 1e-3) -> float:
    """Returns the accuracy of the model's discriminator, begun anew, with the same noise but the labelled digits alone."""
    keras.utils.set_random_seed(seed)
    network = keras.models.clone_model(model.discriminator)
    label = keep_labels(train["label"], 3, seed=seed)
    x = np.asarray(DIGITS.to_network(train["image"][label >= 0]))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(rate, beta_1=0.5), loss, steps_per_execution=20)
    batches = tf.data.Dataset.from_tensors((x, label[label >= 0])).repeat(steps)
    network.fit(batches, verbose=0)
    found = np.argmax(network.predict(np.asarray(DIGITS.to_network(test["image"])), batch_size=500, verbose=0), -1)
    return float(np.mean(found == test["label"]))


def identity(size: int) -> keras.Model:
    """Returns a network that gives back its input: a discriminator whose logits are the points themselves."""
    return keras.Sequential([keras.Input((size,)), keras.layers.Activation("linear")])


def always(logits, inputs: int) -> keras.Model:
    """Returns a generator that gives the same point for all of its inputs."""
    network = keras.Sequential([keras.Input((inputs,)), keras.layers.Dense(len(logits))])
    network.set_weights([np.zeros((inputs, len(logits))), np.array(logits)])
    return network


def terms_of(model, batch) -> dict[str, dict[str, float]]:
    """Returns what each player descends on a batch in a test step."""
    with model._step_of(1):
        found = {player.name: player.terms(model.unpack(batch)) for player in model.players()}
    return {name: {term: float(value) for term, value in terms.items()} for name, terms in found.items()}
