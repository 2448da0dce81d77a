"""The logistic distribution rounded to the levels of a picture."""

import math

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


def discretized_logistic_log_prob(x, loc, log_scale, levels: int) -> tf.Tensor:
    r"""Returns log P(x) of a logistic whose mass is gathered into bins around the levels (Salimans et al. 2017, eq. 2).

    With levels placed evenly on [-1, 1], half a bin h = 1 / (levels - 1), a = (x + h - loc) / s and
    b = (x - h - loc) / s,

    .. math:: P(x) = \sigma(a) - \sigma(b) = \sigma(a) \, \sigma(-b) \, (1 - e^{-(a - b)})

    where the lowest level takes all of the lower tail and the highest all of the upper. The product has no
    cancellation, so unlike the paper's code it needs no approximation for improbable levels. Finite, as are its
    gradients, down to a log_scale of -80 and without an upper limit.

    Arguments:
        x: levels as numbers in [-1, 1].
        loc: in units of x.
        log_scale: natural logarithm of s.
        levels: number of levels.
    """
    half = 1.0 / (levels - 1)
    inverse_scale = tf.exp(-log_scale)
    a = (x + half - loc) * inverse_scale
    b = (x - half - loc) * inverse_scale
    below, above = tf.math.log_sigmoid(a), tf.math.log_sigmoid(-b)
    # a - b, whose exponential would round to 1 in a bin that is tiny beside the scale.
    width = 2.0 * half * inverse_scale
    small = math.log(2.0 * half) - log_scale - 0.5 * width
    inside = below + above + tf.where(width < 1e-4, small, tf.math.log(-tf.math.expm1(-tf.maximum(width, 1e-4))))
    # Half way between the last levels, so that rounding of x cannot matter.
    return tf.where(x < -1.0 + half, below, tf.where(x > 1.0 - half, above, inside))


class DiscretizedLogistic(tfd.Distribution):
    """Logistic distribution over the levels 0..levels-1.

    Arguments:
        loc, log_scale: of the logistic on [-1, 1], floating point, of equal or broadcastable shape.
        levels: number of levels, at least 2.
    """

    def __init__(self, loc, log_scale, levels: int, name: str = "DiscretizedLogistic"):
        parameters = dict(locals())
        self.loc, self.log_scale, self.levels = tf.convert_to_tensor(loc), tf.convert_to_tensor(log_scale), levels
        super().__init__(
            dtype=self.loc.dtype,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {"loc": tfp.util.ParameterProperties(), "log_scale": tfp.util.ParameterProperties()}

    def _event_shape(self):
        return tf.TensorShape([])

    def _event_shape_tensor(self):
        return tf.constant([], tf.int32)

    def _to_unit(self, levels):
        return tf.cast(levels, self.dtype) * (2.0 / (self.levels - 1)) - 1.0

    def _log_prob(self, value):
        return discretized_logistic_log_prob(self._to_unit(value), self.loc, self.log_scale, self.levels)

    def _sample_n(self, n, seed=None):
        shape = tf.concat([[n], self.batch_shape_tensor()], 0)
        # Away from 0 and 1, whose logits are infinite.
        uniform = tf.random.stateless_uniform(
            shape, tfp.random.sanitize_seed(seed), 1e-6, 1.0 - 1e-6, self.dtype, alg="philox"
        )
        x = self.loc + tf.exp(self.log_scale) * (tf.math.log(uniform) - tf.math.log1p(-uniform))
        level = tf.round((x + 1.0) * ((self.levels - 1) / 2.0))
        return tf.clip_by_value(level, 0.0, self.levels - 1.0)

    def _mean(self):
        # E[x] = sum over k >= 1 of P(x >= k), and every tail is one sigmoid. A loop, since all tails of a batch of
        # pictures at once would be levels times as large as it.
        inverse_scale = tf.exp(-self.log_scale)

        def add(level, mean):
            edge = self._to_unit(level) - 1.0 / (self.levels - 1)
            return level + 1, mean + tf.sigmoid((self.loc - edge) * inverse_scale)

        start = tf.zeros(self.batch_shape_tensor(), self.dtype)
        start = tf.ensure_shape(start, self.batch_shape)
        _, mean = tf.while_loop(
            lambda level, _: level < self.levels, add, (1, start), maximum_iterations=self.levels - 1
        )
        return mean

    def _default_event_space_bijector(self):
        return None
