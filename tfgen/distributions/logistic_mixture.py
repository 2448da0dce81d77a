"""A mixture of logistics over all channels of a pixel, rounded to the levels of a picture."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions.discretized_logistic import discretized_logistic_log_prob

tfd = tfp.distributions

# Below it the scale is hardly wider than a point, and training would only sharpen it further (the authors' code).
_MIN_LOG_SCALE = -7.0


class DiscretizedLogisticMixture(tfd.Distribution):
    r"""Mixture over a pixel's levels 0..levels-1, whose channels lean on each other (Salimans et al. 2017, 2.2).

    .. math::
        P(x) = \sum_k \pi_k \prod_c P(x_c \mid \mu_{kc}, s_{kc}), \quad
        \mu_{kc} = m_{kc} + \sum_{j<c} a_{kcj} x_j

    with channels on [-1, 1] and each factor a logistic whose mass is gathered into bins around the levels. One
    component draws all channels; a later channel is drawn given the levels of the earlier ones. (The paper's printed
    mean of blue repeats a coefficient; this is what its code computes.)

    Batch shape as of the arguments, event shape `(channels,)`.

    Arguments:
        logits: of the components, floating point `(..., components)`.
        loc: m, on [-1, 1], `(..., components, channels)`.
        log_scale: natural logarithm of s, `(..., components, channels)`.
        coupling: a, row by row below the diagonal: green on red, blue on red, blue on green;
            `(..., components, channels * (channels - 1) // 2)`.
        levels: number of levels, at least 2.
    """

    def __init__(self, logits, loc, log_scale, coupling, levels: int, name: str = "DiscretizedLogisticMixture"):
        parameters = dict(locals())
        self.logits, self.loc = tf.convert_to_tensor(logits), tf.convert_to_tensor(loc)
        self.log_scale, self.coupling = tf.convert_to_tensor(log_scale), tf.convert_to_tensor(coupling)
        self.levels, self.channels = levels, self.loc.shape[-1]
        super().__init__(
            dtype=self.loc.dtype,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @staticmethod
    def parameters_per_component(channels: int) -> int:
        """Returns the numbers that make a component: 3 for grey pictures, 10 for colours."""
        return 1 + 2 * channels + channels * (channels - 1) // 2

    @classmethod
    def from_network(cls, parameters, channels: int, levels: int) -> "DiscretizedLogisticMixture":
        """Returns the mixture that a network describes, with log-scales of at least -7 and couplings in [-1, 1].

        Arguments:
            parameters: `(..., components * parameters_per_component)`: all logits, then all means, log-scales and
                couplings, each component by component.
            channels: of a pixel.
            levels: number of levels.
        """
        components = parameters.shape[-1] // cls.parameters_per_component(channels)
        couplings = channels * (channels - 1) // 2
        sizes = [components, components * channels, components * channels, components * couplings]
        logits, loc, log_scale, coupling = tf.split(parameters, sizes, -1)

        def by_component(numbers, each):
            return tf.reshape(numbers, tf.concat([tf.shape(numbers)[:-1], [components, each]], 0))

        return cls(
            logits,
            by_component(loc, channels),
            tf.maximum(by_component(log_scale, channels), _MIN_LOG_SCALE),
            tf.tanh(by_component(coupling, couplings)),
            levels,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        per_component = tfp.util.ParameterProperties(event_ndims=2)
        return {
            "logits": tfp.util.ParameterProperties(event_ndims=1),
            "loc": per_component,
            "log_scale": per_component,
            "coupling": per_component,
        }

    def _event_shape(self):
        return tf.TensorShape([self.channels])

    def _event_shape_tensor(self):
        return tf.constant([self.channels], tf.int32)

    def _to_unit(self, levels):
        return tf.cast(levels, self.dtype) * (2.0 / (self.levels - 1)) - 1.0

    def _mean_of(self, channel: int, loc, coupling, earlier):
        """Returns the logistic's mean of a channel, given the channels before it on [-1, 1]."""
        start = channel * (channel - 1) // 2
        return loc[channel] + sum(coupling[start + j] * earlier[j] for j in range(channel))

    def _log_prob(self, value):
        x = tf.unstack(self._to_unit(value)[..., None, :], self.channels, -1)
        # Not indexed, since the gradient of an index takes several times as long.
        loc, log_scale, coupling = (tf.unstack(n, axis=-1) for n in (self.loc, self.log_scale, self.coupling))
        log_prob = tf.math.log_softmax(self.logits)
        for c in range(self.channels):
            mean = self._mean_of(c, loc, coupling, x)
            log_prob += discretized_logistic_log_prob(x[c], mean, log_scale[c], self.levels)
        return tf.reduce_logsumexp(log_prob, -1)

    def _entropy(self):
        if self.channels != 1:
            raise NotImplementedError("the entropy of coupled channels has no closed form")
        shape = [self.levels, *[1] * self.batch_shape.rank, 1]
        log_prob = self.log_prob(tf.reshape(tf.range(self.levels, dtype=self.dtype), shape))
        return -tf.reduce_sum(tf.exp(log_prob) * log_prob, 0)

    def draw(self, component, uniforms) -> tf.Tensor:
        """Transforms uniforms into levels, channel by channel, by the logistic's inverse distribution function.

        Arguments:
            component: the one that draws, int32, of the batch shape or with samples before it.
            uniforms: in [0, 1), the shape of `component` and `(channels,)`.

        Returns:
            Levels of the shape of `uniforms` and the distribution's dtype.
        """
        chosen = tf.one_hot(component, self.logits.shape[-1], dtype=self.dtype)[..., None]
        loc, log_scale, coupling = (
            tf.unstack(tf.reduce_sum(chosen * n, -2), axis=-1) for n in (self.loc, self.log_scale, self.coupling)
        )
        uniforms = self._above_zero(uniforms)
        noise = tf.unstack(tf.math.log(uniforms) - tf.math.log1p(-uniforms), self.channels, -1)
        levels, x = [], []
        for c in range(self.channels):
            exact = self._mean_of(c, loc, coupling, x) + tf.exp(log_scale[c]) * noise[c]
            level = tf.clip_by_value(tf.round((exact + 1.0) * ((self.levels - 1) / 2.0)), 0.0, self.levels - 1.0)
            # Rounded first: a picture's later channels are conditional on levels.
            levels.append(level)
            x.append(self._to_unit(level))
        return tf.stack(levels, -1)

    def _above_zero(self, uniforms):
        # A zero stands for all that rounds to it; closer to zero would be farther out than any draw should come.
        return tf.maximum(tf.cast(uniforms, self.dtype), np.finfo(self.dtype.as_numpy_dtype).eps / 2)

    def _sample_n(self, n, seed=None):
        of_component, of_channels = tf.unstack(tf.random.split(tfp.random.sanitize_seed(seed), 2, alg="philox"))
        shape = tf.concat([[n], self.batch_shape_tensor()], 0)

        def uniforms(each, seed):
            return tf.random.stateless_uniform(tf.concat([shape, [each]], 0), seed, dtype=self.dtype, alg="philox")

        # Gumbel's trick: the largest of logits with such noise has the softmax's probabilities.
        noise = -tf.math.log(-tf.math.log(self._above_zero(uniforms(self.logits.shape[-1], of_component))))
        component = tf.argmax(self.logits + noise, -1, tf.int32)
        return self.draw(component, uniforms(self.channels, of_channels))

    def _default_event_space_bijector(self):
        return None
