"""What the PixelRNNs share: all but the LSTM."""

from collections.abc import Callable

import keras
import tensorflow as tf

from tfgen.layers import MaskedConv2D
from tfgen.models.layered import CausalLayer, LayeredAutoregressiveModel
from tfgen.specs import Images


class PixelRNN(LayeredAutoregressiveModel):
    """A masked convolution, residual LSTM layers, and a softmax (van den Oord et al. 2016, table 1).

    Arguments:
        lstm: makes an LSTM layer, called with its units and `groups`, `name` and `dtype`.
        example: pictures of any size, channels and levels.
        width: h of the paper; features are 2h, and h inside of an LSTM. A multiple of the channels.
        layers: number of LSTM layers.
        kernel_size: of the first layer.
        head_width: features of the two layers before the softmax.
    """

    def __init__(
        self,
        *,
        lstm: Callable[..., CausalLayer],
        example: Images,
        width: int,
        layers: int,
        kernel_size: int,
        head_width: int,
        **kwargs,
    ):
        super().__init__(example=example, **kwargs)
        channels = example.shape[2]
        common = {"groups": channels, "dtype": self.dtype_policy}

        def built(layer, inputs):
            layer.build((None, None, None, inputs))
            return layer

        def pointwise(name, inputs, filters):
            return built(MaskedConv2D(filters, 1, mask="B", name=name, **common), inputs)

        self.conv_in = built(MaskedConv2D(2 * width, kernel_size, mask="A", name="conv_in", **common), channels)
        self.lstms = [built(lstm(width, name=f"lstm_{index}", **common), 2 * width) for index in range(layers)]
        self.ups = [pointwise(f"up_{index}", width, 2 * width) for index in range(layers)]
        self.last_layers = [
            pointwise("head_0", 2 * width, head_width),
            pointwise("head_1", head_width, head_width),
            pointwise("head_out", head_width, channels * example.levels),
        ]

    def network(self, x, apply):
        """Runs figure 5 (right) of the paper layer by layer, then table 1's last layers."""
        x = apply(self.conv_in, x)
        for lstm, up in zip(self.lstms, self.ups, strict=True):
            x = x + apply(up, apply(lstm, x))
        for layer in self.last_layers:
            x = apply(layer, tf.nn.relu(x))
        return x

    def causal_layers(self):
        return [self.conv_in, *self.lstms, *self.ups, *self.last_layers]

    def default_optimizers(self):
        # The paper's RMSProp, with rates chosen by hand; the bound on the gradient is not the paper's.
        return {"model": keras.optimizers.RMSprop(1e-3, global_clipnorm=1.0)}
