"""PixelRNN with Row LSTM layers: a recurrence from row to row, all pixels of a row in parallel."""

from tfgen.layers import RowLSTM
from tfgen.models.pixel_rnn import PixelRNN
from tfgen.registry import register
from tfgen.specs import Images


@register(
    "pixel_rnn_row",
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
class PixelRNNRow(PixelRNN):
    r"""PixelRNN, Row LSTM (sections 3.1, 3.3 and 3.4 of the paper).

    .. math:: p(x) = \prod_{i=1}^{n^2} p(x_{i,R} \mid x_{<i}) p(x_{i,G} \mid x_{<i}, x_{i,R})
        p(x_{i,B} \mid x_{<i}, x_{i,R}, x_{i,G})

    each factor a softmax over the levels of a channel. In row y of a layer

    .. math:: [o, f, i, g] = K^{ss} * h_{y-1} + K^{is} * x_y, \quad c_y = f c_{y-1} + i g, \quad h_y = o \tanh(c_y)

    so that a pixel sees a triangle above it, not all that was drawn before; `pixel_rnn_diagonal` sees the rest.

    References:
        A. van den Oord, N. Kalchbrenner, K. Kavukcuoglu, "Pixel Recurrent Neural Networks", ICML 2016,
        https://arxiv.org/abs/1601.06759

    Arguments:
        example: pictures of any size, channels and levels.
        width: h of the paper; features are 2h, and h inside of an LSTM (the paper: 128 on CIFAR-10). A multiple of
            the channels.
        layers: number of LSTM layers (the paper: 12 on CIFAR-10).
        kernel_size: of the first layer.
        state_kernel_size: of the convolutions along the row in the LSTM; a larger one opens the triangle.
        head_width: features of the two layers before the softmax (the paper: 1024 on CIFAR-10, 32 on MNIST).
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        *,
        example: Images = Images((28, 28, 1), 2),
        width: int = 16,
        layers: int = 7,
        kernel_size: int = 7,
        state_kernel_size: int = 3,
        head_width: int = 32,
        **kwargs,
    ):
        def lstm(units, **common):
            return RowLSTM(units, kernel_size=state_kernel_size, **common)

        super().__init__(
            lstm=lstm,
            example=example,
            width=width,
            layers=layers,
            kernel_size=kernel_size,
            head_width=head_width,
            **kwargs,
        )
