"""GAN: a generator that learns from a classifier of real and generated examples."""

import keras

from tfgen.models.adversarial import AdversarialModel
from tfgen.models.players import Batch, Terms
from tfgen.objectives import discriminator_cross_entropy, minimax, non_saturating
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images, Points


@register(
    "gan",
    title="Generative Adversarial Nets",
    authors="I. Goodfellow, J. Pouget-Abadie, M. Mirza, B. Xu, D. Warde-Farley, S. Ozair, A. Courville, Y. Bengio",
    year=2014,
    url="https://arxiv.org/abs/1406.2661",
    recipes={
        "digits": {"batch_size": 32, "epochs": 100, "model": {"latent_size": 16}},
        "ring": {"batch_size": 256, "epochs": 20, "model": {"latent_size": 2}},
        "grid": {"batch_size": 256, "epochs": 30, "model": {"latent_size": 2}},
        "mnist": {"batch_size": 128, "epochs": 25, "model": {}},
    },
)
class GAN(AdversarialModel):
    r"""Generative adversarial network.

    .. math:: \min_G \max_D E_p[\log D(x)] + E_z[\log(1 - D(G(z)))]

    (eq. 1), where D is the sigmoid of a logit. With the best D this is -log 4 + 2 JS(p, q), least where the samples'
    distribution q is that of the data. G descends -log D(G(z)) instead, whose gradient does not vanish where D wins,
    unless `saturating`.

    References:
        I. Goodfellow, J. Pouget-Abadie, M. Mirza, B. Xu, D. Warde-Farley, S. Ozair, A. Courville, Y. Bengio,
        "Generative Adversarial Nets", NIPS 2014, https://arxiv.org/abs/1406.2661

    Arguments:
        example: pictures, or points.
        latent_size: of the code, which is Gaussian.
        width: features next to a picture (64 unless given), or of the two hidden layers for points (128).
        generator: codes to what networks see of examples; DCGAN's, or a perceptron's for points, unless given.
        discriminator: what networks see of examples to one logit; the same.
        saturating: whether G descends the game's own value.
        discriminator_steps: k, steps of D for one of G (algorithm 1), each on a fresh batch.
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        *,
        example: Images | Points = Images((28, 28, 1)),
        latent_size: int = 100,
        width: int | None = None,
        generator: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        saturating: bool = False,
        discriminator_steps: int = 1,
        **kwargs,
    ):
        networks = {"width": width, "generator": generator, "discriminator": discriminator}
        super().__init__(example=example, latent_size=latent_size, **networks, **kwargs)
        self.saturating, self.discriminator_steps = saturating, discriminator_steps

    def discriminator_terms(self, batch: Batch) -> Terms:
        real, fake = discriminator_cross_entropy(self.score(self.real(batch)), self.score(self.fake(batch)))
        return {"real": real, "fake": fake}

    def generator_terms(self, batch: Batch) -> Terms:
        score = self.score(self.fake(batch))
        return {"minimax": minimax(score)} if self.saturating else {"fooling": non_saturating(score)}

    def default_optimizers(self):
        # The paper's gradient descent with momentum needs a schedule for each data set; DCGAN's Adam does not.
        return {name: Adam(2e-4, beta_1=0.5) for name in ("discriminator", "generator")}
