"""PixelCNN: a stack of masked convolutions, all conditionals in one parallel pass."""

import tensorflow as tf

from tfgen.layers import MaskedConv2D
from tfgen.models.layered import LayeredAutoregressiveModel
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images


@register(
    "pixel_cnn",
    title="Pixel Recurrent Neural Networks",
    authors="A. van den Oord, N. Kalchbrenner, K. Kavukcuoglu",
    year=2016,
    url="https://arxiv.org/abs/1601.06759",
    recipes={
        "digits": {"batch_size": 32, "epochs": 20, "model": {"width": 32, "blocks": 3, "head_width": 64}},
        "mnist": {"batch_size": 64, "epochs": 40, "model": {"width": 32}},
    },
)
class PixelCNN(LayeredAutoregressiveModel):
    r"""PixelCNN (sections 3.3 to 3.5 of the paper).

    .. math:: p(x) = \prod_{i=1}^{n^2} p(x_{i,R} \mid x_{<i}) p(x_{i,G} \mid x_{<i}, x_{i,R})
        p(x_{i,B} \mid x_{<i}, x_{i,R}, x_{i,G})

    each factor a softmax over the levels of a channel. Masked convolutions leave a blind spot to the upper right of a
    pixel, which `gated_pixel_cnn` removes.

    References:
        A. van den Oord, N. Kalchbrenner, K. Kavukcuoglu, "Pixel Recurrent Neural Networks", ICML 2016,
        https://arxiv.org/abs/1601.06759

    Arguments:
        example: pictures of any size, channels and levels.
        width: h of the paper; features are 2h, and h inside of a block. A multiple of the channels.
        blocks: number of residual blocks (the paper: 15 on CIFAR-10 with h = 128, 7 on MNIST).
        kernel_size: of the first layer.
        head_width: features of the two layers before the softmax (the paper: 1024 on CIFAR-10, 32 on MNIST).
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        *,
        example: Images = Images((28, 28, 1), 2),
        width: int = 64,
        blocks: int = 7,
        kernel_size: int = 7,
        head_width: int = 32,
        **kwargs,
    ):
        super().__init__(example=example, **kwargs)
        channels = example.shape[2]

        def conv(name, inputs, filters, kernel_size=1, mask="B"):
            layer = MaskedConv2D(filters, kernel_size, mask=mask, groups=channels, name=name, dtype=self.dtype_policy)
            layer.build((None, None, None, inputs))
            return layer

        self.conv_in = conv("conv_in", channels, 2 * width, kernel_size, "A")
        self.blocks = [
            [
                conv(f"block_{index}_down", 2 * width, width),
                conv(f"block_{index}_conv", width, width, 3),
                conv(f"block_{index}_up", width, 2 * width),
            ]
            for index in range(blocks)
        ]
        self.last_layers = [
            conv("head_0", 2 * width, head_width),
            conv("head_1", head_width, head_width),
            conv("head_out", head_width, channels * example.levels),
        ]

    def network(self, x, apply):
        """Runs figure 5 (left) of the paper, then table 1's last layers."""
        x = apply(self.conv_in, x)
        for down, conv, up in self.blocks:
            x = x + apply(up, tf.nn.relu(apply(conv, tf.nn.relu(apply(down, tf.nn.relu(x))))))
        for layer in self.last_layers:
            x = apply(layer, tf.nn.relu(x))
        return x

    def causal_layers(self):
        return [self.conv_in, *(layer for block in self.blocks for layer in block), *self.last_layers]

    def default_optimizers(self):
        # The paper's RMSProp with rates chosen by hand; Adam with a fixed rate needs no choosing.
        return {"model": Adam(1e-3)}
