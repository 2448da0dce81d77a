"""Bayesian GAN: the weights of both players are drawn from posteriors instead of optimised."""

import keras
import tensorflow as tf

from tfgen.endpoints import Example, endpoint
from tfgen.models import AdversarialModel, Batch, Player, Stage, Terms
from tfgen.networks import Mixture, copies, default_discriminator, default_generator
from tfgen.optimizers import SGHMC, Adam
from tfgen.precision import steady_sum
from tfgen.registry import register
from tfgen.specs import Images, Points


@register(
    "bayesian_gan",
    title="Bayesian GAN",
    authors="Y. Saatchi, A. G. Wilson",
    year=2017,
    url="https://arxiv.org/abs/1705.09558",
    recipes={
        "digits": {
            "batch_size": 32, "epochs": 100,
            "model": {"latent_size": 16, "generator_draws": 3, "chains": 1, "data_size": 1438},
        },
        "ring": {
            "batch_size": 256, "epochs": 25,
            "model": {"latent_size": 2, "generator_draws": 6, "chains": 1, "data_size": 50_000, "width": 64},
        },
        "mnist": {"batch_size": 64, "epochs": 25, "model": {"data_size": 60_000}},
    },
)  # fmt: skip
class BayesianGAN(AdversarialModel):
    r"""Bayesian generative adversarial network.

    .. math::
        U_g = -N E_z[\log D(G(z; \theta_g); \theta_d)] + \frac{\|\theta_g\|^2}{2 s^2}, \qquad
        U_d = -N (E_p[\log D(x)] + E_z[\log(1 - D(G(z)))]) + \frac{\|\theta_d\|^2}{2 s^2}

    the negative logarithms of eq. 1 and 2, on the scale of all N examples, with the prior N(0, s^2) on all weights. Both
    are sampled by stochastic gradient Hamiltonian Monte Carlo (algorithm 1) after a warm-up that descends them with
    Adam, as the authors' code does. Every U averages over the present draws of the other side. Samples come from the
    posterior predictive: each from one of the generators.

    References:
        Y. Saatchi, A. G. Wilson, "Bayesian GAN", NIPS 2017, https://arxiv.org/abs/1705.09558

    Arguments:
        example: pictures, or points.
        latent_size: of a generator's code; that of the mixture has one more number, which chooses the generator.
        width: features next to a picture (64 unless given), or of the two hidden layers for points (128).
        generator: codes to what networks see of examples; DCGAN's, or a perceptron's for points, unless given. Further
            draws are copies with weights of their own.
        discriminator: what networks see of examples to one logit; the same.
        generator_draws: J_g, simple Monte Carlo draws of the generator.
        discriminator_draws: J_d, those of the discriminator.
        chains: M, Markov chains of each draw; there are J_g M generators and J_d M discriminators.
        data_size: N, number of training examples.
        prior_deviation: s.
        friction: alpha of the sampler.
        warm_up: share of the epochs before the sampler's.
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
        generator_draws: int = 10,
        discriminator_draws: int = 1,
        chains: int = 2,
        data_size: int = 60_000,
        prior_deviation: float = 10.0,
        friction: float = 0.5,
        warm_up: float = 1 / 3,
        **kwargs,
    ):
        common = {"width": width, "dtype": kwargs.get("dtype")}
        generators = copies(generator or default_generator(example, latent_size, **common), generator_draws * chains)
        discriminators = copies(discriminator or default_discriminator(example, **common), discriminator_draws * chains)
        mixture = Mixture(generators, [1.0 / len(generators)] * len(generators))
        networks = {"generator": mixture, "discriminator": discriminators[0]}
        super().__init__(example=example, latent_size=latent_size + 1, **networks, **kwargs)
        self.discriminators = discriminators
        self.data_size, self.prior_deviation = data_size, prior_deviation
        self.friction, self.warm_up = friction, warm_up

    def players(self) -> list[Player]:
        generators = self.generator.components
        return [
            Player("warm_discriminator", self.discriminators, self.discriminator_terms),
            Player("warm_generator", generators, self.generator_terms),
            Player("discriminator", self.discriminators, self.discriminator_terms),
            Player("generator", generators, self.generator_terms),
        ]

    def stages(self) -> list[Stage]:
        return [
            Stage("warm-up", ("warm_discriminator", "warm_generator"), self.warm_up),
            Stage("sampling", ("discriminator", "generator"), 1.0 - self.warm_up),
        ]

    def scores(self, x) -> tf.Tensor:
        """Returns every discriminator's logit for what networks see, float32 `(discriminators, batch)`."""
        scores = [discriminator(x, training=self.in_training)[:, 0] for discriminator in self.discriminators]
        return tf.cast(tf.stack(scores), tf.float32)

    def score(self, x) -> tf.Tensor:
        """Returns the logit of the probability that the discriminators' mean gives to being real, `(batch,)`."""
        scores = self.scores(x)
        real = tf.reduce_logsumexp(tf.math.log_sigmoid(scores), 0)
        return real - tf.reduce_logsumexp(tf.math.log_sigmoid(-scores), 0)

    def fakes(self, batch: Batch) -> tf.Tensor:
        """Returns as many samples of every generator as the batch has examples, one generator behind the other."""
        components, count = self.generator.components, tf.shape(batch[self.example.key])[0]
        z = self.latent_prior().sample(len(components) * count, seed=self.seed())[:, :-1]
        parts = zip(components, tf.split(z, len(components)), strict=True)
        return tf.concat([generator(part, training=self.in_training) for generator, part in parts], 0)

    def prior(self, networks) -> tf.Tensor:
        """Returns the negative logarithm of the prior of networks' trainable weights, up to a constant."""
        squares = [tf.reduce_sum(tf.square(w.value)) for network in networks for w in network.trainable_weights]
        return steady_sum(squares) / (2.0 * self.prior_deviation**2)

    def discriminator_terms(self, batch: Batch) -> Terms:
        real, fake = (tf.nn.softplus(s) for s in (-self.scores(self.real(batch)), self.scores(self.fakes(batch))))
        # A potential for each discriminator: means over examples, generators and codes, and a sum over these.
        return {
            "real": self.data_size * tf.reduce_sum(tf.reduce_mean(real, 1)),
            "fake": self.data_size * tf.reduce_sum(tf.reduce_mean(fake, 1)),
            "prior": self.prior(self.discriminators),
        }

    def generator_terms(self, batch: Batch) -> Terms:
        components = self.generator.components
        fooling = tf.reduce_mean(tf.nn.softplus(-self.scores(self.fakes(batch))))
        return {"fooling": self.data_size * len(components) * fooling, "prior": self.prior(components)}

    @endpoint(x=Example())
    def disagreement(self, x):
        """Returns the standard deviation, over the posterior, of the probability of being real, float32 `(batch,)`.

        Arguments:
            x: uint8 levels `(batch, height, width, channels)`, or float32 points `(batch, size)`.
        """
        return tf.math.reduce_std(tf.sigmoid(self.scores(self.example.to_network(x))), 0)

    def default_optimizers(self):
        sampler = {"learning_rate": 4e-3 / self.data_size, "friction": self.friction, "seed": self._random_key}
        return {
            "warm_discriminator": Adam(2e-4, beta_1=0.5),
            "warm_generator": Adam(2e-4, beta_1=0.5),
            "discriminator": SGHMC(**sampler, name="discriminator"),
            "generator": SGHMC(**sampler, name="generator"),
        }
