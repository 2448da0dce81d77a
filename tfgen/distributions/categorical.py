"""Categorical variables: levels of pixels; codes of one-hot vectors side by side, and the relaxation of those."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions.posteriors import Posterior
from tfgen.distributions.priors import Prior
from tfgen.errors import InputError
from tfgen.precision import full

tfd, tfb = tfp.distributions, tfp.bijectors


class Levels(tfd.Categorical):
    """Categorical variables whose values come in the shape of the batch.

    tfp multiplies logits by ones in the shape of the values, and these by ones in the shape of the logits, wherever a size
    is free, as that of a batch of pictures. XLA takes such products out; TF-Lite computes them.
    """

    def _log_prob(self, value):
        logits, value = self.logits_parameter(), tf.cast(value, tf.int32)
        if value.shape.rank != logits.shape.rank - 1:
            return super()._log_prob(value)  # several values of each
        return -tf.nn.sparse_softmax_cross_entropy_with_logits(value, logits)


@keras.saving.register_keras_serializable("tfgen")
class OneHots(Posterior):
    """Independent categorical variables; the encoder gives the logits of all classes, variable by variable.

    A code is the variables' one-hot vectors one behind the other. The one that stands for an example is the most
    probable one.

    Arguments:
        classes: K, of each variable; a code of size N K has N of them.

    Raises:
        InputError: fewer than two classes, or a size of codes that is no multiple of them.
    """

    def __init__(self, classes: int):
        super().__init__()
        self.classes = _classes(self, classes)

    def build(self, latent_size):
        _check_size(self, latent_size)

    def parameters(self, latent_size):
        return latent_size

    def _logits(self, parameters, latent_size: int) -> tf.Tensor:
        return tf.reshape(full(parameters), (-1, latent_size // self.classes, self.classes))

    def __call__(self, parameters, latent_size):
        return _one_code(tfd.OneHotCategorical(self._logits(parameters, latent_size), dtype=tf.float32))

    def relaxed(self, parameters, latent_size: int, temperature) -> tfd.Distribution:
        r"""Returns the relaxation of q(z|x) as a density of log y, which y's own would lose to rounding.

        .. math:: y_k \propto \exp((\log \pi_k + g_k) / \tau), \qquad g_k = -\log(-\log u_k)

        for each variable (Jang et al. 2017, eq. 2; Maddison et al. 2017). Divergences of densities of log y
        are those of the densities of y.

        Arguments:
            parameters: `(batch, latent_size)`.
            latent_size: size of a code.
            temperature: tau, a positive scalar.
        """
        return _one_code(tfd.ExpRelaxedOneHotCategorical(temperature, self._logits(parameters, latent_size)))

    def nearest(self, y) -> tf.Tensor:
        """Returns the code whose classes are the largest of relaxed codes `(batch, latent_size)`."""
        y = tf.reshape(y, (-1, y.shape[-1] // self.classes, self.classes))
        return tf.reshape(tf.one_hot(tf.argmax(y, -1), self.classes), (-1, y.shape[-2] * self.classes))

    def centre(self, q):
        return q.mode()

    def scale(self, q):
        mean = q.mean()
        return tf.sqrt(mean * (1.0 - mean))

    def get_config(self):
        return {"classes": self.classes}


@keras.saving.register_keras_serializable("tfgen")
class UniformOneHots(Prior):
    """Categorical variables, all of whose classes are equally probable, as codes of `OneHots`.

    Arguments:
        classes: K, of each variable.

    Raises:
        InputError: the posterior is of other codes.
    """

    def __init__(self, classes: int):
        super().__init__()
        self.classes = _classes(self, classes)

    def check(self, posterior):
        if not isinstance(posterior, OneHots) or posterior.classes != self.classes:
            raise InputError(f"UniformOneHots: pass it with OneHots({self.classes}), the posterior of the same codes")

    def build(self, latent_size, example):
        _check_size(self, latent_size)

    def __call__(self, latent_size, encode):
        return _one_code(tfd.OneHotCategorical(self._logits(latent_size), dtype=tf.float32))

    def relaxed(self, latent_size: int, temperature) -> tfd.Distribution:
        """Returns the relaxation of p(z), a density of log y as of `OneHots.relaxed`."""
        return _one_code(tfd.ExpRelaxedOneHotCategorical(temperature, self._logits(latent_size)))

    def _logits(self, latent_size: int) -> tf.Tensor:
        return tf.zeros((latent_size // self.classes, self.classes))

    def get_config(self):
        return {"classes": self.classes}


def _one_code(vectors: tfd.Distribution) -> tfd.Distribution:
    """Returns vectors `(..., variables, classes)` of independent variables as codes `(..., variables * classes)`."""
    variables, classes = vectors.logits.shape[-2:]
    flat = tfb.Reshape(event_shape_in=(variables, classes), event_shape_out=(variables * classes,))
    return tfd.TransformedDistribution(tfd.Independent(vectors, 1), flat)


def _classes(layer: keras.layers.Layer, classes: int) -> int:
    if classes < 2:
        raise InputError(f"{type(layer).__name__}: {classes} classes, expected at least 2")
    return classes


def _check_size(layer: OneHots | UniformOneHots, latent_size: int) -> None:
    if latent_size % layer.classes:
        raise InputError(
            f"{type(layer).__name__}: codes of size {latent_size} are no one-hot vectors of {layer.classes} classes"
        )
