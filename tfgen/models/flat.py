"""Autoregressive models of binary pictures as vectors, in any order of the pixels."""

import abc
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.errors import InputError
from tfgen.models.autoregressive import AutoregressiveModel, Nest
from tfgen.precision import full
from tfgen.specs import Images

tfd = tfp.distributions


class FlatAutoregressiveModel(AutoregressiveModel):
    r"""A Bernoulli distribution for each of the D pixels of a picture, given those that come before it in an order.

    .. math:: p(x) = \frac{1}{M} \sum_{m=1}^{M} \prod_{t=1}^{D} p_m(x_{o_m(t)} \mid x_{o_m(<t)})

    Of the M *members* of an ensemble each has an order of the pixels, and what else the model gives it; the channels
    of a pixel stay together. Probabilities are averaged, not their logarithms. `sample` draws a member for each
    picture and walks its order. So does `complete`, but an order-agnostic model walks the known pixels first, whichever
    they are, and the others in the member's order: it answers to all known pixels, those below included.

    While walking, a model keeps *sums*, to which every pixel adds its share once it is drawn: `start`, `logit`, `push`.

    Arguments:
        example: binary pictures.
        order: raster indices of the pixels in the order of the first member; raster order unless given.
        members: M.
        order_agnostic: whether the network can answer in any order; the other members then have random ones.

    Raises:
        InputError: the pictures are not binary, or the order is not one of the pixels.
    """

    def __init__(
        self,
        *,
        example: Images,
        order: Sequence[int] | None = None,
        members: int = 1,
        order_agnostic: bool = False,
        **kwargs,
    ):
        super().__init__(example=example, **kwargs)
        height, width, channels = example.shape
        pixels = height * width
        if example.levels != 2:
            raise InputError(f"{self.name}: the pictures have {example.levels} levels; load them with levels=2")
        if order is not None and sorted(order) != list(range(pixels)):
            raise InputError(f"{self.name}: order is not a permutation of the {pixels} pixels 0..{pixels - 1}")
        if members < 1:
            raise InputError(f"{self.name}: an average over {members} orders or masks; it takes at least 1")
        self.members, self.order_agnostic = members, order_agnostic
        first = np.arange(pixels) if order is None else np.asarray(order)
        # RandomState, because its numbers are frozen: a saved model finds its orders again.
        orders = [
            np.random.RandomState(member).permutation(pixels) if member and order_agnostic else first
            for member in range(members)
        ]
        self._in_raster_order = order is None and not order_agnostic
        self._orders = np.array(orders, np.int32)
        # The same for the D scalars of a picture.
        self._walks = (self._orders[:, :, None] * channels + np.arange(channels, dtype=np.int32)).reshape(members, -1)

    @abc.abstractmethod
    def logits(self, x, member) -> tf.Tensor:
        """Returns the logit of each pixel given those before it, each at its own place, `(batch, D)`.

        Arguments:
            x: zeros and ones `(batch, D)`.
            member: of the ensemble, int32 `()`.
        """

    @abc.abstractmethod
    def step_weights(self) -> Nest:
        """Returns the weights, laid out for steps."""

    @abc.abstractmethod
    def start(self, batch, weights: Nest) -> Nest:
        """Returns the sums before the first step, for `batch` pictures."""

    @abc.abstractmethod
    def logit(self, sums: Nest, index, weights: Nest) -> tf.Tensor:
        """Returns the logits `(batch, 1)` of the scalars `index`, `(batch,)` or `(1,)` where all walk one order."""

    @abc.abstractmethod
    def push(self, sums: Nest, x, position, index, member, weights: Nest) -> Nest:
        """Returns the sums with what the scalars `index` add to them.

        Arguments:
            sums: before.
            x: their values, zeros and ones `(batch, 1)`.
            position: of the step in the walk, 0..D-1.
            index: `(batch,)`, or `(1,)` where all walk one order.
            member: likewise.
            weights: from `step_weights`.
        """

    def conditionals(self, x, member=0):
        """Returns the logits of one member, `(batch, height, width, channels, 1)`."""
        x = full(tf.cast(tf.reshape(x, (-1, self.example.dimensions)), self.compute_dtype))
        return tf.reshape(full(self.logits(x, member)), (-1, *self.example.shape, 1))

    def head(self, parameters):
        return tfd.Independent(tfd.Bernoulli(logits=parameters[..., 0]), 1)

    def draw(self, parameters, noise):
        return tf.cast(tf.cast(noise, parameters.dtype) < tf.sigmoid(parameters), tf.int32)

    def log_prob(self, x, label=None, map=None):
        if self.members == 1:
            return super().log_prob(x)
        dtype = tf.float64 if self.compute_dtype == "float64" else tf.float32
        log_probs = tf.map_fn(
            lambda member: self.distribution(x, member=member).log_prob(tf.cast(x, tf.int32)),
            tf.range(self.members),
            fn_output_signature=tf.TensorSpec((None,), dtype),
        )
        return tf.reduce_logsumexp(log_probs, 0) - math.log(self.members)

    # The walk. A single order serves the whole batch, and stands as a batch of 1.

    def _fill(self, noise, known=None, mask=None):
        if self.members == 1 and self._in_raster_order:
            return super()._fill(noise, known, mask)
        noise, member = self._choose_member(noise)
        order = tf.gather(self._orders, member)
        if known is not None:
            if self.order_agnostic:
                unknown = tf.cast(~take(_flat(mask), order), tf.int32)
                order = take(tf.broadcast_to(order, tf.shape(unknown)), tf.argsort(unknown, stable=True))
            known, mask = (tf.reshape(take(_flat(part), order), (-1, *part.shape[1:])) for part in (known, mask))
        noise = tf.reshape(take(_flat(noise), order), (-1, *self.noise_shape))
        image = super()._fill(noise, known, mask, order=order, member=member)
        return tf.reshape(take(_flat(image), tf.argsort(order)), (-1, *self.example.shape))

    def _choose_member(self, noise):
        """Returns uniforms, and the member that they choose for each picture."""
        if self.members == 1:
            return noise, tf.zeros(1, tf.int32)
        # Scaled to 0..M the whole part of a uniform is a member, and the rest is uniform again.
        flat = tf.reshape(noise, (-1, math.prod(self.noise_shape)))
        scaled = flat[:, 0] * self.members
        member = tf.minimum(tf.cast(scaled, tf.int32), self.members - 1)
        rest = scaled - tf.cast(member, scaled.dtype)
        return tf.reshape(tf.concat([rest[:, None], flat[:, 1:]], 1), tf.shape(noise)), member

    def init_cache(self, batch, order=None, member=None):
        height, width, _ = self.example.shape
        weights = self.step_weights()
        return {
            "weights": weights,
            "sums": self.start(batch, weights),
            # Steps first: (height * width, batch or 1).
            "order": tf.range(height * width)[:, None] if order is None else tf.transpose(order),
            "member": tf.zeros(1, tf.int32) if member is None else member,
        }

    def begin_row(self, y, cache):
        return {**cache, "first": y * self.example.shape[1]}, cache["sums"]

    def begin_pixel(self, x, row, carry):
        return row["first"] + x, row, carry

    def step(self, draw, previous, state):
        place, row, sums = state
        if previous is not None:
            sums = self._push_channel(draw - 1, previous, state)
        logit = self.logit(sums, row["order"][place] * self.draws + draw, row["weights"])
        return logit, (place, row, sums)

    def end_pixel(self, pixel, state):
        return self._push_channel(self.draws - 1, pixel[:, -1:], state), []

    def _push_channel(self, channel: int, value, state):
        place, row, sums = state
        x = full(tf.cast(value, self.compute_dtype))
        position, index = (at * self.draws + channel for at in (place, row["order"][place]))
        return self.push(sums, x, position, index, row["member"], row["weights"])

    @property
    def emits(self):
        return []

    def end_row(self, y, carry, emitted, cache):
        return {**cache, "sums": carry}


def _flat(tensor) -> tf.Tensor:
    """Returns `(batch, height, width, ...)` as `(batch, height * width, ...)`."""
    shape = tf.shape(tensor)
    size = tensor.shape[1] * tensor.shape[2]
    flat = tf.reshape(tensor, tf.concat([shape[:1], [size], shape[3:]], 0))
    return tf.ensure_shape(flat, (None, size, *tensor.shape[3:]))


def take(tensor, index) -> tf.Tensor:
    """Returns what lies at `index` of the second axis.

    Arguments:
        tensor: `(batch, size, ...)`.
        index: int32 `(batch, count)`, or `(1, count)` where it is the same for all examples.

    Returns:
        `(batch, count, ...)`.
    """
    return tf.gather(tensor, index[0], axis=1) if index.shape[0] == 1 else tf.gather(tensor, index, batch_dims=1)
