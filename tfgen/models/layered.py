"""Autoregressive models that are a network of causal layers."""

import abc
from collections.abc import Callable
from typing import Any, Protocol

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions import Levels
from tfgen.models.autoregressive import AutoregressiveModel, Nest, inverse_cdf
from tfgen.precision import full

tfd = tfp.distributions


class CausalLayer(Protocol):
    """A layer that computes a whole picture, or the same cell by cell, with the same weights.

    The second call is a scan along each row (see `AutoregressiveModel`). `step` takes the inputs of one draw and gives
    its outputs, both `(batch, features // draws)`. The first layer of a network gets what was drawn just before, and
    in `end_pixel` the pixel's last channel as `last`, which is None for all others.
    """

    name: str
    #: Features of each tensor that `end_pixel` emits.
    emits: list[int]

    def __call__(self, x) -> tf.Tensor: ...

    def init_cache(self, batch, width: int) -> Nest: ...

    def begin_row(self, cache: Nest) -> tuple[Nest, Nest]: ...

    def begin_pixel(self, x, row: Nest, carry: Nest) -> Any: ...

    def step(self, draw: int, inputs, state) -> tuple[tf.Tensor, Any]: ...

    def end_pixel(self, last, state) -> tuple[Nest, list[tf.Tensor]]: ...

    def end_row(self, carry: Nest, emitted: list[tf.Tensor], cache: Nest) -> Nest: ...


class LayeredAutoregressiveModel(AutoregressiveModel):
    """A softmax over the levels of each channel, computed by a network of causal layers.

    The network is written once, as a function of how a layer is applied, so that the forward pass and the sampler
    cannot drift apart.
    """

    @abc.abstractmethod
    def causal_layers(self) -> list[CausalLayer]:
        """Returns all layers, the one that sees the picture first."""

    @abc.abstractmethod
    def network(self, x, apply: Callable[[CausalLayer, tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """Returns logits, channel by channel, `(..., channels * levels)`.

        Arguments:
            x: the picture as networks see it; at a step what was drawn just before, None at the first draw.
            apply: applies a layer to a whole picture, or to one step.
        """

    def networks(self):
        return self.causal_layers()

    def conditionals(self, x):
        logits = full(self.network(self.example.to_network(x), lambda layer, inputs: layer(inputs)))
        return tf.reshape(logits, (-1, *self.example.shape, self.example.levels))

    def head(self, parameters):
        return tfd.Independent(Levels(logits=parameters), 1)

    def draw(self, parameters, noise):
        return inverse_cdf(parameters, noise[:, 0])[:, None]

    def init_cache(self, batch):
        return {layer.name: layer.init_cache(batch, self.example.shape[1]) for layer in self.causal_layers()}

    def begin_row(self, y, cache):
        begun = {layer.name: layer.begin_row(cache[layer.name]) for layer in self.causal_layers()}
        return {name: row for name, (row, _) in begun.items()}, {name: carry for name, (_, carry) in begun.items()}

    def begin_pixel(self, x, row, carry):
        return {layer.name: layer.begin_pixel(x, row[layer.name], carry[layer.name]) for layer in self.causal_layers()}

    def step(self, draw, previous, state):
        state = dict(state)

        def apply(layer, inputs):
            outputs, state[layer.name] = layer.step(draw, inputs, state[layer.name])
            return outputs

        inputs = None if previous is None else self.example.to_network(previous)
        return full(self.network(inputs, apply)), state

    def end_pixel(self, pixel, state):
        first, *others = self.causal_layers()
        ended = {first.name: first.end_pixel(self.example.to_network(pixel[:, -1:]), state[first.name])}
        ended |= {layer.name: layer.end_pixel(None, state[layer.name]) for layer in others}
        return {name: carry for name, (carry, _) in ended.items()}, [
            e for _, emitted in ended.values() for e in emitted
        ]

    @property
    def emits(self):
        return [size for layer in self.causal_layers() for size in layer.emits]

    def end_row(self, y, carry, emitted, cache):
        emitted = iter(emitted)
        return {
            layer.name: layer.end_row(carry[layer.name], [next(emitted) for _ in layer.emits], cache[layer.name])
            for layer in self.causal_layers()
        }
