"""PixelCNN++: a mixture of logistics over a whole pixel, computed by a network through several resolutions."""

import keras
import tensorflow as tf

from tfgen.distributions import DiscretizedLogisticMixture
from tfgen.errors import InputError
from tfgen.models import FirstBatchModel
from tfgen.models.autoregressive import AutoregressiveModel, inverse_cdf
from tfgen.networks.two_streams import TwoStreams
from tfgen.optimizers import Adam
from tfgen.precision import full
from tfgen.registry import register
from tfgen.specs import Images, Labels


@register(
    "pixel_cnn_pp",
    title="PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture Likelihood and Other Modifications",
    authors="T. Salimans, A. Karpathy, X. Chen, D. P. Kingma",
    year=2017,
    url="https://arxiv.org/abs/1701.05517",
    recipes={
        "digits": {
            "batch_size": 32,
            "epochs": 20,
            "model": {"width": 24, "blocks": 2, "resolutions": 2, "mixtures": 5, "averaging": 0.99},
        },
        "mnist": {"batch_size": 32, "epochs": 20, "model": {"width": 32, "blocks": 2, "mixtures": 5}},
    },
)
class PixelCNNPP(FirstBatchModel, AutoregressiveModel):
    r"""PixelCNN++.

    .. math:: p(x) = \prod_i \sum_k \pi_k(x_{<i}) \prod_c P(x_{ic} \mid \mu_{kc}(x_{<i}, x_{i,<c}), s_{kc}(x_{<i}))

    over pixels i and their channels c: one discretized logistic mixture for all channels of a pixel (section 2.1 and
    2.2), whose parameters come from two streams of gated resnets through several resolutions with shortcuts (2.3 and
    2.4). The first batch that is trained on sets the lengths of the weights and the biases.

    References:
        T. Salimans, A. Karpathy, X. Chen, D. P. Kingma, "PixelCNN++: Improving the PixelCNN with Discretized Logistic
        Mixture Likelihood and Other Modifications", ICLR 2017, https://arxiv.org/abs/1701.05517
        (code: https://github.com/openai/pixel-cnn)

    Arguments:
        example: pictures of any channels and levels, whose sides are multiples of 2 ** (resolutions - 1).
        label: classes to be conditional on, or None.
        width: features of each stream (the paper: 192, its code 160).
        blocks: gated resnets on each resolution on the way down; the way up has as many and one for each halving.
        resolutions: 1 keeps the size, each further one halves it.
        mixtures: K, logistics in the mixture.
        dropout: rate inside of each resnet while training (section 2.5).
        averaging: decay of the average of the weights that `compile` uses unless it is given another.
        kwargs: `seed`, `name`, `dtype`.

    Raises:
        InputError: the sides can not be halved that often, or a number is out of range.
    """

    def __init__(
        self,
        *,
        example: Images = Images((32, 32, 3)),
        label: Labels | None = None,
        width: int = 160,
        blocks: int = 5,
        resolutions: int = 3,
        mixtures: int = 10,
        dropout: float = 0.5,
        averaging: float = 0.9995,
        **kwargs,
    ):
        super().__init__(example=example, label=label, averaging=averaging, **kwargs)
        numbers = {"width": width, "blocks": blocks, "resolutions": resolutions, "mixtures": mixtures}
        for what, number in numbers.items():
            if number < 1:
                raise InputError(f"pixel_cnn_pp: {number} {what}, expected at least 1")
        height, columns, channels = example.shape
        smallest = 2 ** (resolutions - 1)
        if height % smallest or columns % smallest:
            raise InputError(
                f"pixel_cnn_pp: pictures of {height}x{columns} at {resolutions} resolutions; pad the sides to "
                f"multiples of {smallest}, or pass fewer resolutions"
            )
        if not 0.0 <= dropout < 1.0:
            raise InputError(f"pixel_cnn_pp: dropout {dropout}, expected a rate in [0, 1)")
        self.dropout = dropout
        self.network = TwoStreams(
            channels, width, mixtures * DiscretizedLogisticMixture.parameters_per_component(channels),
            resnets=blocks, levels=resolutions, label_count=label.count if label else 0,
            name="network", dtype=self.dtype_policy,
        )  # fmt: skip

    def networks(self):
        return [self.network]

    def default_optimizers(self):
        rate = keras.optimizers.schedules.ExponentialDecay(1e-3, decay_steps=1, decay_rate=0.999995)
        return {"model": Adam(rate, beta_1=0.95, beta_2=0.9995)}

    def initialize(self, batch):
        self._parameters(batch["image"], batch.get("label"), dropout=self.dropout, initialize=True)

    def conditionals(self, x, label=None):
        parameters = self._parameters(x, label, dropout=self.dropout if self.in_training else 0.0)
        return full(parameters)[:, :, :, None]  # one draw per pixel

    def _parameters(self, x, label, dropout, initialize=False):
        seed = self.seed() if dropout else None
        x = self.example.to_network(x)
        return self.network(x, label=label, dropout=dropout, seed=seed, initialize=initialize)

    # A pixel is one draw: the component, then channel by channel.

    @property
    def draws(self):
        return 1

    @property
    def noise_size(self):
        return 1 + self.example.shape[2]

    def head(self, parameters):
        _, _, channels = self.example.shape
        return DiscretizedLogisticMixture.from_network(tf.squeeze(parameters, -2), channels, self.example.levels)

    def draw(self, parameters, noise):
        pixel = self.head(parameters[:, None])
        return tf.cast(pixel.draw(inverse_cdf(pixel.logits, noise[:, 0]), noise[:, 1:]), tf.int32)

    def init_cache(self, batch, label=None):
        return self.network.init_cache(batch, self.example.shape[1], label)

    def begin_row(self, y, cache):
        return self.network.begin_row(y, cache)

    def begin_pixel(self, x, row, carry):
        return self.network.pixel(x, row, carry)

    def step(self, draw, previous, state):
        return full(state[0]), state

    def end_pixel(self, pixel, state):
        _, carry, emitted = state
        carry, pixel = self.network.end_pixel(self.example.to_network(pixel), carry)
        return carry, [pixel, *emitted]

    @property
    def emits(self):
        return self.network.emits

    def end_row(self, y, carry, emitted, cache):
        return self.network.end_row(y, carry, emitted, cache)
