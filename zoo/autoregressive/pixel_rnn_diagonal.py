"""PixelRNN with Diagonal BiLSTM layers: two recurrences along the diagonals, which see all that was drawn before."""

from tfgen.layers import DiagonalBiLSTM
from tfgen.models.pixel_rnn import PixelRNN
from tfgen.registry import register
from tfgen.specs import Images


@register(
    "pixel_rnn_diagonal",
    title="Pixel Recurrent Neural Networks",
    authors="A. van den Oord, N. Kalchbrenner, K. Kavukcuoglu",
    year=2016,
    url="https://arxiv.org/abs/1601.06759",
    recipes={
        "digits": {"batch_size": 32, "epochs": 15, "model": {"width": 32, "layers": 3, "head_width": 64}},
        "mnist": {"batch_size": 16, "epochs": 20, "model": {"layers": 3}},
    },
    without_lite={
        "log_prob": "LiteRT's XNNPack does not resize the tensors of the loop over lines when the batch changes"
    },
)
class PixelRNNDiagonal(PixelRNN):
    r"""PixelRNN, Diagonal BiLSTM (sections 3.2 to 3.4 of the paper).

    .. math:: p(x) = \prod_{i=1}^{n^2} p(x_{i,R} \mid x_{<i}) p(x_{i,G} \mid x_{<i}, x_{i,R})
        p(x_{i,B} \mid x_{<i}, x_{i,R}, x_{i,G})

    each factor a softmax over the levels of a channel. A layer is two LSTMs, from the left and from the right, whose
    states at a pixel come from its neighbours in the row and above,

    .. math:: [o, f, i, g](y, x) = K^{ss} [h(y, x \mp 1), h(y - 1, x)] + K^{is} x(y, x)

    so that a pixel sees all that was drawn before it, except that the last pixels of the row above are hidden from the
    row's first pixels where the first layer's field does not reach them.

    References:
        A. van den Oord, N. Kalchbrenner, K. Kavukcuoglu, "Pixel Recurrent Neural Networks", ICML 2016,
        https://arxiv.org/abs/1601.06759

    Arguments:
        example: pictures of any size, channels and levels.
        width: h of the paper; features are 2h, and h inside of an LSTM (the paper: 16 on MNIST, 128 on CIFAR-10). A
            multiple of the channels.
        layers: number of LSTM layers (the paper: 7 on MNIST, 12 on CIFAR-10).
        kernel_size: of the first layer.
        head_width: features of the two layers before the softmax (the paper: 32 on MNIST, 1024 on CIFAR-10).
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        *,
        example: Images = Images((28, 28, 1), 2),
        width: int = 16,
        layers: int = 7,
        kernel_size: int = 7,
        head_width: int = 32,
        **kwargs,
    ):
        super().__init__(
            lstm=DiagonalBiLSTM,
            example=example,
            width=width,
            layers=layers,
            kernel_size=kernel_size,
            head_width=head_width,
            **kwargs,
        )
