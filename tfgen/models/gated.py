"""The two gated stacks of Gated PixelCNN as a model of pictures, or of maps of codes."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions import Levels
from tfgen.layers import GatedConv2D, MaskedConv2D
from tfgen.models.autoregressive import AutoregressiveModel, inverse_cdf
from tfgen.optimizers import Adam
from tfgen.precision import full
from tfgen.specs import Codes, Images, Labels, Maps

tfd = tfp.distributions


class GatedAutoregressiveModel(AutoregressiveModel):
    """A softmax over the levels of each channel, by a vertical and a horizontal stack (van den Oord et al. 2016b).

    Arguments:
        example: pictures, or maps of codes, of any size, channels and levels.
        label: classes to be conditional on, or None.
        map: features per pixel to be conditional on, or None; a smaller map is enlarged to the picture.
        width: features of each stack, a multiple of the channels.
        depth: number of layers.
        kernel_size: n of the first layer; the others have 3.
        head_width: features of the layer before the softmax.
        embedding: numbers, learned, that the stacks see of a level; 0 where they see the level itself, in [-1, 1]. Codes
            are names without an order, and have to be embedded.
        kwargs: as of `AutoregressiveModel`.
    """

    def __init__(
        self,
        *,
        example: Images | Codes,
        label: Labels | None = None,
        map: Maps | None = None,
        width: int = 64,
        depth: int = 7,
        kernel_size: int = 7,
        head_width: int = 64,
        embedding: int = 0,
        **kwargs,
    ):
        super().__init__(example=example, label=label, **kwargs)
        self.map = map
        channels = example.shape[2]
        self.embedding = None
        if embedding:
            initializer = keras.initializers.RandomNormal(stddev=1.0)
            self.embedding = keras.layers.Embedding(example.levels, embedding, initializer, dtype=self.dtype_policy)
            self.embedding.build()
        common = {"groups": channels, "dtype": self.dtype_policy}
        condition = {"label_count": label.count if label else 0, "map_features": map.shape[2] if map else 0}
        self.gated = [GatedConv2D(width, kernel_size, mask="A", name="gated_0", **common, **condition)]
        self.gated[0].build(channels * max(embedding, 1))
        for index in range(1, depth):
            self.gated.append(GatedConv2D(width, 3, mask="B", name=f"gated_{index}", **common, **condition))
            self.gated[-1].build(width)
        self.head_in = MaskedConv2D(head_width, 1, mask="B", name="head_in", **common)
        self.head_in.build((None, None, None, width))
        self.head_out = MaskedConv2D(channels * example.levels, 1, mask="B", name="head_out", **common)
        self.head_out.build((None, None, None, head_width))

    def causal_layers(self) -> list[keras.layers.Layer]:
        """Returns the layers of the stacks and of the head, the one that sees the picture first."""
        return [*self.gated, self.head_in, self.head_out]

    def networks(self):
        return [*([] if self.embedding is None else [self.embedding]), *self.causal_layers()]

    def default_optimizers(self):
        return {"model": Adam(1e-3)}

    def features(self, levels) -> tf.Tensor:
        """Returns what the stacks see: integer levels `(..., channels)` to `(..., channels * embedding)`."""
        if self.embedding is None:
            return self.example.to_network(levels)
        features = self.embedding(tf.cast(levels, tf.int32))
        size = levels.shape[-1] * features.shape[-1]
        return tf.reshape(features, tf.concat([tf.shape(levels)[:-1], [size]], 0))

    def conditionals(self, x, label=None, map=None):
        v = h = self.features(x)
        map = self.enlarged(map)
        for layer in self.gated:
            v, h = layer(v, h, label, map)
        logits = full(self.head_out(tf.nn.relu(self.head_in(tf.nn.relu(h)))))
        return tf.reshape(logits, (-1, *self.example.shape, self.example.levels))

    def enlarged(self, map):
        """Returns the map at the size of the picture, by nearest neighbours."""
        return None if map is None else tf.image.resize(map, self.example.shape[:2], "nearest")

    def head(self, parameters):
        return tfd.Independent(Levels(logits=parameters), 1)

    def draw(self, parameters, noise):
        return inverse_cdf(parameters, noise[:, 0])[:, None]

    # One pixel at a time: the vertical stack when a row is finished, the horizontal stack within the row.

    def init_cache(self, batch, label=None, map=None):
        width, map = self.example.shape[1], self.enlarged(map)
        caches = {layer.name: layer.init_cache(batch, width, label, map) for layer in self.gated}
        return caches | {layer.name: layer.init_cache(batch, width) for layer in (self.head_in, self.head_out)}

    def begin_row(self, y, cache):
        begun = {layer.name: layer.begin_row(y, cache[layer.name]) for layer in self.gated}
        begun |= {layer.name: layer.begin_row(cache[layer.name]) for layer in (self.head_in, self.head_out)}
        return {name: row for name, (row, _) in begun.items()}, {name: carry for name, (_, carry) in begun.items()}

    def begin_pixel(self, x, row, carry):
        return {layer.name: layer.begin_pixel(x, row[layer.name], carry[layer.name]) for layer in self.causal_layers()}

    def step(self, draw, previous, state):
        state = dict(state)

        def apply(layer, inputs):
            outputs, state[layer.name] = layer.step(draw, inputs, state[layer.name])
            return outputs

        h = None if previous is None else self.features(previous)
        for layer in self.gated:
            h = apply(layer, h)
        return full(apply(self.head_out, tf.nn.relu(apply(self.head_in, tf.nn.relu(h))))), state

    def end_pixel(self, pixel, state):
        seen = tf.cast(self.features(pixel), self.compute_dtype)
        carry = {layer.name: layer.end_pixel(None, state[layer.name]) for layer in self.gated[1:]}
        last = seen[:, -(seen.shape[1] // self.example.shape[2]) :]
        carry["gated_0"] = self.gated[0].end_pixel(last, state["gated_0"])
        return carry | {"head_in": (), "head_out": ()}, [seen]

    @property
    def emits(self):
        return [self.example.shape[2] * (1 if self.embedding is None else self.embedding.output_dim)]

    def end_row(self, y, carry, emitted, cache):
        v, cache = tf.transpose(emitted[0], (1, 0, 2)), dict(cache)
        for layer in self.gated:
            v, cache[layer.name] = layer.end_row(y, v, cache[layer.name])
        return cache
