"""Gated PixelCNN: two stacks without a blind spot, conditional on a label or a map."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.layers import GatedConv2D, MaskedConv2D
from tfgen.models.autoregressive import AutoregressiveModel, inverse_cdf
from tfgen.precision import full
from tfgen.registry import register
from tfgen.specs import Images, Labels, Maps

tfd = tfp.distributions


@register(
    "gated_pixel_cnn",
    title="Conditional Image Generation with PixelCNN Decoders",
    authors="A. van den Oord, N. Kalchbrenner, O. Vinyals, L. Espeholt, A. Graves, K. Kavukcuoglu",
    year=2016,
    url="https://arxiv.org/abs/1606.05328",
    recipes={
        "digits": {"batch_size": 32, "epochs": 15, "model": {"width": 32, "depth": 4, "kernel_size": 5}},
        "mnist": {"batch_size": 64, "epochs": 40, "model": {"width": 32}},
    },
)
class GatedPixelCNN(AutoregressiveModel):
    r"""Gated PixelCNN (section 2 of the paper).

    .. math:: p(x|c) = \prod_i p(x_i \mid x_{<i}, c)

    A vertical stack sees all rows above a pixel, a horizontal one its row; together they see every earlier pixel.
    Each layer ends in a gated unit (eq. 2), which a class (eq. 4) or a map of features per pixel (eq. 5) conditions.

    References:
        A. van den Oord, N. Kalchbrenner, O. Vinyals, L. Espeholt, A. Graves, K. Kavukcuoglu, "Conditional Image
        Generation with PixelCNN Decoders", NIPS 2016, https://arxiv.org/abs/1606.05328

    Arguments:
        example: pictures of any size, channels and levels.
        label: classes to be conditional on, or None.
        map: features per pixel to be conditional on, or None; a smaller map is enlarged to the picture.
        width: features of each stack, a multiple of the channels (the paper: 384 on ImageNet).
        depth: number of layers (the paper: 20).
        kernel_size: n of the first layer; the others have 3.
        head_width: features of the layer before the softmax.
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        *,
        example: Images = Images((28, 28, 1), 2),
        label: Labels | None = None,
        map: Maps | None = None,
        width: int = 64,
        depth: int = 7,
        kernel_size: int = 7,
        head_width: int = 64,
        **kwargs,
    ):
        super().__init__(example=example, label=label, **kwargs)
        self.map = map
        channels = example.shape[2]
        common = {"groups": channels, "dtype": self.dtype_policy}
        condition = {"label_count": label.count if label else 0, "map_features": map.shape[2] if map else 0}
        self.gated = [GatedConv2D(width, kernel_size, mask="A", name="gated_0", **common, **condition)]
        self.gated[0].build(channels)
        for index in range(1, depth):
            self.gated.append(GatedConv2D(width, 3, mask="B", name=f"gated_{index}", **common, **condition))
            self.gated[-1].build(width)
        self.head_in = MaskedConv2D(head_width, 1, mask="B", name="head_in", **common)
        self.head_in.build((None, None, None, width))
        self.head_out = MaskedConv2D(channels * example.levels, 1, mask="B", name="head_out", **common)
        self.head_out.build((None, None, None, head_width))

    def networks(self):
        return [*self.gated, self.head_in, self.head_out]

    def default_optimizers(self):
        return {"model": keras.optimizers.Adam(1e-3)}

    def conditionals(self, x, label=None, map=None):
        v = h = self.example.to_network(x)
        map = self.enlarged(map)
        for layer in self.gated:
            v, h = layer(v, h, label, map)
        logits = full(self.head_out(tf.nn.relu(self.head_in(tf.nn.relu(h)))))
        return tf.reshape(logits, (-1, *self.example.shape, self.example.levels))

    def enlarged(self, map):
        """Returns the map at the size of the picture, by nearest neighbours."""
        return None if map is None else tf.image.resize(map, self.example.shape[:2], "nearest")

    def head(self, parameters):
        return tfd.Independent(tfd.Categorical(logits=parameters), 1)

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
        return {layer.name: layer.begin_pixel(x, row[layer.name], carry[layer.name]) for layer in self.networks()}

    def step(self, draw, previous, state):
        state = dict(state)

        def apply(layer, inputs):
            outputs, state[layer.name] = layer.step(draw, inputs, state[layer.name])
            return outputs

        h = None if previous is None else self.example.to_network(previous)
        for layer in self.gated:
            h = apply(layer, h)
        return full(apply(self.head_out, tf.nn.relu(apply(self.head_in, tf.nn.relu(h))))), state

    def end_pixel(self, pixel, state):
        pixel = tf.cast(self.example.to_network(pixel), self.compute_dtype)
        carry = {layer.name: layer.end_pixel(None, state[layer.name]) for layer in self.gated[1:]}
        carry["gated_0"] = self.gated[0].end_pixel(pixel[:, -1:], state["gated_0"])
        return carry | {"head_in": (), "head_out": ()}, [pixel]

    @property
    def emits(self):
        return [self.example.shape[2]]

    def end_row(self, y, carry, emitted, cache):
        v, cache = tf.transpose(emitted[0], (1, 0, 2)), dict(cache)
        for layer in self.gated:
            v, cache[layer.name] = layer.end_row(y, v, cache[layer.name])
        return cache
