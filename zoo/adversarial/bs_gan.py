"""BGAN, boundary-seeking: the discriminator's odds weigh draws, so that pixels may be discrete."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import replicas
from tfgen.endpoints import Count, Example, Seed, endpoint
from tfgen.errors import InputError
from tfgen.models.adversarial import AdversarialModel
from tfgen.models.players import Batch, Terms
from tfgen.networks import dcgan_generator
from tfgen.objectives import (
    advantages,
    discriminator_cross_entropy,
    effective_sample_size,
    importance_weights,
    least_squares,
)
from tfgen.optimizers import Adam
from tfgen.precision import full
from tfgen.registry import register
from tfgen.specs import Images, Points

tfd = tfp.distributions


@register(
    "bs_gan",
    title="Boundary-Seeking Generative Adversarial Networks",
    authors="R. D. Hjelm, A. P. Jacob, T. Che, A. Trischler, K. Cho, Y. Bengio",
    year=2018,
    url="https://arxiv.org/abs/1702.08431",
    recipes={
        "digits": {"batch_size": 32, "epochs": 100, "model": {"latent_size": 16}},
        "mnist": {"batch_size": 64, "epochs": 25, "model": {}},
    },
)
class BoundarySeekingGAN(AdversarialModel):
    r"""Boundary-seeking GAN.

    D is that of `gan`; at its best, e^l is p/q. For discrete pixels G gives the parameters of g(x|z), and descends

    .. math::
        -E_z \Big[ \sum_m \tilde w^m \log g(x^m | z) \Big], \quad \tilde w^m = \frac{e^{l(x^m)}}{\sum_{m'} e^{l(x^{m'})}},
        \quad x^m \sim g(x | z),

    the divergence of g(x|z) from what importance weights make of it, KL(w g(x|z) || g(x|z)), up to a constant. With
    `reinforce` the weights are rewards l less a baseline, and G climbs E_q[l] instead. For continuous examples

    .. math:: \frac{1}{2} E_z[(l(G(z)) - \log \hat Z)^2], \quad \hat Z \approx E_q[e^l]

    draws samples to the boundary, on which D cannot tell them from data. That does not look for modes that are missing.

    References:
        R. D. Hjelm, A. P. Jacob, T. Che, A. Trischler, K. Cho, Y. Bengio, "Boundary-Seeking Generative Adversarial
        Networks", ICLR 2018, https://arxiv.org/abs/1702.08431

    Arguments:
        example: pictures, or points.
        latent_size: of the code, which is Gaussian (the authors' code: 64 for discrete pixels, 128 else).
        width: features next to a picture (64 unless given), or of the two hidden layers for points (128).
        generator: codes to what networks see of examples; DCGAN's, or a perceptron's for points, unless given. For
            discrete pixels to logits `(height, width, channels)` of binary ones, or `(height, width, channels *
            levels)`, DCGAN's without its normalisation and its last activation unless given.
        discriminator: what networks see of examples to one logit; DCGAN's, without normalisation for discrete pixels,
            or a perceptron's for points, unless given.
        discrete: whether pixels are drawn from a distribution over their levels; those of binary pictures are unless
            this is false.
        draws: M, of each code, for discrete pixels.
        reinforce: whether draws are weighted by their reward, for discrete pixels.
        decay: of the running Z, for continuous examples, in [0, 1]; 1 fixes log Z at 0.
        kwargs: `seed`, `name`, `dtype`.

    Raises:
        InputError: discrete points, fewer than two draws, or a decay out of range.
    """

    def __init__(
        self,
        *,
        example: Images | Points = Images((28, 28, 1), 2),
        latent_size: int = 64,
        width: int | None = None,
        generator: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        discrete: bool | None = None,
        draws: int = 20,
        reinforce: bool = False,
        decay: float = 0.995,
        **kwargs,
    ):
        if discrete is None:
            discrete = isinstance(example, Images) and example.levels == 2
        if discrete and not isinstance(example, Images):
            raise InputError("bs_gan: points are not discrete; leave out discrete=True")
        if draws < 2 or not 0.0 <= decay <= 1.0:
            raise InputError(
                f"bs_gan: {draws} draws and decay {decay}, expected 2 draws at least and a decay in [0, 1]"
            )
        shape = example.shape
        if discrete:
            *sides, channels = shape
            shape = (*sides, channels * (1 if example.levels == 2 else example.levels))
            if generator is None:
                plain = {"normalize": False, "output_activation": None, "dtype": kwargs.get("dtype")}
                generator = dcgan_generator(latent_size, shape, width=width or 64, **plain)
        networks = {"width": width, "generator": generator, "discriminator": discriminator, "normalize": not discrete}
        super().__init__(example=example, latent_size=latent_size, **networks, generator_shape=shape, **kwargs)
        self.discrete, self.draws, self.reinforce, self.decay = discrete, draws, reinforce, decay
        self.log_z = self.add_weight(shape=(), initializer="zeros", trainable=False, name="log_z")

    def conditional(self, z) -> tfd.Distribution:
        """Returns g(x|z) of discrete pixels: batch shape `(batch,)`, event shape that of an example, float levels."""
        logits = full(self.generator(z, training=self.in_training))
        if self.example.levels == 2:
            return tfd.Independent(tfd.Bernoulli(logits=logits, dtype=tf.float32), 3)
        logits = tf.reshape(logits, (-1, *self.example.shape, self.example.levels))
        return tfd.Independent(tfd.Categorical(logits=logits, dtype=tf.float32), 3)

    def codes(self, batch: Batch) -> tf.Tensor:
        """Returns as many fresh codes as the batch has examples."""
        return self.latent_prior().sample(tf.shape(batch[self.example.key])[0], seed=self.seed())

    def fake(self, batch: Batch) -> tf.Tensor:
        if not self.discrete:
            return super().fake(batch)
        return self.example.to_network(self.conditional(self.codes(batch)).sample(seed=self.seed()))

    def discriminator_terms(self, batch: Batch) -> Terms:
        real, fake = discriminator_cross_entropy(self.score(self.real(batch)), self.score(self.fake(batch)))
        return {"real": real, "fake": fake}

    def drawn(self, batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns l and log g(x|z) of M draws x of each of the batch's codes, `(draws, batch)`."""
        g = self.conditional(self.codes(batch))
        x = g.sample(self.draws, seed=self.seed())
        score = self.score(tf.reshape(self.example.to_network(x), (-1, *self.example.shape)))
        return tf.reshape(score, (self.draws, -1)), g.log_prob(x)

    def generator_terms(self, batch: Batch) -> Terms:
        if not self.discrete:
            score = self.score(self.fake(batch))
            return {"boundary": least_squares(score, self.running_log_z(score))}
        score, log_g = self.drawn(batch)
        weights = advantages(score) if self.reinforce else importance_weights(score)
        return {"likelihood": -tf.reduce_mean(tf.reduce_sum(weights * log_g, 0))}

    def running_log_z(self, score) -> tf.Tensor:
        """Returns the logarithm of the running mean of e^l, which a step of training moves by a batch."""
        if self.in_training:
            score = replicas.gather(tf.stop_gradient(score))
            log_mean = tf.reduce_logsumexp(score) - tf.math.log(tf.cast(tf.size(score), tf.float32))
            shares = tf.math.log([self.decay, 1.0 - self.decay])
            self.log_z.assign(tf.reduce_logsumexp(tf.stack([self.log_z.value, log_mean]) + shares))
        return tf.stop_gradient(self.log_z.value)

    def figures(self, batch: Batch) -> Terms:
        """Returns of how many equal draws of a code the M weighted ones are worth, for discrete pixels."""
        if not self.discrete:
            return {}
        return {"effective_sample_size": effective_sample_size(importance_weights(self.drawn(batch)[0]))}

    def monitors(self, terms):
        return {} if self.discrete else {"log_z": self.log_z.value}

    def generate(self, z, label=None):
        """Returns the example of each code, of discrete pixels the most likely levels."""
        return tf.cast(self.conditional(z).mode(), tf.uint8) if self.discrete else super().generate(z)

    def sample(self, count, seed=0, label=None):
        """Draws codes and, of discrete pixels, levels.

        Arguments:
            count: how many.
            seed: an int, or two int32; the same seed gives the same examples.
        """
        if not self.discrete:
            return super().sample(count, seed)
        of_z, of_x = tf.unstack(tf.random.split(seed, 2, alg="philox"))
        return tf.cast(self.conditional(self.latent_prior().sample(count, seed=of_z)).sample(seed=of_x), tf.uint8)

    @endpoint(x=Example())
    def ratio(self, x):
        """Returns e^l of examples, float32 `(batch,)`: p/q as far as D knows it, the weights of samples."""
        return tf.exp(self.score(self.example.to_network(x)))

    @endpoint(returns="example", count=Count(), candidates=Count(), seed=Seed())
    def resample(self, count, candidates=20, seed=0):
        """Draws examples from what importance weights make of the samples' distribution.

        Arguments:
            count: how many.
            candidates: samples for each, of which one is taken with a probability in proportion to its ratio.
            seed: an int, or two int32; the same seed gives the same examples.
        """
        of_x, of_choice = tf.unstack(tf.random.split(seed, 2, alg="philox"))
        x = self.sample(count * candidates, of_x)
        score = tf.reshape(self.score(self.example.to_network(x)), (count, candidates))
        uniform = tf.random.stateless_uniform((count, candidates), of_choice, 1e-30, 1.0, alg="philox")
        chosen = tf.argmax(score - tf.math.log(-tf.math.log(uniform)), -1)
        return tf.gather(tf.reshape(x, (count, candidates, *self.example.shape)), chosen, batch_dims=1)

    def default_optimizers(self):
        return {name: Adam(1e-4, beta_1=0.5) for name in ("discriminator", "generator")}
