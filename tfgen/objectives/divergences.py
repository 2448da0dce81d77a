"""The f-divergences of f-GAN, with their conjugates (Nowozin, Cseke & Tomioka 2016, tables 1, 2 and 6)."""

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.errors import InputError, unknown

Function = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Divergence:
    r"""An f-divergence, and what its variational bound is written with.

    .. math:: D_f(p \| q) = E_q[f(p/q)] \ge E_p[g(v)] - E_q[f^*(g(v))]

    for any function v of x, with equality at g(v) = f'(p/q).

    Arguments:
        f: convex, f(1) = 0 but for the divergence `gan`, where it is -2 log 2.
        slope: f', of numbers above 0.
        activation: g, which maps all numbers into the domain of the conjugate f*.
        conjugate: f*(g(v)) as a function of v, in a form that does not overflow where the result does not.
        threshold: f'(1), which g(v) exceeds where p > q.
    """

    f: Function
    slope: Function
    activation: Function
    conjugate: Function
    threshold: float

    def intercept(self, u) -> tf.Tensor:
        """Returns f(u) - u f'(u), where the tangent at u meets the axis; at u = p/q this is the slope of D_f along q."""
        return self.f(u) - u * self.slope(u)

    def centred(self, u) -> tf.Tensor:
        """Returns f(u) - f(1) - f'(1) (u - 1), which gives the same divergence and is least, 0, at u = 1."""
        return self.f(u) - self.f(tf.ones_like(u)) - self.threshold * (u - 1.0)


def _jeffreys_conjugate(v):
    w = tfp.math.lambertw(tf.exp(tf.clip_by_value(1.0 - v, -80.0, 80.0)))
    return w + 1.0 / w + v - 2.0


def _weighted_jensen_shannon(pi: float) -> Divergence:

    def conjugate(v):
        # pi e^(t / pi) is sigmoid(v)^(1 / pi); the bound keeps the logarithm finite where that rounds to 1.
        exponent = tf.maximum(tf.nn.softplus(-v) / pi, 1e-35)
        return (1.0 - pi) * (math.log(1.0 - pi) - tf.math.log(-tf.math.expm1(-exponent)))

    return Divergence(
        f=lambda u: pi * u * tf.math.log(u) - (1.0 - pi + pi * u) * tf.math.log(1.0 - pi + pi * u),
        slope=lambda u: pi * (tf.math.log(u) - tf.math.log(1.0 - pi + pi * u)),
        activation=lambda v: -pi * math.log(pi) - tf.nn.softplus(-v),
        conjugate=conjugate,
        threshold=0.0,
    )


def _alpha(alpha: float) -> Divergence:
    power = alpha / (alpha - 1.0)
    if alpha > 1.0:
        activation = tf.identity

        def base(v):
            return tf.nn.relu(1.0 + (alpha - 1.0) * v)
    else:

        def activation(v):
            return 1.0 / (1.0 - alpha) - tf.nn.softplus(-v)

        def base(v):
            return (1.0 - alpha) * tf.nn.softplus(-v)

    return Divergence(
        f=lambda u: (u**alpha - 1.0 - alpha * (u - 1.0)) / (alpha * (alpha - 1.0)),
        slope=lambda u: (u ** (alpha - 1.0) - 1.0) / (alpha - 1.0),
        activation=activation,
        conjugate=lambda v: (base(v) ** power - 1.0) / alpha,
        threshold=0.0,
    )


