"""FVSBN: a logistic regression for every pixel on those before it."""

import tensorflow as tf

from tfgen import replicas
from tfgen.layers import MaskedDense
from tfgen.models.flat import FlatAutoregressiveModel, take
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images


@register(
    "fvsbn",
    title="Does the Wake-Sleep Algorithm Produce Good Density Estimators?",
    authors="B. J. Frey, G. E. Hinton, P. Dayan",
    year=1996,
    url="https://www.cs.toronto.edu/~hinton/absps/wsperf.htm",
    recipes={
        "digits": {"batch_size": 100, "epochs": 100, "model": {}},
        "mnist": {"batch_size": 100, "epochs": 20, "model": {}},
    },
)
class FVSBN(FlatAutoregressiveModel):
    r"""Fully visible sigmoid belief network, also called logistic autoregressive network.

    .. math:: p(x_i = 1 \mid x_{<i}) = \sigma(b_i + \sum_{j<i} W_{ij} x_j)

    for pictures flattened in raster order. The likelihood is concave in (W, b), so that there is one best model.

    References:
        R. M. Neal, "Connectionist learning of belief networks", Artificial Intelligence 56, 1992.
        B. J. Frey, G. E. Hinton, P. Dayan, "Does the Wake-Sleep Algorithm Produce Good Density Estimators?",
        NIPS 1995, https://www.cs.toronto.edu/~hinton/absps/wsperf.htm

    Arguments:
        example: binary pictures (`levels=2`).
        weight_decay: of W: how much of the sum of its squares is added to the nats per picture.
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(self, *, example: Images = Images((28, 28, 1), 2), weight_decay: float = 1e-4, **kwargs):
        super().__init__(example=example, **kwargs)
        self.weight_decay = weight_decay
        size = example.dimensions
        # Zeros cost nothing where the likelihood is concave, and let the start be the pixels' frequencies.
        self.regressions = MaskedDense(size, strict=True, kernel_initializer="zeros", dtype=self.dtype_policy)
        self.regressions.build((None, size))

    def logits(self, x, member):
        places = tf.range(self.example.dimensions)
        return self.regressions(x, places, places)

    def networks(self):
        return [self.regressions]

    def terms(self, batch):
        decay = self.weight_decay * tf.reduce_sum(tf.square(self.regressions.kernel.value))
        return {**super().terms(batch), "decay": decay}

    def train_step(self, data):
        # From 0 Adam would need thousands of steps to the log-odds of pixels that are hardly ever on.
        replicas.when(self._steps.value == 0, self._start_from, self.unpack(data)["image"])
        return super().train_step(data)

    def _start_from(self, x) -> None:
        """Sets b to the pixels' log-odds in a batch, with half a picture of each colour added."""
        x = replicas.gather(x)
        on = tf.reduce_sum(tf.cast(tf.reshape(x, (-1, self.example.dimensions)), tf.float32), 0) + 0.5
        off = tf.cast(tf.shape(x)[0], tf.float32) + 1.0 - on
        self.regressions.bias.assign(tf.math.log(on / off))

    def default_optimizers(self):
        return {"model": Adam(1e-3)}

    def step_weights(self):
        return self.regressions.step_weights()

    def start(self, batch, weights):
        return self.regressions.start(batch, weights)

    def logit(self, sums, index, weights):
        return take(sums, index[:, None])

    def push(self, sums, x, position, index, member, weights):
        return self.regressions.push(sums, x, index[:, None], weights)
