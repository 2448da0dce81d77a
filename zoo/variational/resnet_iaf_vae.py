"""ResNet VAE with inverse autoregressive flow: maps of codes in every block of a network that is walked up and down."""

import functools

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions import (
    AutoregressiveNormal,
    Descent,
    Likelihood,
    Memory,
    Rung,
    TopDown,
    default_likelihood,
)
from tfgen.errors import InputError
from tfgen.models import Batch, FirstBatchModel, LatentVariableModel, RateWeight, Terms
from tfgen.networks import BidirectionalBlock, BidirectionalResNet
from tfgen.networks.bidirectional import Numbers
from tfgen.registry import register
from tfgen.specs import Images

tfd = tfp.distributions


@register(
    "resnet_iaf_vae",
    title="Improving Variational Inference with Inverse Autoregressive Flow",
    authors="D. P. Kingma, T. Salimans, R. Józefowicz, X. Chen, I. Sutskever, M. Welling",
    year=2016,
    url="https://arxiv.org/abs/1606.04934",
    recipes={
        "digits": {
            "batch_size": 64, "epochs": 60,
            "model": {
                "width": 24, "latent_maps": 4, "resolutions": 2, "blocks": 1, "learning_rate": 1e-2, "averaging": 0.99,
            },
        },
        "mnist": {
            "batch_size": 64, "epochs": 30,
            "model": {"width": 32, "latent_maps": 8, "resolutions": 2, "blocks": 2},
        },
        "cifar10": {
            "batch_size": 16, "epochs": 50,
            "model": {"width": 64, "latent_maps": 32, "resolutions": 3, "blocks": 2},
        },
    },
)  # fmt: skip
class ResNetIAFVAE(FirstBatchModel, LatentVariableModel):
    r"""Residual network with codes in each block, whose posteriors are inverse autoregressive flows.

    .. math::
        p(x, z) = p(x | z) \prod_l p(z_l | z_{>l}), \quad
        z_{l,0} \sim N(\mu_l(x) + \mu_l(z_{>l}), \sigma_l(x)^2 \sigma_l(z_{>l})^2), \quad
        z_l = \frac{z_{l,0} - m_l}{\exp s_l}, \quad \log q(z_l | z_{>l}, x) = \log q(z_{l,0}) + \sum_i s_{l,i}

    (section 5.2 and appendix C). The picture goes up without draws; on the way down each block has what was said of its code
    on both ways (bidirectional inference), and m and s of each number come from masked convolutions over the numbers before
    it and a context of both ways. The first batch that is trained on sets the lengths of the weights and the biases.

    The likelihood's scale is given for each pixel, where the paper has one for all. Sides are halved by means of four.

    References:
        D. P. Kingma, T. Salimans, R. Józefowicz, X. Chen, I. Sutskever, M. Welling, "Improving Variational Inference with
        Inverse Autoregressive Flow", NIPS 2016, https://arxiv.org/abs/1606.04934 (code: https://github.com/openai/iaf)

    Arguments:
        example: pictures whose sides are multiples of 2 ** resolutions: the finest codes have half of them.
        width: features (the paper: 160).
        latent_maps: of each block's code. A code of the model holds those of all blocks, the lowest first.
        resolutions: of codes; each further one halves the sides.
        blocks: on each resolution.
        iaf: whether there is the autoregressive step; without it the posterior of each block is a diagonal Gaussian, and its
            divergence is in closed form given the blocks above.
        free_bits: nats of each map of each block, on average over a batch, that training takes as no cost.
        learning_rate: of Adamax (the paper: 2e-3).
        averaging: decay of the average of the weights that `compile` uses unless it is given another.
        likelihood: p(x|z); Bernoulli for binary pictures, and the discretized logistic for others, unless given.
        kwargs: `seed`, `name`, `dtype`.

    Raises:
        InputError: the sides can not be halved that often, or a number is out of range.
    """

    def __init__(
        self,
        *,
        example: Images = Images((32, 32, 3)),
        width: int = 160,
        latent_maps: int = 32,
        resolutions: int = 3,
        blocks: int = 2,
        iaf: bool = True,
        free_bits: float = 0.25,
        learning_rate: float = 2e-3,
        averaging: float = 0.999,
        likelihood: Likelihood | None = None,
        **kwargs,
    ):
        super().__init__(example=example, averaging=averaging, rate=RateWeight(free_bits=free_bits), **kwargs)
        numbers = {"width": width, "latent_maps": latent_maps, "resolutions": resolutions, "blocks": blocks}
        for what, number in numbers.items():
            if number < 1:
                raise InputError(f"resnet_iaf_vae: {what}={number}, expected at least 1")
        *sides, channels = example.shape
        if any(side % 2**resolutions for side in sides):
            raise InputError(
                f"resnet_iaf_vae: pictures of {sides[0]}x{sides[1]} with codes at {resolutions} resolutions; pad the sides "
                f"to multiples of {2**resolutions}, or pass fewer resolutions"
            )
        self.p_x = likelihood or default_likelihood(example)
        self.p_x.check(example)
        sizes = {"width": width, "maps": latent_maps, "resolutions": resolutions, "blocks": blocks, "step": iaf}
        self.network = BidirectionalResNet(
            example.shape, channels * self.p_x.parameters, name="network", dtype=self.dtype_policy, **sizes
        )
        self.learning_rate = learning_rate
        self.latent_size = sum(height * width * maps for height, width, maps in self.network.sizes)
        self.descents = Memory()

    def _rung(self, block: BidirectionalBlock, h, said: Numbers | None = None, initialize=False) -> Rung:
        """Returns prior and posterior of a block's code, given features above it and what the picture said of it."""
        (mean, log_scale), expected, told = block.expect(h, initialize=initialize)
        p, q = tfd.Normal(mean, tf.exp(log_scale)), None
        if said is not None:
            mean, log_scale, context = expected + said.repeated(tf.shape(h)[0] // tf.shape(said.mean)[0])
            q = tfd.Normal(mean, tf.exp(log_scale))
            if block.step:
                q = AutoregressiveNormal(q, lambda z: block.step(z, context, initialize=initialize))
        return Rung(p, q, lambda z: block.down(h, z, told, initialize=initialize))

    def _top_down(self, said=(), batch=None, **options) -> TopDown:
        blocks, said = self.network.blocks[::-1], said[::-1] or [None] * len(self.network.blocks)
        steps = [
            functools.partial(self._rung, block, said=of_block, **options)
            for block, of_block in zip(blocks, said, strict=True)
        ]
        return TopDown(self.network.start, steps, self.network.sizes, batch=batch, memory=self.descents)

    def prior(self, given=None):
        return self._top_down()

    def posterior(self, x, given=None, **options):
        x = self.example.to_network(x)
        return self._top_down(self.network.up(x, **options), tf.shape(x)[0], **options)

    def likelihood(self, z, given=None):
        return self._p_x(self.prior().along(z))

    def _p_x(self, descent: Descent, **options) -> tfd.Distribution:
        parameters = self.network.picture(descent.features, **options)
        shape = tf.concat([tf.shape(descent.z)[:-1], parameters.shape[1:]], 0)
        return self.p_x(tf.reshape(parameters, shape), self.example)

    def initialize(self, batch):
        self._p_x(self.posterior(batch["image"], initialize=True).drawn(seed=self.seed()), initialize=True)

    # One way down for a draw, its densities and its picture.

    def _parts(self, batch):
        with self.descents.open():
            return super()._parts(batch)

    def _importance_weighted(self, *args, **kwargs):
        with self.descents.open():
            return super()._importance_weighted(*args, **kwargs)

    def sample(self, count, seed=0, label=None):
        with self.descents.open():
            return super().sample(count, seed, label)

    def event(self, x, seed):
        return self.p_x.event(x, self.example, seed)

    def rates(self, q, p, z, log_q):
        """Returns the divergence of each map of each block given the blocks above, `(batch, blocks * latent_maps)`."""
        return q.along(z).rates

    def figures(self, batch: Batch) -> Terms:
        """Returns those of the family, and the divergence of each block, the lowest first."""
        blocks = tf.split(self._parts(batch)[0], len(self.network.blocks), -1)
        divergences = {f"kl_{n}": tf.reduce_sum(rates, -1) for n, rates in enumerate(blocks, start=1)}
        return super().figures(batch) | divergences

    def centre(self, q):
        return q.centre()[0]

    def scale(self, q):
        return q.centre()[1]

    def typical(self, p):
        return self.p_x.typical(p)

    def networks(self):
        return [self.network, self.p_x]

    def default_optimizers(self):
        return {"model": keras.optimizers.Adamax(self.learning_rate)}