_PLAIN = {
    "total_variation": Divergence(
        f=lambda u: 0.5 * tf.abs(u - 1.0),
        slope=lambda u: 0.5 * tf.sign(u - 1.0),
        activation=lambda v: 0.5 * tf.tanh(v),
        conjugate=lambda v: 0.5 * tf.tanh(v),
        threshold=0.0,
    ),
    "kl": Divergence(
        f=lambda u: u * tf.math.log(u),
        slope=lambda u: tf.math.log(u) + 1.0,
        activation=tf.identity,
        conjugate=lambda v: tf.exp(v - 1.0),
        threshold=1.0,
    ),
    "reverse_kl": Divergence(
        f=lambda u: -tf.math.log(u),
        slope=lambda u: -1.0 / u,
        activation=lambda v: -tf.exp(-v),
        conjugate=lambda v: v - 1.0,
        threshold=-1.0,
    ),
    "pearson": Divergence(
        f=lambda u: (u - 1.0) ** 2,
        slope=lambda u: 2.0 * (u - 1.0),
        activation=tf.identity,
        conjugate=lambda v: 0.25 * v**2 + v,
        threshold=0.0,
    ),
    "neyman": Divergence(
        f=lambda u: (1.0 - u) ** 2 / u,
        slope=lambda u: 1.0 - u**-2,
        activation=lambda v: 1.0 - tf.exp(-v),
        conjugate=lambda v: 2.0 - 2.0 * tf.exp(-0.5 * v),
        threshold=0.0,
    ),
    "squared_hellinger": Divergence(
        f=lambda u: (tf.sqrt(u) - 1.0) ** 2,
        slope=lambda u: 1.0 - tf.math.rsqrt(u),
        activation=lambda v: 1.0 - tf.exp(-v),
        conjugate=lambda v: tf.exp(v) - 1.0,
        threshold=0.0,
    ),
    "jeffreys": Divergence(
        f=lambda u: (u - 1.0) * tf.math.log(u),
        slope=lambda u: tf.math.log(u) + 1.0 - 1.0 / u,
        activation=tf.identity,
        conjugate=_jeffreys_conjugate,
        threshold=0.0,
    ),
    # As its function f says, this is twice the usual Jensen-Shannon divergence.
    "jensen_shannon": Divergence(
        f=lambda u: u * tf.math.log(u) - (u + 1.0) * tf.math.log(0.5 * (u + 1.0)),
        slope=lambda u: tf.math.log(u) - tf.math.log(0.5 * (u + 1.0)),
        activation=lambda v: math.log(2.0) - tf.nn.softplus(-v),
        conjugate=lambda v: tf.nn.softplus(v) - math.log(2.0),
        threshold=0.0,
    ),
    "gan": Divergence(
        f=lambda u: u * tf.math.log(u) - (u + 1.0) * tf.math.log(u + 1.0),
        slope=lambda u: tf.math.log(u) - tf.math.log(u + 1.0),
        activation=lambda v: -tf.nn.softplus(-v),
        conjugate=tf.nn.softplus,
        threshold=-math.log(2.0),
    ),
}
_OF_A_NUMBER = {"weighted_jensen_shannon": _weighted_jensen_shannon, "alpha": _alpha}


def make_divergence(name: str, parameter: float | None = None) -> Divergence:
    """Returns a divergence by its name.

    Arguments:
        name: `total_variation`, `kl`, `reverse_kl`, `pearson`, `neyman`, `squared_hellinger`, `jeffreys`,
            `jensen_shannon`, `gan`, `weighted_jensen_shannon` or `alpha`.
        parameter: pi in (0, 1) of `weighted_jensen_shannon`; alpha, not 0 or 1, of `alpha`; None for the others.

    Raises:
        InputError: no such name, a parameter that is missing or out of range, or one too many.
    """
    if name in _PLAIN:
        if parameter is not None:
            raise InputError(f"divergence {name!r} has no parameter; leave out {parameter}")
        return _PLAIN[name]
    if name not in _OF_A_NUMBER:
        raise InputError(unknown("divergence", name, [*_PLAIN, *_OF_A_NUMBER]))
    if parameter is None:
        raise InputError(f"divergence {name!r} needs its parameter")
    fits = 0.0 < parameter < 1.0 if name == "weighted_jensen_shannon" else parameter not in (0.0, 1.0)
    if not fits:
        expected = "a number in (0, 1)" if name == "weighted_jensen_shannon" else "any number but 0 and 1"
        raise InputError(f"divergence {name!r}: parameter {parameter}, expected {expected}")
    return _OF_A_NUMBER[name](float(parameter))
