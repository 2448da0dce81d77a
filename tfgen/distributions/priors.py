"""Priors of latent codes."""

import abc
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions.posteriors import Posterior, require_density
from tfgen.errors import InputError
from tfgen.precision import full
from tfgen.specs import Images, Points

tfd = tfp.distributions


class Prior(keras.layers.Layer, abc.ABC):
    """p(z), a Keras layer so that what it learns is trained and saved with the model."""

    def check(self, posterior: Posterior) -> None:
        """Raises InputError if there is no bound on the divergence of such a posterior from it."""

    def build(self, latent_size: int, example: Images | Points) -> None:
        """Makes the weights, if it has any."""

    # In place of Keras' own way to call a layer, which passes nothing but tensors.
    @abc.abstractmethod
    def __call__(self, latent_size: int, encode: Callable) -> tfd.Distribution:
        """Returns p(z), batch shape `()` and event shape `(latent_size,)`.

        Arguments:
            latent_size: size of a code.
            encode: from what networks see of examples, `(count, ...)`, to q(z|x).
        """

    def get_config(self) -> dict:
        return {}

    @classmethod
    def from_config(cls, config: dict):
        return cls(**config)


@keras.saving.register_keras_serializable("tfgen")
class StandardNormal(Prior):
    """N(0, I)."""

    def __call__(self, latent_size, encode):
        return tfd.MultivariateNormalDiag(tf.zeros(latent_size), tf.ones(latent_size))


@keras.saving.register_keras_serializable("tfgen")
class VampPrior(Prior):
    r"""Variational mixture of posteriors (Tomczak & Welling 2018, eq. 9).

    .. math:: p(z) = \frac{1}{K} \sum_k q(z | u_k)

    of pseudo-examples u_k that are learned. Those of pictures lie in [0, 1] by a hard bound, as in the authors' code, and
    begin at 0.05; those of points begin as standard normal draws.

    Arguments:
        components: K.
        seed: of the first pseudo-examples.
    """

    def __init__(self, components: int = 500, seed: int = 0):
        super().__init__()
        if components < 1:
            raise InputError(f"VampPrior: {components} components, expected at least 1")
        self.components, self.seed = components, seed

    def check(self, posterior):
        require_density(posterior, "VampPrior")

    def build(self, latent_size, example):
        self.bounded = isinstance(example, Images)
        mean, deviation = (0.05, 0.01) if self.bounded else (0.0, 1.0)
        initializer = keras.initializers.RandomNormal(mean, deviation, seed=self.seed)
        shape: Sequence[int] = (self.components, *example.shape)
        self.inputs = self.add_weight(name="pseudo_inputs", shape=shape, initializer=initializer)

    def pseudo_inputs(self) -> tf.Tensor:
        """Returns the pseudo-examples as networks see examples, `(components, ...)`."""
        u = full(tf.convert_to_tensor(self.inputs))
        return 2.0 * tf.clip_by_value(u, 0.0, 1.0) - 1.0 if self.bounded else u

    def __call__(self, latent_size, encode):
        q = encode(self.pseudo_inputs())
        return tfd.MixtureSameFamily(tfd.Categorical(logits=tf.zeros(self.components)), q)

    def get_config(self):
        return {"components": self.components, "seed": self.seed}
