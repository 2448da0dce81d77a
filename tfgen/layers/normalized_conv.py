"""Weight-normalised convolutions whose field lies around a pixel, and one that sees numbers before a number only."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.layers.shifted_conv import ShiftedConv2D, WeightNormalized


@keras.saving.register_keras_serializable("tfgen")
class NormalizedConv2D(WeightNormalized):
    """Weight-normalised convolution, of stride 1 or of a stride that divides the sides; beyond the border it sees zeros.

    Arguments:
        filters, init_scale: see `WeightNormalized`.
        kernel_size: height and width of the field, odd.
        stride: 2 gives half the sides.

    Raises:
        InputError: an even kernel_size.
    """

    def __init__(self, filters: int, kernel_size: int = 3, *, stride: int = 1, init_scale: float = 1.0, **kwargs):
        super().__init__(filters, (kernel_size, kernel_size), centred=True, init_scale=init_scale, **kwargs)
        self.stride = stride

    def convolve(self, x, kernel):
        # Padded apart, since the gradients of a convolution that pads unevenly itself take twice as long.
        over = self.kernel_size[0] - self.stride
        sides = [over // 2, over - over // 2]
        return tf.nn.conv2d(tf.pad(x, [[0, 0], sides, sides, [0, 0]]), kernel, self.stride, "VALID")

    def get_config(self):
        return {**_without(super().get_config(), "centred"), "kernel_size": self.kernel_size[0], "stride": self.stride}


@keras.saving.register_keras_serializable("tfgen")
class NormalizedConv2DTranspose(WeightNormalized):
    """Weight-normalised transposed convolution of stride 2: twice the sides.

    Arguments:
        filters, init_scale: see `WeightNormalized`.
        kernel_size: height and width of what a cell gives to, odd.

    Raises:
        InputError: an even kernel_size.
    """

    def __init__(self, filters: int, kernel_size: int = 3, *, init_scale: float = 1.0, **kwargs):
        super().__init__(filters, (kernel_size, kernel_size), centred=True, init_scale=init_scale, **kwargs)

    def convolve(self, x, kernel):
        size = (tf.shape(x)[0], 2 * x.shape[1], 2 * x.shape[2], self.filters)
        return tf.nn.conv2d_transpose(x, tf.transpose(kernel, (0, 1, 3, 2)), size, 2, "SAME")

    def get_config(self):
        return {**_without(super().get_config(), "centred"), "kernel_size": self.kernel_size[0]}


@keras.saving.register_keras_serializable("tfgen")
class OrderedConv2D(ShiftedConv2D):
    """Weight-normalised convolution over maps in which each number sees only those before it (Kingma et al. 2016).

    The order is that of the pixels, row by row, and within a pixel that of the degrees (Germain et al. 2015). A filter sees
    all maps of the pixels above and to the left, and of its own pixel the maps of degrees up to its own.

    Arguments:
        degrees_in: of the maps that it takes.
        degrees_out: of the filters.
        kernel_size: height and width of the field before masking, odd.
        strict: whether a filter sees lower degrees only, not its own.
        init_scale: see `WeightNormalized`.

    Raises:
        InputError: an even kernel_size, or maps of another number than the degrees.
    """

    def __init__(
        self,
        degrees_in: Sequence[int],
        degrees_out: Sequence[int],
        kernel_size: int = 3,
        *,
        strict: bool = False,
        init_scale: float = 1.0,
        **kwargs,
    ):
        # Rows below the pixel are never seen, so they have no weights.
        field = (kernel_size // 2 + 1, kernel_size)
        super().__init__(len(degrees_out), field, centred=True, init_scale=init_scale, **kwargs)
        self.degrees_in, self.degrees_out, self.strict = tuple(degrees_in), tuple(degrees_out), strict

    def build(self, input_shape):
        if input_shape[-1] != len(self.degrees_in):
            raise InputError(f"OrderedConv2D: {input_shape[-1]} maps, but {len(self.degrees_in)} degrees of them")
        super().build(input_shape)

    def directions(self):
        rows, columns = self.kernel_size
        own = [[float(i < o or (i == o and not self.strict)) for o in self.degrees_out] for i in self.degrees_in]
        centre = tf.constant(own, self.variable_dtype)
        seen, unseen = tf.ones_like(centre), tf.zeros_like(centre)
        last = [seen] * (columns // 2) + [centre] + [unseen] * (columns // 2)
        mask = tf.stack([*[tf.stack([seen] * columns)] * (rows - 1), tf.stack(last)])
        return tf.math.l2_normalize(self.v.value * mask, (0, 1, 2))

    def get_config(self):
        config = _without(super().get_config(), "filters", "centred", "stride")
        own = {"degrees_in": self.degrees_in, "degrees_out": self.degrees_out, "strict": self.strict}
        return config | own | {"kernel_size": self.kernel_size[1]}


def _without(config: dict, *names: str) -> dict:
    return {name: value for name, value in config.items() if name not in names}
