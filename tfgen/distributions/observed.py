"""Distributions of numbers of which some are known."""

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


class Observed(tfd.Distribution):
    r"""Independent numbers of which those that are known are certain.

    .. math:: p(y) = \prod_{i \, hidden} p_i(y_i) \prod_{i \, known} [y_i = v_i]

    Draws and the mean have the known values as they are. The log-probability is that of the hidden numbers; those given to
    it in the place of known ones are not looked at, so they, and what the distribution says there, have no gradient.

    Arguments:
        distribution: of all numbers, with scalar events; what surrounds it may be `tfd.Independent`.
        value: v, of a shape that can be broadcast to the distribution's batch shape; anything where it is hidden.
        known: bool, of a shape that can be broadcast to it too.
    """

    def __init__(self, distribution: tfd.Distribution, value, known, name: str = "Observed"):
        parameters = dict(locals())
        self.distribution = distribution
        self.value, self.known = tf.cast(value, distribution.dtype), tf.convert_to_tensor(known)
        super().__init__(
            dtype=distribution.dtype,
            reparameterization_type=distribution.reparameterization_type,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    def _batch_shape(self):
        return self.distribution.batch_shape

    def _batch_shape_tensor(self, **parameters):
        return self.distribution.batch_shape_tensor()

    def _event_shape(self):
        return tf.TensorShape([])

    def _event_shape_tensor(self):
        return tf.constant([], tf.int32)

    def _log_prob(self, value):
        log_prob = self.distribution.log_prob(value)
        return tf.where(self.known, tf.zeros_like(log_prob), log_prob)

    def _sample_n(self, n, seed=None):
        return tf.where(self.known, self.value, self.distribution.sample(n, seed=seed))

    def _mean(self):
        return tf.where(self.known, self.value, self.distribution.mean())

    def _default_event_space_bijector(self):
        return None
