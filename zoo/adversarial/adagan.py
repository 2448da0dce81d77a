"""AdaGAN: a mixture of GANs, each trained on what the mixture before it misses."""

import functools

import keras
import numpy as np
import tensorflow as tf

from tfgen.endpoints import Example, endpoint
from tfgen.models import AdversarialModel, Batch, Player, Stage, Terms
from tfgen.networks import Mixture, copies, default_discriminator, default_generator
from tfgen.objectives import discriminator_cross_entropy, make_reweighting, non_saturating
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images, Points


@register(
    "adagan",
    title="AdaGAN: Boosting Generative Models",
    authors="I. Tolstikhin, S. Gelly, O. Bousquet, C.-J. Simon-Gabriel, B. Schölkopf",
    year=2017,
    url="https://arxiv.org/abs/1701.02386",
    recipes={
        "digits": {"batch_size": 32, "epochs": 240, "model": {"latent_size": 16, "components": 4}},
        "ring": {"batch_size": 256, "epochs": 40, "model": {"latent_size": 2, "components": 8, "width": 32}},
        "grid": {"batch_size": 256, "epochs": 40, "model": {"latent_size": 2, "components": 8, "width": 32}},
        "mnist": {"batch_size": 64, "epochs": 60, "model": {"components": 5}},
    },
)
class AdaGAN(AdversarialModel):
    r"""A boosted mixture of generative adversarial networks.

    .. math::
        P_t = (1 - \beta_t) P_{t-1} + \beta_t Q_t, \qquad
        \frac{dQ_t^*}{dP_d} = \frac{1}{\beta_t} \left[\lambda^* - (1 - \beta_t) \frac{dP_{t-1}}{dP_d}\right]_+

    (eq. 2 and theorem 1). Before a component Q_t is trained, a classifier c learns to tell the data from the mixture
    so far; dP_{t-1}/dP_d is exp(-c(x)), the threshold lambda follows from it on all training data, and the component
    plays the game of `gan` against examples drawn with the weights of eq. 2's right side. Drawing is done within each
    batch, so that data need not fit into memory.

    References:
        I. Tolstikhin, S. Gelly, O. Bousquet, C.-J. Simon-Gabriel, B. Schölkopf, "AdaGAN: Boosting Generative Models",
        NIPS 2017, https://arxiv.org/abs/1701.02386

    Arguments:
        example: pictures, or points.
        latent_size: of a component's code; that of the mixture has one more number, which chooses the component.
        width: features next to a picture (64 unless given), or of the two hidden layers for points (128).
        generator: of a component, codes to what networks see of examples; DCGAN's, or a perceptron's for points,
            unless given. The further ones are copies with weights of their own.
        discriminator: of a component, what networks see of examples to one logit; the same.
        classifier: of data and mixture, as a discriminator; the same.
        components: T.
        beta: share of a new component; 1/t unless given, which makes all equal in the end.
        reweighting: name of the rule for the weights, see `tfgen.objectives.make_reweighting`.
        classifier_share: epochs of a classifier for one of a component.
        kwargs: `seed`, `name`, `dtype`.

    Raises:
        InputError: no such rule.
    """

    def __init__(
        self,
        *,
        example: Images | Points = Images((28, 28, 1)),
        latent_size: int = 100,
        width: int | None = None,
        generator: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        classifier: keras.Model | None = None,
        components: int = 10,
        beta: float | None = None,
        reweighting: str = "star",
        classifier_share: float = 1 / 3,
        **kwargs,
    ):
        common = {"width": width, "dtype": kwargs.get("dtype")}
        generators = copies(generator or default_generator(example, latent_size, **common), components)
        discriminators = copies(discriminator or default_discriminator(example, **common), components)
        # The first mixture is empty: there is nothing to classify.
        classifiers = copies(classifier or default_discriminator(example, **common), max(components - 1, 1))
        mixture = Mixture(generators, [1.0] + [0.0] * (components - 1))
        networks = {"generator": mixture, "discriminator": discriminators[-1]}
        super().__init__(example=example, latent_size=latent_size + 1, **networks, **kwargs)
        self.discriminators, self.classifiers = discriminators, classifiers[: components - 1]
        self.beta, self.reweighting = beta, make_reweighting(reweighting)
        self.classifier_share = classifier_share
        self.thresholds = self.add_weight(
            shape=(components,), dtype="float32", initializer="zeros", trainable=False, name="thresholds"
        )

    def players(self) -> list[Player]:
        players = []
        for t, (generator, discriminator) in enumerate(
            zip(self.generator.components, self.discriminators, strict=True)
        ):
            if t > 0:
                terms = functools.partial(self.classifier_terms, t)
                players.append(Player(f"classifier_{t + 1}", [self.classifiers[t - 1]], terms))
            terms = functools.partial(self.component_discriminator_terms, t)
            players.append(Player(f"discriminator_{t + 1}", [discriminator], terms))
            terms = functools.partial(self.component_generator_terms, t)
            players.append(Player(f"generator_{t + 1}", [generator], terms))
        return players

    def stages(self) -> list[Stage]:
        stages = []
        for t in range(len(self.discriminators)):
            if t > 0:
                stages.append(Stage(f"classifier {t + 1}", (f"classifier_{t + 1}",), self.classifier_share))
            begin = functools.partial(self.begin_component, t)
            stages.append(Stage(f"component {t + 1}", (f"discriminator_{t + 1}", f"generator_{t + 1}"), begin=begin))
        return stages

    def begin_component(self, t: int, batches) -> None:
        """Finds lambda, and gives component `t`, from 0, its share beta of the mixture."""
        beta = self.beta_of(t)
        h = np.concatenate([self.relative_density(t, self.real(batch)) for batch in batches])
        thresholds = self.thresholds.numpy()
        thresholds[t] = self.reweighting.threshold(h, beta)
        self.thresholds.assign(thresholds)
        shares = (1.0 - beta) * self.generator.shares
        shares[t] = beta
        self.generator.set_shares(shares)

    def beta_of(self, t: int) -> float:
        return 1.0 / (t + 1) if self.beta is None else self.beta

    def relative_density(self, t: int, x) -> tf.Tensor:
        """Returns dP_{t-1}/dP_d at what networks see of examples, float32 `(batch,)`, for component `t` from 1."""
        logit = self.classifiers[t - 1](x, training=False)
        return tf.exp(-tf.cast(logit[:, 0], tf.float32))

    def weights_of(self, t: int, x) -> tf.Tensor:
        """Returns the weights of examples for component `t`, relative to uniform ones, float32 `(batch,)`."""
        h = self.relative_density(t, x)
        return self.reweighting.weights(h, self.thresholds.value[t], self.beta_of(t))

    def reweighted(self, t: int, batch: Batch) -> tf.Tensor:
        """Returns as many examples as the batch has, drawn from it for component `t`."""
        x = self.real(batch)
        if t == 0:
            return x
        # A batch without a single example of weight is drawn from alike.
        cumulated = tf.cumsum(self.weights_of(t, x) + 1e-20)
        count = tf.shape(x)[0]
        u = tf.random.stateless_uniform((count,), self.seed(), maxval=cumulated[-1], alg="philox")
        return tf.gather(x, tf.minimum(tf.searchsorted(cumulated, u, side="right"), count - 1))

    def component_fake(self, t: int, batch: Batch) -> tf.Tensor:
        """Returns samples of component `t`."""
        z = self.latent_prior().sample(tf.shape(batch[self.example.key])[0], seed=self.seed())
        return self.generator.components[t](z[:, :-1], training=self.in_training)

    def component_score(self, t: int, x) -> tf.Tensor:
        return tf.cast(self.discriminators[t](x, training=self.in_training)[:, 0], tf.float32)

    def component_discriminator_terms(self, t: int, batch: Batch) -> Terms:
        real, fake = self.reweighted(t, batch), self.component_fake(t, batch)
        real, fake = discriminator_cross_entropy(self.component_score(t, real), self.component_score(t, fake))
        return {"real": real, "fake": fake}

    def component_generator_terms(self, t: int, batch: Batch) -> Terms:
        return {"fooling": non_saturating(self.component_score(t, self.component_fake(t, batch)))}

    def classifier_terms(self, t: int, batch: Batch) -> Terms:
        # The data as they are, not reweighted: c is to know the density of the mixture relative to theirs.
        classifier = self.classifiers[t - 1]
        logits = [classifier(x, training=self.in_training)[:, 0] for x in (self.real(batch), self.fake(batch))]
        real, fake = discriminator_cross_entropy(*(tf.cast(logit, tf.float32) for logit in logits))
        return {"real": real, "fake": fake}

    @endpoint(x=Example())
    def weigh(self, x):
        """Returns the weights that examples had for the last component: 0 where the mixture before it covered them.

        Arguments:
            x: uint8 levels `(batch, height, width, channels)`, or float32 points `(batch, size)`.

        Returns:
            float32 `(batch,)`; on the training data their mean is 1.
        """
        return self.weights_of(len(self.discriminators) - 1, self.example.to_network(x))

    def offers(self, name):
        return name != "weigh" or len(self.discriminators) > 1

    def default_optimizers(self):
        # The paper's gradient descent (rates 0.01 and 0.004) is for its toy; DCGAN's Adam does not need a search.
        return {player.name: Adam(2e-4, beta_1=0.5) for player in self.players()}
