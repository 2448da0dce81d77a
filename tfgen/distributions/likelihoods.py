"""Likelihoods: what a decoder's numbers say about an example.

A likelihood says how many numbers it wants per channel, and makes of them a distribution over examples: a probability
of integer levels, or a density.
"""

import abc
import math

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions.discretized_logistic import DiscretizedLogistic
from tfgen.errors import InputError
from tfgen.precision import full
from tfgen.specs import Images, Points

tfd = tfp.distributions


class Likelihood(keras.layers.Layer, abc.ABC):
    """Maps a decoder's output to p(x|z).

    A Keras layer, so that what it learns besides the decoder is trained and saved with the model.
    """

    #: Numbers that the decoder gives per channel.
    parameters: int

    def check(self, example: Images | Points) -> None:
        """Raises InputError if such examples have no such likelihood."""

    def build(self, example: Images | Points) -> None:
        """Makes the weights, if it has any that depend on what an example is."""

    # In place of Keras' own way to call a layer, which passes nothing but tensors.
    @abc.abstractmethod
    def __call__(self, parameters, example: Images | Points) -> tfd.Distribution:
        """Returns p(x|z).

        Arguments:
            parameters: `(..., height, width, channels * parameters)`, or `(..., size * parameters)` for points.
            example: what an example is.

        Returns:
            Batch shape `(...)`; event shape that of an example, float levels 0..levels-1 or coordinates.
        """

    def event(self, x, example: Images | Points, seed) -> tf.Tensor:
        """Returns where p(x|z) is evaluated for examples `x`, float32.

        Arguments:
            x: uint8 levels, or float32 points.
            example: what an example is.
            seed: for a likelihood that takes random numbers, int32 `(2,)`.
        """
        return tf.cast(x, tf.float32)

    def average(self, x, example: Images | Points) -> tf.Tensor | None:
        """Returns the numbers for which p(x|z) has the mean of a batch, of the decoder's shape for one code.

        Arguments:
            x: uint8 levels `(batch, height, width, channels)`, or float32 points `(batch, size)`.
            example: what an example is.

        Returns:
            float32, or None where no numbers are known to do that.
        """
        return None

    def typical(self, p: tfd.Distribution) -> tf.Tensor:
        """Returns the examples that stand for p(x|z), of its batch and event shape: the means."""
        return p.mean()

    def get_config(self) -> dict:
        return {}

    @classmethod
    def from_config(cls, config: dict):
        return cls(**config)


class _Binary(tfd.Bernoulli):
    """Of events that are 0 or 1, never between: one softplus in place of two, a tenth of a training step of `vae`."""

    def _log_prob(self, event):
        return -tf.math.softplus((1.0 - 2.0 * event) * self.logits_parameter())


@keras.saving.register_keras_serializable("tfgen")
class BernoulliLikelihood(Likelihood):
    """Each pixel is 1 with the probability whose logit the decoder gives; for binary pictures."""

    parameters = 1

    def check(self, example):
        _require_pictures(example, "Bernoulli")
        if example.levels != 2:
            raise InputError(
                f"Bernoulli likelihood: the pictures have {example.levels} levels; load them with levels=2, "
                "or use the discretized logistic likelihood"
            )

    def average(self, x, example):
        # Half an example of each kind more: a pixel that is the same in the whole batch may differ in others.
        count = tf.cast(tf.shape(x)[0], tf.float32)
        ones = tf.reduce_sum(tf.cast(x, tf.float32), 0) + 0.5
        return tf.math.log(ones) - tf.math.log(count + 1.0 - ones)

    def __call__(self, parameters, example):
        return tfd.Independent(_Binary(logits=full(parameters), dtype=tf.float32), 3)


@keras.saving.register_keras_serializable("tfgen")
class DiscretizedLogisticLikelihood(Likelihood):
    """Each channel is a logistic rounded to the levels; the decoder gives mean and log-scale.

    Arguments:
        min_log_scale: lower bound of the log-scale (Salimans et al. 2017: -7).
    """

    parameters = 2

    def __init__(self, min_log_scale: float = -7.0):
        super().__init__()
        self.min_log_scale = min_log_scale

    def check(self, example):
        _require_pictures(example, "discretized logistic")

    def average(self, x, example):
        loc = tf.reduce_mean(example.to_network(x), 0)
        return tf.concat([loc, tf.zeros_like(loc)], -1)

    def __call__(self, parameters, example):
        loc, log_scale = tf.split(full(parameters), 2, -1)
        # Softly bounded: behind a hard bound the gradient would be zero.
        log_scale = self.min_log_scale + tf.nn.softplus(log_scale - self.min_log_scale)
        return tfd.Independent(DiscretizedLogistic(loc, log_scale, example.levels), 3)

    def get_config(self):
        return {"min_log_scale": self.min_log_scale}


@keras.saving.register_keras_serializable("tfgen")
class GaussianLikelihood(Likelihood):
    r"""Each number is Gaussian around the mean that the decoder gives, with one scale for all (Kingma & Welling 2014).

    .. math:: \log p(x|z) = -\frac{\|x - m(z)\|^2}{2 s^2} - \frac{D}{2} \log 2 \pi s^2

    A density. That of points is over their coordinates. That of pictures is over dequantised levels x + u, with u
    uniform in [-1/2, 1/2) and drawn anew each time, so that a level has width 1 and

    .. math:: E_u[\log p(x + u)] \le \log \int p(x + u) \, du = \log P(x)

    is still a bound on the probability of the picture: its nats and bits per dimension stand beside those of discrete
    likelihoods. A paper that scales levels to [0, 1] counts D log(levels) nats more.

    Arguments:
        scale: s, above 0, in the units of networks (pictures: of [-1, 1]); where training starts if it is learned.
        learned: whether s is trained with the networks.

    Raises:
        InputError: the scale is not a positive number.
    """

    parameters = 1

    def __init__(self, scale: float = 1.0, learned: bool = True):
        super().__init__()
        if not (scale > 0.0 and math.isfinite(scale)):
            raise InputError(f"Gaussian likelihood: scale {scale}, expected a positive number")
        self.scale, self.learned = scale, learned
        self.log_scale = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(math.log(scale)), trainable=learned, name="log_scale"
        )
        self.built = True

    def average(self, x, example):
        return tf.reduce_mean(example.to_network(x), 0)

    def __call__(self, parameters, example):
        loc, scale = full(parameters), tf.exp(full(tf.convert_to_tensor(self.log_scale)))
        if isinstance(example, Images):
            per_unit = (example.levels - 1) / 2.0
            loc, scale = (loc + 1.0) * per_unit, scale * per_unit
        return tfd.Independent(tfd.Normal(loc, scale), len(example.shape))

    def event(self, x, example, seed):
        x = tf.cast(x, tf.float32)
        if isinstance(example, Images):
            x += tf.random.stateless_uniform(tf.shape(x), seed, -0.5, 0.5, alg="philox")
        return x

    def get_config(self):
        return {"scale": self.scale, "learned": self.learned}


def default_likelihood(example: Images | Points) -> Likelihood:
    """Returns Bernoulli for binary pictures, the discretized logistic for others, and a learned Gaussian for points."""
    if isinstance(example, Points):
        return GaussianLikelihood()
    return BernoulliLikelihood() if example.levels == 2 else DiscretizedLogisticLikelihood()


def _require_pictures(example: Images | Points, name: str) -> None:
    if not isinstance(example, Images):
        raise InputError(f"{name} likelihood: it is for pictures; points have the Gaussian likelihood")
