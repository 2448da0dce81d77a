"""Models that learn to sample by playing against a discriminator."""

import abc

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.endpoints import Count, Example, Latent, Seed, endpoint
from tfgen.models.generative import GenerativeModel, ensure_network
from tfgen.models.players import Batch, Player, Terms
from tfgen.networks import dcgan_discriminator, dcgan_generator, mlp
from tfgen.specs import Images, Points

tfd = tfp.distributions


class AdversarialModel(GenerativeModel):
    """A generator of examples from noise, and a discriminator that scores them.

    A model gives `discriminator_terms` and `generator_terms`, or lists other players. Terms are written with `real`,
    `fake` and `score`; a move differentiates with respect to its player's weights only, so they need no
    `stop_gradient`.

    Arguments:
        example: pictures, or points.
        latent_size: of the code.
        width: features next to a picture (64 unless given), or of the two hidden layers for points (128).
        generator: codes to what networks see of examples; DCGAN's, or a perceptron's for points, unless given.
        discriminator: what networks see of examples to `scores` numbers; the same.
        scores: how many numbers the discriminator gives.
        normalize: whether the default discriminator of pictures has batch normalisation.

    Raises:
        InputError: a network of other shapes, or pictures whose sides DCGAN's networks cannot halve.
    """

    #: Steps of the discriminator for one of the generator.
    discriminator_steps = 1

    def __init__(
        self,
        *,
        example: Images | Points,
        latent_size: int,
        width: int | None = None,
        generator: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        scores: int = 1,
        normalize: bool = True,
        **kwargs,
    ):
        super().__init__(example=example, **kwargs)
        self.latent_size, shape = latent_size, example.shape
        common = {"dtype": self.dtype_policy}
        if isinstance(example, Images):
            width = width or 64
            if generator is None:
                generator = dcgan_generator(latent_size, shape, width=width, **common)
            if discriminator is None:
                discriminator = dcgan_discriminator(shape, width=width, outputs=scores, normalize=normalize, **common)
        else:
            hidden = (width or 128,) * 2
            if generator is None:
                generator = mlp((latent_size,), shape, hidden=hidden, activation="relu", name="generator", **common)
            if discriminator is None:
                common |= {"activation": "leaky_relu", "name": "discriminator"}
                discriminator = mlp(shape, (scores,), hidden=hidden, **common)
        self.generator, self.discriminator = generator, discriminator
        ensure_network(type(self).__name__, "generator", self.generator, (latent_size,), shape)
        ensure_network(type(self).__name__, "discriminator", self.discriminator, shape, (scores,))

    def latent_prior(self) -> tfd.Distribution:
        """Returns p(z), event shape `(latent_size,)`."""
        return tfd.MultivariateNormalDiag(tf.zeros(self.latent_size), tf.ones(self.latent_size))

    @abc.abstractmethod
    def discriminator_terms(self, batch: Batch) -> Terms:
        """Returns what the discriminator descends."""

    @abc.abstractmethod
    def generator_terms(self, batch: Batch) -> Terms:
        """Returns what the generator descends."""

    def players(self) -> list[Player]:
        return [
            Player("discriminator", [self.discriminator], self.discriminator_terms),
            Player("generator", [self.generator], self.generator_terms, every=self.discriminator_steps),
        ]

    # What terms are written with.

    def real(self, batch: Batch) -> tf.Tensor:
        """Returns the batch's examples as networks see them."""
        return self.example.to_network(batch[self.example.key])

    def fake(self, batch: Batch) -> tf.Tensor:
        """Returns as many fresh samples as the batch has examples, as networks see them."""
        count = tf.shape(batch[self.example.key])[0]
        return self.generator(self.latent_prior().sample(count, seed=self.seed()), training=self.in_training)

    def score(self, x) -> tf.Tensor:
        """Returns the discriminator's output for what networks see, float32; `(batch,)` if it is one number."""
        score = tf.cast(self.discriminator(x, training=self.in_training), tf.float32)
        return tf.squeeze(score, -1) if score.shape[-1] == 1 else score

    # Endpoints.

    @endpoint(returns="example", z=Latent())
    def generate(self, z):
        """Returns the example of each code: uint8 levels, or float32 points, for float32 `(batch, latent_size)`."""
        return self.example.from_network(self.generator(z, training=False))

    @endpoint(returns="example", count=Count(), seed=Seed())
    def sample(self, count, seed=0):
        """Draws examples: uint8 levels `(count, height, width, channels)`, or float32 points `(count, size)`.

        Arguments:
            count: how many.
            seed: an int, or two int32; the same seed gives the same examples.
        """
        return self.generate(self.latent_prior().sample(count, seed=seed))

    @endpoint(returns="example", start=Latent(), stop=Latent(), steps=Count())
    def interpolate(self, start, stop, steps=8):
        """Returns the examples between two codes, `(batch, steps, ...)`.

        The line is straight for a uniform prior, and bent along the sphere for a Gaussian one, on whose straight
        lines lie codes too short to be typical (T. White, 2016, eq. 1).

        Arguments:
            start: codes of one end, float32 `(batch, latent_size)`.
            stop: codes of the other end, float32 `(batch, latent_size)`.
            steps: number of examples, ends included.
        """
        z = self._line(start[:, None], stop[:, None], tf.linspace(0.0, 1.0, steps)[:, None])
        examples = self.generate(tf.reshape(z, (-1, self.latent_size)))
        return tf.reshape(examples, (-1, steps, *self.example.shape))

    def _line(self, start, stop, t) -> tf.Tensor:
        if isinstance(self.latent_prior(), tfd.MultivariateNormalDiag):
            norms = tf.norm(start, axis=-1, keepdims=True) * tf.norm(stop, axis=-1, keepdims=True)
            # A code of zeros has no direction; it counts as orthogonal.
            cosine = tf.math.divide_no_nan(tf.reduce_sum(start * stop, -1, keepdims=True), norms)
            angle = tf.acos(tf.clip_by_value(cosine, -1.0 + 1e-6, 1.0 - 1e-6))
            return (tf.sin((1.0 - t) * angle) * start + tf.sin(t * angle) * stop) / tf.sin(angle)
        return (1.0 - t) * start + t * stop

    @endpoint(returns="example", a=Latent(), b=Latent(), c=Latent())
    def arithmetic(self, a, b, c):
        """Returns the example of mean(a) - mean(b) + mean(c), of shape `(1, ...)` (Radford et al. 2016, section 6.3).

        Arguments:
            a: codes of exemplars of a concept, float32 `(batch, latent_size)`; the paper averages three.
            b: codes of exemplars of the concept that is taken away.
            c: codes of exemplars of the concept that is added.
        """
        mean_a, mean_b, mean_c = (tf.reduce_mean(z, 0, keepdims=True) for z in (a, b, c))
        return self.generate(mean_a - mean_b + mean_c)

    @endpoint(returns="score", x=Example())
    def discriminate(self, x):
        """Returns the discriminator's score of examples, float32 `(batch,)`."""
        return self.score(self.example.to_network(x))

    def preview(self, count: int, seed: int = 0) -> tf.Tensor:
        """Returns examples to look at."""
        return self.sample(count, seed)
