"""Gated PixelCNN: two stacks without a blind spot, conditional on a label or a map."""

from tfgen.models.gated import GatedAutoregressiveModel
from tfgen.registry import register
from tfgen.specs import Images, Labels, Maps


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
class GatedPixelCNN(GatedAutoregressiveModel):
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
        sizes = {"width": width, "depth": depth, "kernel_size": kernel_size, "head_width": head_width}
        super().__init__(example=example, label=label, map=map, **sizes, **kwargs)
