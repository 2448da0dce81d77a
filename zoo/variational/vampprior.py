"""VampPrior: a prior that is a mixture of the model's own posteriors."""

from collections.abc import Sequence

import keras

from tfgen.distributions import Likelihood, Posterior, VampPrior
from tfgen.endpoints import endpoint
from tfgen.models import AmortizedModel, RateWeight
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images, Points


@register(
    "vampprior",
    title="VAE with a VampPrior",
    authors="J. M. Tomczak, M. Welling",
    year=2018,
    url="https://arxiv.org/abs/1705.07120",
    recipes={
        "digits": {
            "batch_size": 64, "epochs": 150, "model": {"latent_size": 12, "hidden": (256, 256), "components": 100},
        },
        "mnist": {"batch_size": 100, "epochs": 100, "model": {"hidden": (300, 300)}},
    },
)  # fmt: skip
class VampPriorVAE(AmortizedModel):
    r"""Variational auto-encoder with a variational mixture of posteriors as its prior.

    .. math:: p(z) = \frac{1}{K} \sum_k q(z | u_k)

    (eq. 9), the tractable form of the aggregated posterior, which among all priors makes the bound highest (eq. 7). The
    pseudo-examples u_k are learned with all else; the divergence is estimated from the draw of z.

    References:
        J. M. Tomczak, M. Welling, "VAE with a VampPrior", AISTATS 2018, https://arxiv.org/abs/1705.07120

    Arguments:
        example: pictures, or points.
        latent_size: of z.
        components: K.
        hidden: widths of the encoder's hidden layers; the decoder mirrors them. (The paper's are gated.)
        encoder: pictures in [-1, 1], or points, to the posterior's numbers, `(batch, 2 * latent_size)`.
        decoder: codes to the likelihood's parameters, as of `vae`.
        posterior: family of q(z|x), which knows the density of any code; the diagonal Gaussian unless given.
        likelihood: p(x|z); as of `vae` unless given.
        rate: how much the divergence weighs in training; as in the bound unless given. (The paper warms up over 100
            epochs.)
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        *,
        example: Images | Points = Images((28, 28, 1), 2),
        latent_size: int = 40,
        components: int = 500,
        hidden: Sequence[int] = (300, 300),
        encoder: keras.Model | None = None,
        decoder: keras.Model | None = None,
        posterior: Posterior | None = None,
        likelihood: Likelihood | None = None,
        rate: RateWeight | None = None,
        **kwargs,
    ):
        parts = {"encoder": encoder, "decoder": decoder, "posterior": posterior, "prior": VampPrior(components)}
        parts |= {"likelihood": likelihood, "rate": rate}
        super().__init__(example=example, latent_size=latent_size, hidden=hidden, **parts, **kwargs)

    @endpoint(returns="example")
    def prototypes(self):
        """Returns the pseudo-examples u_k, uint8 levels, or float32 points, `(components, ...)`."""
        return self.example.from_network(self.p_z.pseudo_inputs())

    def default_optimizers(self):
        return {"model": Adam(5e-4)}
