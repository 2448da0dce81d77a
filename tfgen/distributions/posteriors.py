"""Posterior families: what an encoder's numbers say about the code of an example."""

import abc

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.errors import InputError
from tfgen.precision import full

tfd = tfp.distributions


class Posterior(keras.layers.Layer, abc.ABC):
    """Maps an encoder's output to q(z|x).

    A Keras layer, so that what it learns besides the encoder is trained and saved with the model.
    """

    #: Whether q knows the density of any code, and not only of those drawn from it.
    has_density = True

    def build(self, latent_size: int) -> None:
        """Makes the weights, if it has any."""

    @abc.abstractmethod
    def parameters(self, latent_size: int) -> int:
        """Returns how many numbers the encoder gives."""

    # In place of Keras' own way to call a layer, which passes nothing but tensors.
    @abc.abstractmethod
    def __call__(self, parameters, latent_size: int) -> tfd.Distribution:
        """Returns q(z|x).

        Arguments:
            parameters: `(batch, parameters(latent_size))`.
            latent_size: size of a code.

        Returns:
            Batch shape `(batch,)`; event shape `(latent_size,)`.
        """

    def centre(self, q: tfd.Distribution) -> tf.Tensor:
        """Returns the code that stands for an example, `(batch, latent_size)`: the mean of q."""
        return q.mean()

    def scale(self, q: tfd.Distribution) -> tf.Tensor:
        """Returns the standard deviations of the latents, `(batch, latent_size)`."""
        return q.stddev()

    def get_config(self) -> dict:
        return {}

    @classmethod
    def from_config(cls, config: dict):
        return cls(**config)


@keras.saving.register_keras_serializable("tfgen")
class DiagonalGaussian(Posterior):
    """N(mu, diag sigma^2); the encoder gives mu and log sigma (Kingma & Welling 2014, eq. 9)."""

    def parameters(self, latent_size):
        return 2 * latent_size

    def __call__(self, parameters, latent_size):
        mean, log_scale = tf.split(full(parameters), 2, -1)
        return tfd.MultivariateNormalDiag(mean, tf.exp(log_scale))

    # As given: tfp broadcasts both to shapes that they have, which is a dozen operations of an exported encoder.

    def centre(self, q):
        return q.loc

    def scale(self, q):
        return q.scale.diag


@keras.saving.register_keras_serializable("tfgen")
class FullCovarianceGaussian(Posterior):
    r"""N(mu, L L^T) with a triangular L (Kingma & Welling 2014, appendix F; Kingma et al. 2016, section 3).

    The encoder gives mu, the logarithms of L's diagonal, and what lies below it, row by row.
    """

    def parameters(self, latent_size):
        return latent_size * (latent_size + 3) // 2

    def __call__(self, parameters, latent_size):
        below = latent_size * (latent_size - 1) // 2
        mean, log_diagonal, rows = tf.split(full(parameters), [latent_size, latent_size, below], -1)
        # Each place of the matrix takes one of the numbers, or the zero behind them.
        place = [[row * (row - 1) // 2 + column if column < row else below for column in range(latent_size)]
                 for row in range(latent_size)]  # fmt: skip
        lower = tf.gather(tf.pad(rows, [[0, 0], [0, 1]]), tf.constant(place), axis=-1)
        return tfd.MultivariateNormalTriL(mean, tf.linalg.set_diag(lower, tf.exp(log_diagonal)))


def require_density(posterior: Posterior, why: str) -> None:
    """Raises InputError if the family does not know the density of any code."""
    if not posterior.has_density:
        raise InputError(
            f"{type(posterior).__name__}: it knows the density of its own draws only; {why} needs it at any code"
        )
