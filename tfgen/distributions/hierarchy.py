"""Codes in several layers, each given the one above it."""

from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.precision import steady_sum

tfd = tfp.distributions


class Hierarchy(tfd.Distribution):
    r"""A chain of diagonal Gaussians, drawn from the top down.

    .. math:: p(z_1, ..., z_L) = p(z_L) \prod_{n<L} p(z_n | z_{n+1})

    Its event is the vector of all layers, z_1 first.

    Arguments:
        top: p(z_L).
        below: for n = L - 1, ..., 1 what gives p(z_n | z_{n+1}) for z_{n+1}, `(..., size)`.
        sizes: of z_1, ..., z_L.
    """

    def __init__(self, top: tfd.Distribution, below: Sequence[Callable], sizes: Sequence[int], name: str = "Hierarchy"):
        parameters = dict(locals())
        super().__init__(
            dtype=top.dtype,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )
        self._top, self._below, self._sizes = top, tuple(below), tuple(sizes)

    def given(self, z) -> list[tfd.Distribution]:
        """Returns p(z_n | z_{n+1}) of each layer, z_1's first, where a code `(..., sum of sizes)` has z_{n+1}."""
        parts = tf.split(z, self._sizes, -1)
        return [*(of(above) for of, above in zip(self._below[::-1], parts[1:], strict=True)), self._top]

    def centre(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns each layer's mean and standard deviation given the mean above it, `(batch, sum of sizes)` both."""
        layers = [self._top]
        for of in self._below:
            layers.append(of(layers[-1].loc))
        numbers = zip(*map(_numbers, layers[::-1]), strict=True)
        return tuple(tf.concat(one, -1) for one in numbers)

    def _sample_n(self, n, seed=None):
        seeds = tfp.random.split_seed(seed, len(self._sizes))
        parts = [self._top.sample(n, seed=seeds[0])]
        for of, own in zip(self._below, seeds[1:], strict=True):
            parts.append(of(parts[-1]).sample(seed=own))
        return tf.concat(parts[::-1], -1)

    def _log_prob(self, z):
        parts = tf.split(z, self._sizes, -1)
        return steady_sum(one.log_prob(part) for one, part in zip(self.given(z), parts, strict=True))

    def _batch_shape(self):
        return self._top.batch_shape

    def _batch_shape_tensor(self, **parameters):
        return self._top.batch_shape_tensor()

    def _event_shape(self):
        return tf.TensorShape([sum(self._sizes)])

    def _event_shape_tensor(self, **parameters):
        return tf.constant([sum(self._sizes)])

    def _default_event_space_bijector(self):
        return tfp.bijectors.Identity(validate_args=self.validate_args)


def merge(one: tfd.MultivariateNormalDiag, other: tfd.MultivariateNormalDiag) -> tfd.MultivariateNormalDiag:
    r"""Returns the normalised product of two diagonal Gaussians (Sønderby et al. 2016, eq. 18 and 19).

    .. math:: \sigma^2 = \frac{1}{\sigma_1^{-2} + \sigma_2^{-2}}, \quad
        \mu = \sigma^2 (\mu_1 \sigma_1^{-2} + \mu_2 \sigma_2^{-2})
    """
    means, deviations = zip(_numbers(one), _numbers(other), strict=True)
    precisions = [tf.math.reciprocal(tf.square(deviation)) for deviation in deviations]
    variance = 1.0 / (precisions[0] + precisions[1])
    mean = variance * (means[0] * precisions[0] + means[1] * precisions[1])
    return tfd.MultivariateNormalDiag(mean, tf.sqrt(variance))


def _numbers(one: tfd.MultivariateNormalDiag) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns mean and standard deviation as they were given, without the broadcasts of tfp's methods."""
    return one.loc, one.scale.diag_part()
