"""Models that learn to sample by playing against a discriminator."""

from collections.abc import Sequence

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.endpoints import Count, Example, Label, Latent, Seed, endpoint
from tfgen.errors import InputError
from tfgen.models.generative import GenerativeModel, ensure_network
from tfgen.models.lines import analogy, arc, places, straight
from tfgen.models.players import Batch, Player, Terms
from tfgen.networks import default_discriminator, default_generator
from tfgen.precision import full
from tfgen.specs import Images, Labels, Points

tfd = tfp.distributions


def uniform_codes(size: int) -> tfd.Distribution:
    """Returns the uniform distribution over [-1, 1] in each of `size` coordinates, event shape `(size,)`."""
    return tfd.Independent(tfd.Uniform(-tf.ones(size), tf.ones(size)), 1)


class AdversarialModel(GenerativeModel):
    """A generator of examples from noise, and a discriminator that scores them.

    A model gives `discriminator_terms` and `generator_terms`, or lists other players. Terms are written with `real`,
    `fake` and `score`; a move differentiates with respect to its player's weights only, so they need no
    `stop_gradient`.

    Arguments:
        example: pictures, or points.
        latent_size: of the code.
        width: features next to a picture (64 unless given), or of the two hidden layers for points (128).
        hidden: widths of the hidden layers of perceptrons in place of that; the generator has them in reverse.
        generator: codes to what networks see of examples; DCGAN's, or a perceptron's for points, unless given.
        discriminator: what networks see of examples to `scores` numbers; the same.
        scores: how many numbers the discriminator gives.
        normalize: whether DCGAN's discriminator has batch normalisation, unless another one is given.
        noise: standard deviation of the Gaussian noise that is added to a default discriminator's input in training.
        hidden_noise: of the noise behind its hidden layers.
        generator_shape: of what a generator that is passed in gives for a code, if not an example's.
        discriminator_shape: of what a discriminator that is passed in gives for an example, if not `scores` numbers;
            the model then has a `score` of its own.
        label: classes of the examples, for a model that learns from them.
        condition: classes that samples can be asked for; the generator then takes a code with a one in the place of
            the class behind it, `(batch, latent_size + count)`.

    Raises:
        InputError: a network of other shapes, pictures whose sides DCGAN's networks cannot halve, or partial labels
            for a model that needs all of them.
    """

    #: Whether it makes do with labels of which some are not known.
    partial_labels = False

    #: Steps of the discriminator for one of the generator.
    discriminator_steps = 1
    #: Whether `realness` is positive where the discriminator takes an example for real; if not, only its order counts.
    has_boundary = True

    def __init__(
        self,
        *,
        example: Images | Points,
        latent_size: int,
        width: int | None = None,
        hidden: Sequence[int] | None = None,
        generator: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        scores: int = 1,
        normalize: bool = True,
        noise: float = 0.0,
        hidden_noise: float = 0.0,
        generator_shape: Sequence[int] | None = None,
        discriminator_shape: Sequence[int] | None = None,
        label: Labels | None = None,
        condition: Labels | None = None,
        **kwargs,
    ):
        super().__init__(example=example, label=label, **kwargs)
        if label is not None and label.partial and not self.partial_labels:
            raise InputError(f"{type(self).__name__}: needs the labels of all examples; some are not known")
        self.condition = condition
        self.latent_size, shape = latent_size, example.shape
        code_size = latent_size + (condition.count if condition else 0)
        common = {"width": width, "dtype": self.dtype_policy}
        if generator is None:
            generator = default_generator(example, code_size, hidden=hidden and hidden[::-1], **common)
        if discriminator is None:
            common |= {"hidden": hidden, "normalize": normalize, "noise": noise, "hidden_noise": hidden_noise}
            discriminator = default_discriminator(example, scores, **common)
        self.generator, self.discriminator = generator, discriminator
        ensure_network(type(self).__name__, "generator", self.generator, (code_size,), generator_shape or shape)
        given = discriminator_shape or (scores,)
        ensure_network(type(self).__name__, "discriminator", self.discriminator, shape, given)

    def latent_prior(self) -> tfd.Distribution:
        """Returns p(z), event shape `(latent_size,)`."""
        return tfd.MultivariateNormalDiag(tf.zeros(self.latent_size), tf.ones(self.latent_size))

    def discriminator_terms(self, batch: Batch) -> Terms:
        """Returns what the discriminator descends, unless a model lists other players."""
        raise NotImplementedError

    def generator_terms(self, batch: Batch) -> Terms:
        """Returns what the generator descends, unless a model lists other players."""
        raise NotImplementedError

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
        """Returns as many fresh samples as the batch has, as networks see them, float32; of its classes if asked."""
        count = tf.shape(batch[self.example.key])[0]
        z = self.latent_prior().sample(count, seed=self.seed())
        return full(self.generator(self.with_class(z, batch.get("label")), training=self.in_training))

    def with_class(self, z, label=None) -> tf.Tensor:
        """Returns codes as the generator takes them: where samples can be asked for by class, with that behind."""
        if self.condition is None:
            return z
        return tf.concat([z, tf.one_hot(label, self.condition.count, dtype=z.dtype)], -1)

    def score(self, x) -> tf.Tensor:
        """Returns the discriminator's output for what networks see, float32; `(batch,)` if it is one number."""
        score = tf.cast(self.discriminator(x, training=self.in_training), tf.float32)
        return tf.squeeze(score, -1) if score.shape[-1] == 1 else score

    def realness(self, score) -> tf.Tensor:
        """Returns how real the discriminator finds an example to which it gave such a score."""
        return score

    # Endpoints.

    @endpoint(returns="example", z=Latent(), label=Label("condition"))
    def generate(self, z, label=None):
        """Returns the example of each code: uint8 levels, or float32 points, for float32 `(batch, latent_size)`."""
        return self.example.from_network(self.generator(self.with_class(z, label), training=False))

    @endpoint(returns="example", count=Count(), seed=Seed(), label=Label("condition"))
    def sample(self, count, seed=0, label=None):
        """Draws examples: uint8 levels `(count, height, width, channels)`, or float32 points `(count, size)`.

        Arguments:
            count: how many.
            seed: an int, or two int32; the same seed gives the same examples.
            label: int32 `(count,)`, where samples can be asked for by class.
        """
        return self.generate(self.latent_prior().sample(count, seed=seed), label)

    @endpoint(returns="example", start=Latent(), stop=Latent(), steps=Count(), label=Label("condition"))
    def interpolate(self, start, stop, steps=8, label=None):
        """Returns the examples between two codes, `(batch, steps, ...)`.

        The line is straight for a uniform prior, and bent along the sphere for a Gaussian one, on whose straight
        lines lie codes too short to be typical (T. White, 2016, eq. 1).

        Arguments:
            start: codes of one end, float32 `(batch, latent_size)`.
            stop: codes of the other end, float32 `(batch, latent_size)`.
            steps: number of examples, ends included.
            label: int32 `(batch,)`, where samples can be asked for by class.
        """
        line = arc if isinstance(self.latent_prior(), tfd.MultivariateNormalDiag) else straight
        z = line(start[:, None], stop[:, None], places(steps))
        repeated = None if label is None else tf.repeat(label, steps)
        examples = self.generate(tf.reshape(z, (-1, self.latent_size)), repeated)
        return tf.reshape(examples, (-1, steps, *self.example.shape))

    @endpoint(returns="example", a=Latent(), b=Latent(), c=Latent())
    def arithmetic(self, a, b, c):
        """Returns the example of mean(a) - mean(b) + mean(c), of shape `(1, ...)` (Radford et al. 2016, section 6.3).

        Arguments:
            a: codes of exemplars of a concept, float32 `(batch, latent_size)`; the paper averages three.
            b: codes of exemplars of the concept that is taken away.
            c: codes of exemplars of the concept that is added.

        Raises:
            InputError: samples are asked for by class.
        """
        if self.condition is not None:
            raise InputError("arithmetic: codes of several examples, which may be of several classes; use generate")
        return self.generate(analogy(a, b, c))

    @endpoint(returns="score", x=Example())
    def discriminate(self, x):
        """Returns the discriminator's score of examples, float32 `(batch,)`."""
        return self.score(self.example.to_network(x))

    def offers(self, name: str) -> bool:
        return name != "arithmetic" or self.condition is None

    def preview(self, count: int, seed: int = 0, label=None) -> tf.Tensor:
        """Returns examples to look at."""
        return self.sample(count, seed, **({} if label is None else {"label": label}))
