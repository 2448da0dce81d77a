"""NADE: a hidden layer per pixel, all with the same weights; and EoNADE, which is trained in all orders."""

from collections.abc import Sequence

import tensorflow as tf

from tfgen.errors import InputError
from tfgen.layers import RunningHidden
from tfgen.models.flat import FlatAutoregressiveModel
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images


@register(
    "nade",
    title="The Neural Autoregressive Distribution Estimator",
    authors="H. Larochelle, I. Murray",
    year=2011,
    url="https://proceedings.mlr.press/v15/larochelle11a.html",
    recipes={
        "digits": {"batch_size": 32, "epochs": 60, "model": {"hidden": 128}},
        "mnist": {"batch_size": 100, "epochs": 50, "model": {"hidden": 500}},
    },
)
class NADE(FlatAutoregressiveModel):
    r"""Neural autoregressive distribution estimator.

    .. math:: h_i = \sigma(c + W_{<i} x_{<i}), \quad p(x_i = 1 \mid x_{<i}) = \sigma(b_i + V_i h_i)

    With `order_agnostic` it is an EoNADE of one hidden layer: one network for the conditionals of all orders, which
    is also told which pixels it knows, and is trained on

    .. math:: E_{o, d} \frac{D}{D - d + 1} \sum_{t \ge d} -\log p(x_{o_t} \mid x_{o_{<d}})

    (Uria et al. 2014, eq. 14). Its probability of a picture is the average over `orders`, and it completes a picture
    from any known pixels. `sample` draws from that same average.

    References:
        H. Larochelle, I. Murray, "The Neural Autoregressive Distribution Estimator", AISTATS 2011,
        https://proceedings.mlr.press/v15/larochelle11a.html
        B. Uria, I. Murray, H. Larochelle, "A Deep and Tractable Density Estimator", ICML 2014,
        https://arxiv.org/abs/1310.1757

    Arguments:
        example: binary pictures (`levels=2`).
        hidden: units of the hidden layer, H.
        order: raster indices of the pixels in the order in which they are modelled; raster order unless given.
        order_agnostic: whether it is trained in all orders.
        orders: how many orders an order-agnostic model averages over; the first is `order`, the others are random.
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        *,
        example: Images = Images((28, 28, 1), 2),
        hidden: int = 500,
        order: Sequence[int] | None = None,
        order_agnostic: bool = False,
        orders: int = 1,
        **kwargs,
    ):
        super().__init__(example=example, order=order, members=orders, order_agnostic=order_agnostic, **kwargs)
        if orders > 1 and not order_agnostic:
            raise InputError("nade: an average over several orders needs order_agnostic=True")
        self.layer = RunningHidden(hidden, sees_mask=order_agnostic, dtype=self.dtype_policy)
        self.layer.build((None, example.dimensions))

    def logits(self, x, member):
        return self.layer(x, tf.gather(self._walks, member))

    def networks(self):
        return [self.layer]

    def terms(self, batch):
        if self.order_agnostic and self.in_training:
            return {"nll": tf.reduce_mean(self.order_agnostic_loss(batch["image"], self.seed(), self.seed()))}
        return super().terms(batch)

    def order_agnostic_loss(self, x, order_seed, cut_seed) -> tf.Tensor:
        """Returns an unbiased estimate of the nats of each picture, averaged over all orders.

        Arguments:
            x: uint8 `(batch, height, width, channels)`.
            order_seed: of the order, int32 `(2,)`.
            cut_seed: of the number of known scalars, int32 `(2,)`.
        """
        height, width, channels = self.example.shape
        size, batch = self.example.dimensions, tf.shape(x)[0]
        noise = tf.random.stateless_uniform((batch, height * width), order_seed, alg="philox")
        place = tf.repeat(tf.argsort(noise), channels, 1) * channels + tf.tile(tf.range(channels), [height * width])
        # d - 1 of the paper.
        cut = tf.random.stateless_uniform((batch, 1), cut_seed, 0, size, tf.int32, alg="philox")
        x = tf.cast(tf.reshape(x, (-1, size)), self.layer.variable_dtype)
        known = tf.cast(place < cut, x.dtype)
        nats = tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=self.layer.given(x, known))
        return tf.reduce_sum((1.0 - known) * nats, -1) * size / tf.cast(size - cut[:, 0], x.dtype)

    def default_optimizers(self):
        # The paper's gradient descent with a decreasing rate is slower than Adam's fixed one.
        return {"model": Adam(1e-3)}

    def step_weights(self):
        return self.layer.step_weights()

    def start(self, batch, weights):
        return self.layer.start(batch, weights)

    def logit(self, sums, index, weights):
        return self.layer.answer(sums, index, weights)

    def push(self, sums, x, position, index, member, weights):
        return self.layer.push(sums, x, index, weights)
