"""MADE: an autoencoder whose connections are cut so that its outputs are conditionals."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfgen.layers import MaskedDense
from tfgen.models.flat import FlatAutoregressiveModel, take
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images


@register(
    "made",
    title="MADE: Masked Autoencoder for Distribution Estimation",
    authors="M. Germain, K. Gregor, I. Murray, H. Larochelle",
    year=2015,
    url="https://arxiv.org/abs/1502.03509",
    recipes={
        "digits": {"batch_size": 32, "epochs": 60, "model": {"hidden": (256, 256)}},
        "mnist": {"batch_size": 100, "epochs": 50, "model": {"hidden": (512, 512)}},
    },
)
class MADE(FlatAutoregressiveModel):
    r"""Masked autoencoder for distribution estimation.

    Inputs and outputs have as degree m their place 1..D in the order, hidden units one of 1..D-1, and

    .. math:: h^l = g(b^l + (W^l \odot M^l) h^{l-1}), \quad p(x_d = 1 \mid x_{<d}) = \sigma(c_d + ((V \odot M) h^L)_d)

    where masks connect a hidden unit to units of no higher degree and an output to those of lower degree
    (eq. 12 and 13). Training goes through `masks` assignments of degrees in turn, one per step, which are an ensemble
    afterwards ("connectivity-agnostic", section 4.3); with `order_agnostic` each has an order of the pixels of its own
    (section 4.2). Such a model completes pictures from any known pixels, the better the more orders it was trained in.

    References:
        M. Germain, K. Gregor, I. Murray, H. Larochelle, "MADE: Masked Autoencoder for Distribution Estimation",
        ICML 2015, https://arxiv.org/abs/1502.03509

    Arguments:
        example: binary pictures (`levels=2`).
        hidden: units of each hidden layer (the paper's best: two of 8000).
        masks: number of assignments of degrees, M of the ensemble (the paper's best: 32).
        order: raster indices of the pixels in the order of the first mask; raster order unless given.
        order_agnostic: whether each of the other masks has a random order.
        direct: whether inputs are connected to outputs directly, too (section 4.1, eq. 15).
        sees_mask: whether units are told which connections are cut, by weights on a constant 1 (section 4.3).
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        *,
        example: Images = Images((28, 28, 1), 2),
        hidden: Sequence[int] = (512, 512),
        masks: int = 1,
        order: Sequence[int] | None = None,
        order_agnostic: bool = False,
        direct: bool = False,
        sees_mask: bool = False,
        **kwargs,
    ):
        super().__init__(example=example, order=order, members=masks, order_agnostic=order_agnostic, **kwargs)
        size = example.dimensions

        def dense(name, inputs, units, **options):
            layer = MaskedDense(units, sees_mask=sees_mask, name=name, dtype=self.dtype_policy, **options)
            layer.build((None, inputs))
            return layer

        inputs = (size, *hidden[:-1])
        self.hidden_layers = [
            dense(f"hidden_{at}", *sizes) for at, sizes in enumerate(zip(inputs, hidden, strict=True))
        ]
        self.output_layer = dense("output", hidden[-1], size, strict=True)
        self.direct_layer = dense("direct", size, size, strict=True, use_bias=False) if direct else None
        # Degrees of all masks, (masks, units) for each layer: places of the inputs, then those of hidden units.
        self._places = np.argsort(self._walks, 1).astype(np.int32) + 1
        self._degrees = [_spread_degrees(units, max(size - 1, 1), masks, at) for at, units in enumerate(hidden)]
        self._turns = [_units_by_degree(degrees, size) for degrees in self._degrees]

    def logits(self, x, member):
        places, *degrees = (tf.gather(table, member) for table in (self._places, *self._degrees))
        h, before = x, places
        for layer, own in zip(self.hidden_layers, degrees, strict=True):
            h, before = tf.nn.relu(layer(h, before, own)), own
        logits = self.output_layer(h, before, places)
        return logits if self.direct_layer is None else logits + self.direct_layer(x, places, places)

    def networks(self):
        return [*self.hidden_layers, self.output_layer, *([] if self.direct_layer is None else [self.direct_layer])]

    def terms(self, batch):
        if not self.in_training:
            return super().terms(batch)
        x = tf.cast(batch["image"], tf.int32)
        return {"nll": -tf.reduce_mean(self.distribution(x, member=self._steps.value % self.members).log_prob(x))}

    def default_optimizers(self):
        # The authors' code: Adagrad with rate 0.01 for 300 epochs.
        return {"model": Adam(1e-3)}

    # A hidden unit of degree m has all that it sees once m inputs are known: it is computed then, and pushed on.

    def step_weights(self):
        return {layer.name: layer.step_weights() for layer in self.networks()}

    def start(self, batch, weights):
        layers = [*self.hidden_layers, self.output_layer]
        return tuple(layer.start(batch, weights[layer.name]) for layer in layers)

    def logit(self, sums, index, weights):
        return take(sums[-1], index[:, None])

    def push(self, sums, x, position, index, member, weights):
        sums, values, inputs = list(sums), x, index[:, None]
        if self.direct_layer is not None:
            sums[-1] = self.direct_layer.push(sums[-1], values, inputs, weights[self.direct_layer.name])
        for at, layer in enumerate([*self.hidden_layers, self.output_layer]):
            sums[at] = layer.push(sums[at], values, inputs, weights[layer.name])
            if layer is not self.output_layer:
                inputs = tf.gather(tf.constant(self._turns[at])[position], member)
                values = tf.nn.relu(take(sums[at], tf.minimum(inputs, layer.units - 1)))
        return tuple(sums)


def _spread_degrees(units: int, highest: int, masks: int, layer: int) -> np.ndarray:
    """Returns degrees 1..highest, evenly spread over the units, int32 `(masks, units)`; all but the first shuffled.

    The paper draws them. Spread, no layer lacks a degree, and none has units that can see nothing.
    """
    degrees = np.round(np.linspace(1, highest, units)).astype(np.int32)
    # RandomState, because its numbers are frozen: a saved model finds its masks again.
    shuffled = [np.random.RandomState((layer + 1, mask)).permutation(degrees) for mask in range(1, masks)]
    return np.array([degrees, *shuffled], np.int32)


def _units_by_degree(degrees: np.ndarray, size: int) -> np.ndarray:
    """Returns which units have degree position + 1, int32 `(size, masks, most)`, filled up with the number of units."""
    masks, units = degrees.shape
    most = max(np.bincount(row).max() for row in degrees)
    turns = np.full((size, masks, most), units, np.int32)
    for mask, row in enumerate(degrees):
        for degree in range(1, row.max() + 1):
            found = np.flatnonzero(row == degree)
            turns[degree - 1, mask, : len(found)] = found
    return turns
