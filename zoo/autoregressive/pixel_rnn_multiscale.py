"""Multi-scale PixelRNN: a small picture of every n-th pixel first, then the whole one given it."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.layers import RowLSTM
from tfgen.models.pixel_rnn import PixelRNN
from tfgen.precision import full
from tfgen.registry import register
from tfgen.specs import Images
from tfgen.zoo.autoregressive.pixel_rnn_row import PixelRNNRow


@register(
    "pixel_rnn_multiscale",
    title="Pixel Recurrent Neural Networks",
    authors="A. van den Oord, N. Kalchbrenner, K. Kavukcuoglu",
    year=2016,
    url="https://arxiv.org/abs/1601.06759",
    recipes={
        "digits": {"batch_size": 32, "epochs": 15, "model": {"width": 32, "layers": 3, "head_width": 64}},
        "mnist": {"batch_size": 16, "epochs": 20, "model": {}},
    },
    without_lite={
        "log_prob": "LiteRT's XNNPack does not resize the tensors of the loop over lines when the batch changes"
    },
)
class MultiscalePixelRNN(PixelRNN):
    r"""Multi-Scale PixelRNN (section 3.6 of the paper), of Row LSTM layers.

    .. math:: \log p(x) = \log p_s(x^s) + \sum_{i \notin s} \log p_n(x_i \mid x_{<i}, x^s)

    The small picture is every `factor`-th pixel of every `factor`-th row, a part of x. An unconditional PixelRNN draws
    it; a deconvolution network enlarges it to features per pixel, which every LSTM layer of a conditional PixelRNN
    adds to its gates.

    With `clamp` the large network keeps the small picture's pixels and predicts the others, so that each pixel is
    counted once and `log_prob` is exact. The paper's network predicts them again, from knowing them: without `clamp`
    the sum runs over all i. That is a bound from below, whose total over all pictures is less than 1 (of the pairs
    that `sample` may draw, it counts those whose small picture is a part of the large).

    Given a small picture, `complete` with exactly its pixels known draws the large one.

    References:
        A. van den Oord, N. Kalchbrenner, K. Kavukcuoglu, "Pixel Recurrent Neural Networks", ICML 2016,
        https://arxiv.org/abs/1601.06759

    Arguments:
        example: pictures of any size, channels and levels.
        factor: how many times higher and wider the picture is than the small one, at least 2.
        clamp: whether the small picture's pixels are kept.
        width: h of both networks; features are 2h, and h inside of an LSTM. A multiple of the channels.
        layers: number of LSTM layers of each network.
        kernel_size: of both first layers.
        state_kernel_size: of the convolutions along the row in all LSTMs.
        head_width: features of the two layers before each softmax.
        map_features: of the deconvolution network.
        kwargs: `seed`, `name`, `dtype`.

    Raises:
        InputError: a factor below 2, or a width that does not split into the channels.
    """

    def __init__(
        self,
        *,
        example: Images = Images((28, 28, 1), 2),
        factor: int = 2,
        clamp: bool = True,
        width: int = 16,
        layers: int = 4,
        kernel_size: int = 7,
        state_kernel_size: int = 3,
        head_width: int = 32,
        map_features: int = 32,
        **kwargs,
    ):
        if factor < 2:
            raise InputError(f"MultiscalePixelRNN: factor {factor}, expected at least 2")
        sizes = {"width": width, "layers": layers, "kernel_size": kernel_size, "head_width": head_width}

        def lstm(units, **common):
            return RowLSTM(units, kernel_size=state_kernel_size, map_features=map_features, **common)

        super().__init__(lstm=lstm, example=example, **sizes, **kwargs)
        self.factor, self.clamp = factor, clamp
        height, width, channels = example.shape
        # Where the small picture's pixels lie.
        self.kept = np.zeros((height, width), bool)
        self.kept[::factor, ::factor] = True
        small_shape = (-(-height // factor), -(-width // factor), channels)
        self.small = PixelRNNRow(
            example=Images(small_shape, example.levels),
            state_kernel_size=state_kernel_size,
            dtype=self.dtype_policy,
            **sizes,
        )
        common = {"padding": "same", "dtype": self.dtype_policy}
        self.deconvolutions = [
            keras.layers.Conv2DTranspose(map_features, 2 * factor, factor, activation="relu", **common),
            keras.layers.Conv2DTranspose(map_features, 3, **common),
        ]
        for layer, inputs in zip(self.deconvolutions, (channels, map_features), strict=True):
            layer.build((None, None, None, inputs))

    def networks(self):
        return [*self.small.networks(), *self.deconvolutions, *self.causal_layers()]

    def maps(self, small) -> tf.Tensor:
        """Returns features per pixel of a small picture: levels to `(batch, height, width, map_features)`."""
        maps = self.example.to_network(small)
        for layer in self.deconvolutions:
            maps = layer(maps)
        height, width, _ = self.example.shape
        return maps[:, :height, :width]

    def subsampled(self, x) -> tf.Tensor:
        """Returns every `factor`-th pixel of every `factor`-th row of `(batch, height, width, ...)`."""
        return x[:, :: self.factor, :: self.factor]

    def enlarged(self, small) -> tf.Tensor:
        """Returns something per pixel of the small picture, where its pixels lie in the large one."""
        rows, columns = (np.arange(size) // self.factor for size in self.example.shape[:2])
        return tf.gather(tf.gather(small, rows, axis=1), columns, axis=2)

    def large_conditionals(self, x, small) -> tf.Tensor:
        """Returns the large network's parameters of all pixels, given any small picture.

        Arguments:
            x: uint8 levels `(batch, height, width, channels)`.
            small: uint8 levels `(batch, ceil(height / factor), ceil(width / factor), channels)`.
        """
        maps = self.maps(small)
        lstms = {id(layer) for layer in self.lstms}
        logits = self.network(
            self.example.to_network(x),
            lambda layer, inputs: layer(inputs, maps) if id(layer) in lstms else layer(inputs),
        )
        return tf.reshape(full(logits), (-1, *self.example.shape, self.example.levels))

    def conditionals(self, x):
        """Returns the parameters of all draws; with `clamp` the small network's where the small picture lies."""
        small = self.subsampled(x)
        large = self.large_conditionals(x, small)
        if not self.clamp:
            return large
        return tf.where(self.kept[:, :, None, None], self.enlarged(self.small.conditionals(small)), large)

    def log_prob(self, x, label=None, map=None):
        """Returns the exact log-likelihood, without `clamp` the bound, in nats, float32 `(batch,)`.

        Arguments:
            x: uint8 levels `(batch, height, width, channels)`.
            label: None; the model is unconditional.
            map: None.
        """
        log_prob = super().log_prob(x)
        if self.clamp:
            return log_prob
        small = tf.cast(self.subsampled(x), tf.int32)
        return log_prob + self.small.distribution(small).log_prob(small)

    # Sampling: the small picture, then the large one with the small one's pixels known.

    @property
    def noise_size(self):
        """Number of uniforms that one draw takes; without `clamp` one more, for the small picture."""
        return 1 if self.clamp else 2

    def _fill(self, noise, known=None, mask=None):
        small = self.small._fill(
            self.subsampled(noise)[..., -1:],
            known=None if known is None else self.subsampled(known),
            mask=None if mask is None else self.subsampled(mask),
        )
        if self.clamp:
            kept = tf.broadcast_to(self.kept, (tf.shape(noise)[0], *self.kept.shape))
            enlarged = tf.cast(self.enlarged(small), tf.int32)
            known = enlarged if known is None else tf.where(kept[..., None], enlarged, known)
            mask = kept if mask is None else kept | mask
        return super()._fill(noise, known=known, mask=mask, small=small)

    def init_cache(self, batch, small):
        """Returns the cache above the first row, with what each LSTM layer takes from the small picture."""
        cache, maps, width = super().init_cache(batch), self.maps(small), self.example.shape[1]
        return cache | {lstm.name: lstm.init_cache(batch, width, maps) for lstm in self.lstms}
