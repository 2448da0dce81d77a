"""Gang of GANs: each WGAN with a margin starts from the last one, and must do better than it."""

import keras
import tensorflow as tf

from tfgen.endpoints import Latent, endpoint
from tfgen.models import AdversarialModel, Batch, Stage, Terms
from tfgen.networks import copies
from tfgen.objectives import margin_ranking
from tfgen.registry import register
from tfgen.specs import Images, Points


@register(
    "gogan",
    title="Gang of GANs: Generative Adversarial Networks with Maximum Margin Ranking",
    authors="F. Juefei-Xu, V. N. Boddeti, M. Savvides",
    year=2017,
    url="https://arxiv.org/abs/1704.04865",
    recipes={
        "digits": {"batch_size": 32, "epochs": 200, "model": {"latent_size": 16}},
        "ring": {"batch_size": 256, "epochs": 60, "model": {"latent_size": 2, "clip": 0.1}},
        "mnist": {"batch_size": 64, "epochs": 50, "model": {}},
    },
)
class GoGAN(AdversarialModel):
    r"""Generative adversarial networks in stages, by maximum margin ranking.

    .. math::
        L_{D_1} = E[D_1(G_1(z)) + \epsilon - D_1(x)]_+, \qquad
        L_{D_i} = L^{(i)}_{margin} + \lambda E[D_{i-1}(G_{i-1}(z)) + 2 \epsilon - D_i(x)]_+, \qquad
        L_{G_i} = -E[D_i(G_i(z))]

    over pairs of an example x and a code z. A pair whose gap exceeds the margin does not move the critic, where that
    of WGAN widens every gap without end. From the second stage on, which begins with the weights of the first, real
    examples must also outrank by twice the margin what the stage before makes. That term does not see D_i's own
    opinion of the former samples, so that a shift of D_i's bias satisfies it; with `same_critic` D_i scores them too,
    as in the authors' later RankGAN (arXiv:1812.08196). The former networks stay as they were.

    References:
        F. Juefei-Xu, V. N. Boddeti, M. Savvides, "Gang of GANs: Generative Adversarial Networks with Maximum Margin
        Ranking", 2017, https://arxiv.org/abs/1704.04865

    Arguments:
        example: pictures, or points.
        latent_size: of the code, which is Gaussian.
        width: features next to a picture (64 unless given), or of the two hidden layers for points (128).
        generator: codes to what networks see of examples; DCGAN's, or a perceptron's for points, unless given.
        discriminator: the critic, what networks see of examples to one number; the same without batch normalisation.
        generations: number of stages, each an equal part of the epochs.
        margin: epsilon.
        ranking: lambda, weight of the ranking of the former stage's samples.
        same_critic: whether these are scored by D_i instead of the former critic.
        clip: bound of the critic's weights.
        discriminator_steps: steps of the critic for one of G.
        kwargs: `seed`, `name`, `dtype`.
    """

    has_boundary = False

    def __init__(
        self,
        *,
        example: Images | Points = Images((28, 28, 1)),
        latent_size: int = 100,
        width: int | None = None,
        generator: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        generations: int = 3,
        margin: float = 1.0,
        ranking: float = 0.5,
        same_critic: bool = False,
        clip: float = 0.01,
        discriminator_steps: int = 5,
        **kwargs,
    ):
        networks = {"width": width, "generator": generator, "discriminator": discriminator, "normalize": False}
        super().__init__(example=example, latent_size=latent_size, **networks, **kwargs)
        self.generations, self.margin, self.ranking, self.same_critic = generations, margin, ranking, same_critic
        self.clip, self.discriminator_steps = clip, discriminator_steps
        # What the earlier stages ended with; the generator and the discriminator are always the present stage's.
        self.former_generators = copies(self.generator, generations)[1:]
        self.former_discriminators = copies(self.discriminator, generations)[1:]
        for network in (*self.former_generators, *self.former_discriminators):
            network.trainable = False

    def stages(self) -> list[Stage]:
        everyone = ("discriminator", "generator")
        return [Stage(f"generation {n + 1}", everyone, begin=self._keep) for n in range(self.generations)]

    def _keep(self, batches) -> None:
        """Keeps the networks of the stage that is over."""
        last = self.stage - 1
        self.former_generators[last].set_weights(self.generator.get_weights())
        self.former_discriminators[last].set_weights(self.discriminator.get_weights())

    def former(self, batch: Batch) -> tf.Tensor:
        """Returns the scores of samples of the stage before, float32 `(batch,)`."""
        z = self.latent_prior().sample(tf.shape(batch[self.example.key])[0], seed=self.seed())
        x = self.former_generators[self.stage - 1](z, training=False)
        if self.same_critic:
            return self.score(x)
        score = self.former_discriminators[self.stage - 1](x, training=False)
        return tf.cast(score[:, 0], tf.float32)

    def discriminator_terms(self, batch: Batch) -> Terms:
        real = self.score(self.real(batch))
        terms = {"margin": margin_ranking(real, self.score(self.fake(batch)), self.margin)}
        if self.stage > 0:
            terms["ranking"] = self.ranking * margin_ranking(real, self.former(batch), 2.0 * self.margin)
        return terms

    def generator_terms(self, batch: Batch) -> Terms:
        return {"critic": -tf.reduce_mean(self.score(self.fake(batch)))}

    def after_move(self, player, terms):
        if player.name == "discriminator":
            player.clip(self.clip)

    @endpoint(z=Latent())
    def all_generations(self, z):
        """Returns the examples that the generator of every stage makes of each code, `(batch, generations, ...)`.

        Those of stages that are still ahead are not trained.
        """
        past = self.former_generators[: self.stage]
        ahead = self.former_generators[self.stage :]
        x = [generator(z, training=False) for generator in (*past, self.generator, *ahead)]
        return tf.stack([self.example.from_network(one) for one in x], axis=1)

    def default_optimizers(self):
        return {name: keras.optimizers.RMSprop(5e-5, rho=0.99) for name in ("discriminator", "generator")}
