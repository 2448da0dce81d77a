"""Parallel multiscale PixelCNN: a small picture pixel by pixel, the pixels between in a few parallel steps."""

import dataclasses

import tensorflow as tf

from tfgen.endpoints import Example, Seed, endpoint
from tfgen.errors import InputError
from tfgen.models.exact import ExactLikelihoodModel
from tfgen.networks.pixel_groups import Upscaling
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images
from tfgen.zoo.autoregressive.gated_pixel_cnn import GatedPixelCNN


@dataclasses.dataclass(frozen=True)
class BasePicture(Example):
    """A batch of what the base models: every n-th pixel of every n-th row."""

    def tensor_spec(self, model, parameter):
        return super().tensor_spec(model.base, parameter)

    def convert(self, value, model, parameter):
        return super().convert(value, model.base, parameter)

    def reference(self, model, count, seed):
        return super().reference(model.base, count, seed)


@register(
    "multiscale_pixel_cnn",
    title="Parallel Multiscale Autoregressive Density Estimation",
    authors="S. Reed, A. van den Oord, N. Kalchbrenner, S. Gómez Colmenarejo, Z. Wang, Y. Chen, D. Belov, "
    "N. de Freitas",
    year=2017,
    url="https://arxiv.org/abs/1703.03664",
    recipes={
        "digits": {
            "batch_size": 32,
            "epochs": 15,
            "model": {"upscalings": 1, "width": 32, "blocks": 2, "depth": 3, "kernel_size": 5, "head_width": 48},
        },
        "mnist": {"batch_size": 64, "epochs": 20, "model": {"width": 32}},
    },
)
class MultiscalePixelCNN(ExactLikelihoodModel):
    r"""Parallel multiscale PixelCNN (section 3 of the paper), unconditional.

    .. math:: \log p(x) = \log p(x^{(0)}) + \sum_{s=1}^{S} \sum_{g=2}^{4} \sum_{i \in G_g^{(s)}}
        \log p(x_i \mid G_1^{(s)}, \dots, G_{g-1}^{(s)})

    A Gated PixelCNN models the base picture :math:`x^{(0)}`: every :math:`2^S`-th pixel of every :math:`2^S`-th row.
    Each of S upscalings doubles the sides. The pixels that it has are the top-left ones :math:`G_1` of cells of 2x2;
    it adds the top-right ones, the bottom-left ones and the bottom-right ones. Pixels of a group are independent given
    the groups before, so that a group takes one pass of a network; the channels of a pixel follow each other.

    The groups' networks are plain ResNets with a softmax here; nothing orders the pixels within a group.

    References:
        S. Reed, A. van den Oord, N. Kalchbrenner, S. Gómez Colmenarejo, Z. Wang, Y. Chen, D. Belov, N. de Freitas,
        "Parallel Multiscale Autoregressive Density Estimation", ICML 2017, https://arxiv.org/abs/1703.03664

    Arguments:
        example: pictures of any size from 2x2, any channels and levels.
        upscalings: S, at least 1, and so few that the first one makes at least 2x2 pixels.
        width: features of all networks, a multiple of the channels.
        blocks: number of residual blocks of each group's network.
        depth: number of layers of the base.
        kernel_size: of the first layer of the base; all other kernels have 3.
        head_width: features of the layer before each softmax, a multiple of the channels.
        kwargs: `seed`, `name`, `dtype`.

    Raises:
        InputError: no upscaling, or more than the picture's sides allow.
    """

    def __init__(
        self,
        *,
        example: Images = Images((28, 28, 1), 2),
        upscalings: int = 2,
        width: int = 64,
        blocks: int = 4,
        depth: int = 6,
        kernel_size: int = 7,
        head_width: int = 64,
        **kwargs,
    ):
        super().__init__(example=example, **kwargs)
        sides = example.shape[:2]
        if upscalings < 1 or 2 ** (upscalings - 1) >= min(sides):
            raise InputError(
                f"MultiscalePixelCNN: {upscalings} upscalings of {sides[0]}x{sides[1]} pixels, expected at least 1, "
                "and so few that each adds a row and a column"
            )
        self.upscalings = upscalings
        examples = [
            Images((*(-(-side // 2**halvings) for side in sides), example.shape[2]), example.levels)
            for halvings in reversed(range(upscalings + 1))
        ]
        common = {"width": width, "head_width": head_width, "dtype": self.dtype_policy}
        self.base = GatedPixelCNN(example=examples[0], depth=depth, kernel_size=kernel_size, **common)
        self.scales = [
            Upscaling(larger, blocks=blocks, kernel_size=3, name=f"scale_{index}", **common)
            for index, larger in enumerate(examples[1:], 1)
        ]
        for scale, larger in zip(self.scales, examples[1:], strict=True):
            scale.build((None, *larger.shape))

    def networks(self):
        return [*self.base.networks(), *self.scales]

    def default_optimizers(self):
        return {"model": Adam(1e-3)}

    def subsampled(self, x, scale: int) -> tf.Tensor:
        """Returns the pixels that the picture has after `scale` upscalings, of `(batch, height, width, ...)`."""
        step = 2 ** (self.upscalings - scale)
        return x[:, ::step, ::step]

    def conditionals(self, x):
        logits = self.base.conditionals(self.subsampled(x, 0))
        logits = tf.reshape(logits, (-1, *self.base.example.shape[:2], self.draws * self.example.levels))
        for index, scale in enumerate(self.scales, 1):
            logits = scale.picture(tf.concat([logits, scale(self.subsampled(x, index))], -1))
        return tf.reshape(logits, (-1, *self.example.shape, self.example.levels))

    def head(self, parameters):
        return self.base.head(parameters)

    def draw(self, parameters, noise):
        return self.base.draw(parameters, noise)

    def _fill(self, noise, known=None, mask=None, small=None):
        def given(scale):
            return (
                {} if known is None else {n: self.subsampled(t, scale) for n, t in (("known", known), ("mask", mask))}
            )

        if small is None:
            small = self.base._fill(self.subsampled(noise, 0), **given(0))
        for index, scale in enumerate(self.scales, 1):
            small = scale.fill(small, self.subsampled(noise, index)[..., 0], self.draw, **given(index))
        return tf.cast(small, tf.uint8)

    def complete(self, x, mask, seed=0, label=None, map=None):
        """Keeps the known pixels and draws the others.

        An unknown pixel of the base is drawn given the known and drawn pixels of the base before it in raster order;
        one of a group given all pixels, known or drawn, of the smaller scales and of the groups before its own. A known
        pixel of a later group, or of its own, has no influence on it.

        Arguments:
            x: uint8 levels `(batch, height, width, channels)`; unknown pixels may hold anything.
            mask: float32 `(batch, height, width)`; a pixel is known where it is at least 0.5.
            seed: an int, or two int32.
            label, map: None; the model is unconditional.
        """
        return super().complete(x, mask, seed, label, map)

    @endpoint(returns="example", small=BasePicture("small"), seed=Seed())
    def upscale(self, small, seed=0):
        """Draws pictures whose base is given (super-resolution), uint8 levels `(batch, height, width, channels)`.

        Arguments:
            small: uint8 levels `(batch, ceil(height / 2 ** upscalings), ceil(width / 2 ** upscalings), channels)`.
            seed: an int, or two int32.
        """
        noise = tf.random.stateless_uniform((tf.shape(small)[0], *self.noise_shape), seed, alg="philox")
        return self._fill_chunks({"noise": noise, "small": small})
