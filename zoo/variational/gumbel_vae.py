"""Gumbel-softmax VAE: codes of categories, relaxed in training."""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from tfgen.distributions import Likelihood, OneHots, UniformOneHots
from tfgen.errors import InputError
from tfgen.models import AmortizedModel, Batch, RateWeight, Terms
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images, Points


@register(
    "gumbel_vae",
    title="Categorical Reparameterization with Gumbel-Softmax",
    authors="E. Jang, S. Gu, B. Poole",
    year=2017,
    url="https://arxiv.org/abs/1611.01144",
    recipes={
        "digits": {
            "batch_size": 64, "epochs": 120,
            "model": {"variables": 2, "classes": 32, "hidden": (256, 256), "annealing": 1e-3},
        },
        "mnist": {"batch_size": 100, "epochs": 100, "model": {}},
    },
)  # fmt: skip
class GumbelVAE(AmortizedModel):
    r"""Variational auto-encoder whose code is N variables of K categories.

    .. math:: y_k \propto \exp((\log \pi_k + g_k) / \tau), \quad g_k = -\log(-\log u_k), \quad \tau_t = \max(0.5, e^{-r t})

    (eq. 2) stands for a one-hot vector in the decoder while training, so that gradients reach the logits. The rate is that of
    the categories,

    .. math:: KL(q(z|x) \| p(z)) = \sum_k \pi_k \log(K \pi_k)

    for each variable, in closed form: then what training descends is no bound. With `prior_temperature` it is the negative
    bound of the relaxed model instead, from relaxed densities (Maddison et al.). What `evaluate`
    and `log_prob` give is of one-hot codes, a bound of the model itself. A prior draw has all categories equally often.

    References:
        E. Jang, S. Gu, B. Poole, "Categorical Reparameterization with Gumbel-Softmax", ICLR 2017,
        https://arxiv.org/abs/1611.01144
        C. J. Maddison, A. Mnih, Y. W. Teh, "The Concrete Distribution: A Continuous Relaxation of Discrete Random
        Variables", ICLR 2017, https://arxiv.org/abs/1611.00712

    Arguments:
        example: pictures, or points.
        variables: N.
        classes: K; a code is N one-hot vectors of size K one behind the other.
        annealing: r, by which the temperature falls with each step. (The paper changes it every 500 or 1000 steps.)
        lowest_temperature: where that ends.
        prior_temperature: of the relaxed p(y), for the bound of the relaxed model; the categories' rate unless given.
        straight_through: whether the decoder sees the nearest one-hot codes, with the gradient of the relaxed ones.
        hidden: widths of the encoder's hidden layers; the decoder mirrors them. (The paper's have rectifiers.)
        encoder: pictures in [-1, 1], or points, to the logits, `(batch, N * K)`.
        decoder: codes `(batch, N * K)` to the likelihood's parameters, as of `vae`.
        likelihood: p(x|z); as of `vae` unless given.
        rate: how much the divergence weighs in training; as in the bound unless given.
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        *,
        example: Images | Points = Images((28, 28, 1), 2),
        variables: int = 30,
        classes: int = 10,
        annealing: float = 3e-5,
        lowest_temperature: float = 0.5,
        prior_temperature: float | None = None,
        straight_through: bool = False,
        hidden: Sequence[int] = (512, 256),
        encoder: keras.Model | None = None,
        decoder: keras.Model | None = None,
        likelihood: Likelihood | None = None,
        rate: RateWeight | None = None,
        **kwargs,
    ):
        if variables < 1:
            raise InputError(f"gumbel_vae: {variables} variables, expected at least 1")
        for name, temperature in (
            ("lowest_temperature", lowest_temperature),
            ("prior_temperature", 1.0 if prior_temperature is None else prior_temperature),
        ):
            if not 0.0 < temperature < math.inf:
                raise InputError(f"gumbel_vae: {name}={temperature}, expected a positive number")
        if not 0.0 <= annealing < math.inf:
            raise InputError(f"gumbel_vae: annealing={annealing}, expected a number that is not negative")
        if straight_through and prior_temperature is not None:
            raise InputError(
                "gumbel_vae: straight_through shows the decoder codes that relaxed densities say nothing of; "
                "leave prior_temperature out"
            )
        parts = {"encoder": encoder, "decoder": decoder, "likelihood": likelihood, "rate": rate}
        parts |= {"posterior": OneHots(classes), "prior": UniformOneHots(classes)}
        super().__init__(example=example, latent_size=variables * classes, hidden=hidden, **parts, **kwargs)
        self.annealing, self.lowest_temperature = annealing, lowest_temperature
        self.prior_temperature, self.straight_through = prior_temperature, straight_through
        first = keras.initializers.Constant(max(lowest_temperature, 1.0))
        self.temperature = self.add_weight(
            shape=(), dtype="float32", initializer=first, trainable=False, name="temperature"
        )

    def terms(self, batch: Batch) -> Terms:
        """Returns the two parts of what training descends for relaxed codes, and of the negative bound in a test."""
        if not self.in_training:
            return super().terms(batch)
        of_y, of_x = tf.unstack(tf.random.split(self.seed(), 2, alg="philox"))
        x = batch[self.example.key]
        numbers = self._asked(self.example.to_network(x))
        q = self.q_z.relaxed(numbers, self.latent_size, self.temperature.value)
        log_y, log_q = q.experimental_sample_and_log_prob(seed=of_y)
        y = tf.exp(log_y)
        if self.prior_temperature is None:
            rates = self.rates(self.q_z(numbers, self.latent_size), self.prior(), y, log_q)
        else:
            rates = self.rates(q, self.p_z.relaxed(self.latent_size, self.prior_temperature), log_y, log_q)
        z = self.q_z.nearest(y) + y - tf.stop_gradient(y) if self.straight_through else y
        distortion = -self.likelihood(z).log_prob(self.event(x, of_x))
        return {"rate": self.rate(rates, self._steps.value), "distortion": tf.reduce_mean(distortion)}

    def after_move(self, player, terms):
        """Anneals the temperature."""
        steps = tf.cast(self._steps.value, tf.float32)
        self.temperature.assign(tf.maximum(self.lowest_temperature, tf.exp(-self.annealing * steps)))

    def default_optimizers(self):
        return {"model": Adam(keras.optimizers.schedules.ExponentialDecay(1e-3, 1000, 0.9))}
