"""Codes in layers that know all layers above, through features that a network carries down beside them."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import replicas

tfd = tfp.distributions


class AutoregressiveNormal:
    r"""Normal numbers behind one inverse autoregressive map (Kingma et al. 2016, eq. 10, and the code's form of it).

    .. math:: z = \frac{z_0 - m(z_0)}{\exp s(z_0)}, \quad \log q(z) = \log N(z_0; \mu, \sigma^2) + \sum_i s_i(z_0)

    It knows the density of its own draws only.

    Arguments:
        base: of z_0, batch shape `(batch, ...)`.
        network: z_0 to m and s, each of its shape; those of a number depend on the numbers before it in some order.
    """

    def __init__(self, base: tfd.Normal, network: Callable):
        self.base, self.network = base, network

    def bend(self, start) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns z of z_0, and s, whose sum is log |det dz_0 / dz|."""
        m, s = self.network(start)
        return (start - m) * tf.exp(-s), s

    def experimental_sample_and_log_prob(self, seed) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns z, and of each number its log density given those before it, which sum up to log q(z)."""
        start, log_q = self.base.experimental_sample_and_log_prob(seed=seed)
        z, s = self.bend(start)
        return z, log_q + s

    def log_prob(self, z) -> tf.Tensor:
        raise NotImplementedError("inverse autoregressive flow: it knows the density of its own draws only")

    def centre(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns z of the base's mean, and the deviation of each number given those before it there."""
        z, s = self.bend(self.base.mean())
        return z, self.base.stddev() * tf.exp(-s)


class Rung(NamedTuple):
    """What is known of one layer's code, given the layers above.

    Arguments:
        p: its prior, independent numbers of batch shape `(rows, ..., groups)`.
        q: its posterior of the same shape; None where the prior is what is drawn from.
        below: the code to the features that the next layer is given; the last layer's are of the whole code.
    """

    p: tfd.Normal
    q: tfd.Normal | AutoregressiveNormal | None
    below: Callable


class Descent(NamedTuple):
    """One pass from the top down.

    Arguments:
        z: the whole code, `(..., size)`.
        features: below the lowest layer, `(rows, ...)`, a row for each code.
        log_p: log density of each code under the prior, `(...)`.
        log_q: the same under the posterior; None where there is none.
        rates: of each layer and group, `(..., layers * groups)`, z_1's first: the divergence in closed form given the
            layers above where the posterior is normal, else log q - log p. None where there is no posterior.
    """

    z: tf.Tensor
    features: tf.Tensor
    log_p: tf.Tensor
    log_q: tf.Tensor | None
    rates: tf.Tensor | None


class Memory:
    """The latest descent in which codes were drawn: what is asked about those codes next takes no second one.

    Only while it is open, since weights may change, and gradients be asked for, between one use of a code and the next.
    """

    def __init__(self):
        self._open, self._descent = replicas.Kept(), replicas.Kept()

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Within it draws are remembered."""
        self._open.value = True
        try:
            yield
        finally:
            self._open.value = self._descent.value = None

    def keep(self, descent: Descent) -> None:
        if self._open.value:
            self._descent.value = descent

    def of(self, z) -> Descent | None:
        """Returns the descent in which exactly this tensor was drawn, if it is remembered."""
        descent = self._descent.value
        return descent if descent is not None and descent.z is z else None


class TopDown(tfd.Distribution):
    r"""Layers of codes, each given all those above, drawn in one pass.

    .. math:: p(z_1, ..., z_L) = \prod_n p(z_n | z_{n+1}, ..., z_L)

    Its event is the vector of all layers, z_1 first. A posterior follows the prior's network, so that a pass gives the
    densities under both.

    Arguments:
        start: a number of rows to the features above all layers, `(rows, ...)`.
        steps: for n = L, ..., 1 what gives the `Rung` of z_n for the features above it.
        shapes: of z_1, ..., z_L, each `(..., groups)`.
        batch: how many examples it is the posterior of, an int32 scalar; None for a prior. A step of a posterior sees
            `draws * batch` rows, all examples of a draw together.
        memory: shared by the prior and posteriors of a model.
    """

    def __init__(
        self,
        start: Callable,
        steps: Sequence[Callable],
        shapes: Sequence[Sequence[int]],
        *,
        batch=None,
        memory: Memory | None = None,
        dtype=tf.float32,
        name: str = "TopDown",
    ):
        parameters = dict(locals())
        super().__init__(
            dtype=dtype,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )
        self._start, self._steps, self._shapes = start, tuple(steps), tuple(map(tuple, shapes))
        self._sizes = [math.prod(shape) for shape in self._shapes]
        self._batch, self._memory = batch, memory or Memory()

    def along(self, z) -> Descent:
        """Returns the descent with given codes `(..., size)`, or, if it is remembered, that in which they were drawn.

        Raises:
            NotImplementedError: a posterior that knows the density of its own draws only, and not of these.
        """
        return self._memory.of(z) or self._along(z)

    def _along(self, z) -> Descent:
        parts = tf.split(tf.reshape(z, (-1, sum(self._sizes))), self._sizes, -1)[::-1]
        shapes = self._shapes[::-1]

        def choose(index: int, own):
            part = tf.reshape(parts[index], (-1, *shapes[index]))
            return part, own.log_prob(part)

        return self._descend(tf.shape(z)[:-1], choose)._replace(z=z)

    def drawn(self, sample_shape=(), seed=None) -> Descent:
        """Returns the descent of fresh draws, `(*sample_shape, *batch_shape, size)`."""
        seeds = tfp.random.split_seed(seed, len(self._sizes))
        outer = tf.concat([tf.reshape(tf.cast(sample_shape, tf.int32), (-1,)), self._batch_shape_tensor()], 0)
        descent = self._descend(outer, lambda index, own: own.experimental_sample_and_log_prob(seed=seeds[index]))
        self._memory.keep(descent)
        return descent

    def centre(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the codes in which each layer is at its centre given those above, and its numbers' deviations there.

        Both are `(*batch_shape, size)`. Behind an autoregressive map a number's deviation is that given those before it.
        """
        scales = []

        def choose(_, own):
            z, scale = (own.mean(), own.stddev()) if isinstance(own, tfd.Normal) else own.centre()
            scales.append(scale)
            return z, tf.zeros_like(z)

        z = self._descend(self._batch_shape_tensor(), choose).z
        return z, self._vectors(scales, self._batch_shape_tensor())

    def _descend(self, outer, choose: Callable) -> Descent:
        """Walks down the layers.

        Arguments:
            outer: shape of the codes but for their size.
            choose: the layer, 0 at the top, and its distribution to a code and its log densities.
        """
        rows = tf.reduce_prod(outer)
        h, codes, groups = self._start(rows), [], {"log_p": [], "log_q": [], "rates": []}
        for index, step in enumerate(self._steps):
            p, q, below = step(h)
            z, log_own = choose(index, p if q is None else q)
            log_p = log_own if q is None else p.log_prob(z)
            found = {"log_p": log_p}
            if q is not None:
                closed = isinstance(q, tfd.Normal)
                found |= {"log_q": log_own, "rates": tfd.kl_divergence(q, p) if closed else log_own - log_p}
            for what, values in found.items():
                groups[what].append(tf.reduce_sum(values, range(1, len(values.shape) - 1)))
            codes.append(z)
            h = below(z)
        rates = {what: self._vectors(values, outer) for what, values in groups.items() if values}
        log_p, log_q = (tf.reduce_sum(rates[what], -1) if what in rates else None for what in ("log_p", "log_q"))
        return Descent(self._vectors(codes, outer), h, log_p, log_q, rates.get("rates"))

    def _vectors(self, parts: Sequence[tf.Tensor], outer) -> tf.Tensor:
        """Returns what the layers have, the top's first, as vectors `(*outer, size)` with z_1's first."""
        flat = tf.concat([tf.reshape(part, (-1, math.prod(part.shape[1:]))) for part in parts[::-1]], -1)
        return tf.reshape(flat, tf.concat([outer, flat.shape[-1:]], 0))

    def _sample_and_log_prob(self, sample_shape, seed):
        descent = self.drawn(sample_shape, seed)
        return descent.z, descent.log_p if descent.log_q is None else descent.log_q

    def _call_sample_n(self, sample_shape, seed, **kwargs):
        # As it is: tfp would reshape it to what it is already, and it would not be recognised.
        return self.drawn(sample_shape, seed).z

    def _log_prob(self, z):
        descent = self.along(z)
        return descent.log_p if self._batch is None else descent.log_q

    def _batch_shape(self):
        return tf.TensorShape([] if self._batch is None else [tf.get_static_value(self._batch)])

    def _batch_shape_tensor(self, **parameters):
        return tf.zeros(0, tf.int32) if self._batch is None else tf.reshape(self._batch, (1,))

    def _event_shape(self):
        return tf.TensorShape([sum(self._sizes)])

    def _event_shape_tensor(self, **parameters):
        return tf.constant([sum(self._sizes)])

    def _default_event_space_bijector(self):
        return tfp.bijectors.Identity(validate_args=self.validate_args)
