"""Several networks as one."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from scipy.special import ndtri


def copies(network: keras.Model, count: int) -> list[keras.Model]:
    """Returns a network and `count - 1` of the same architecture with fresh weights.

    Arguments:
        network: Sequential or functional.
        count: how many in all, at least 1.
    """

    def renamed(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        config.pop("name")
        return type(layer).from_config(config)

    return [network, *(keras.models.clone_model(network, clone_function=renamed) for _ in range(count - 1))]


@keras.saving.register_keras_serializable("tfgen")
class Mixture(keras.layers.Layer):
    """A mixture of generators: each example comes from one of them, and costs what that one costs.

    The last number of a code chooses: the Gaussian line is divided into intervals that have the components' shares.

    Arguments:
        components: networks of the same shapes.
        shares: of each, from 0, of sum 1; they can be changed by `set_shares` and are saved with the weights.
    """

    def __init__(self, components: Sequence[keras.Model], shares: Sequence[float], **kwargs):
        super().__init__(**kwargs)
        self.components = list(components)
        # The intervals' ends are kept too, since TF-Lite has no inverse of the normal distribution function.
        self._shares = self.add_weight(
            shape=(len(components),), dtype="float32", initializer="zeros", trainable=False, name="shares"
        )
        self._ends = self.add_weight(
            shape=(len(components) - 1,), dtype="float32", initializer="zeros", trainable=False, name="ends"
        )
        self.set_shares(shares)
        self.built = True

    @property
    def shares(self) -> np.ndarray:
        """The components' shares, float32 `(components,)`."""
        return self._shares.numpy()

    def set_shares(self, shares: Sequence[float]) -> None:
        """Gives each component a new share; they sum to 1."""
        self._shares.assign(np.asarray(shares, np.float32))
        below = np.cumsum(np.asarray(shares, np.float64))[:-1]
        self._ends.assign(np.clip(ndtri(np.clip(below, 0.0, 1.0)), -1e9, 1e9).astype(np.float32))

    def call(self, z):
        """Returns the examples of codes `(batch, latent_size + 1)`; networks are called in inference mode."""
        code, choice = z[:, :-1], z[:, -1:]
        chosen = tf.reduce_sum(tf.cast(choice >= self._ends.value, tf.int32), 1)
        parts, places = [], []
        for number, component in enumerate(self.components):
            place = tf.where(chosen == number)
            # In inference mode: several examples of one batch may come from a component, or none.
            parts.append(component(tf.gather(code, place[:, 0]), training=False))
            places.append(place)
        examples = tf.concat(parts, 0)
        shape = tf.concat([tf.shape(z, tf.int64)[:1], tf.shape(examples, tf.int64)[1:]], 0)
        return tf.ensure_shape(tf.scatter_nd(tf.concat(places, 0), examples, shape), (None, *examples.shape[1:]))

    def get_config(self):
        components = [keras.saving.serialize_keras_object(component) for component in self.components]
        return super().get_config() | {"components": components, "shares": self.shares.tolist()}

    @classmethod
    def from_config(cls, config):
        components = [keras.saving.deserialize_keras_object(component) for component in config.pop("components")]
        return cls(components, **config)
