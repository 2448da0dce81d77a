"""CVAE: what is not seen given what is, or examples of a class."""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import masks
from tfgen.distributions import DiagonalGaussian, Likelihood, Observed, Posterior, Prior
from tfgen.endpoints import Count, Example, Label, Latent, Mask, Seed, endpoint
from tfgen.errors import InputError
from tfgen.models import AmortizedModel, Batch, Player, RateWeight, Stage, Terms
from tfgen.models.generative import ensure_network
from tfgen.networks import mlp
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images, Labels, Masks, Points

tfd = tfp.distributions


@register(
    "cvae",
    title="Learning Structured Output Representation using Deep Conditional Generative Models",
    authors="K. Sohn, H. Lee, X. Yan",
    year=2015,
    url="https://papers.nips.cc/paper/5775-learning-structured-output-representation-using-deep-conditional-generative-models",
    recipes={
        "digits": {
            "batch_size": 64, "epochs": 150,
            "model": {
                "latent_size": 12, "hidden": (256, 256), "known": ((), ("upper_left", "upper_right"), ("lower_left",)),
            },
        },
        "mnist": {"batch_size": 100, "epochs": 100, "model": {"known": ((), ("lower_left",), ("lower_left", "upper_left"))}},
    },
)  # fmt: skip
class CVAE(AmortizedModel):
    r"""Conditional variational auto-encoder.

    .. math:: \log p(y|x) \ge E_{q(z|x,y)}[\log p(y|x,z)] - KL(q(z|x,y) \| p(z|x))

    (eq. 4) for what is hidden, y, given what is seen, x: some parts of an example, its class, or both. The prior is
    a network of x as well; codes of a new x are drawn from it, and its gap to q, which knows y, is the gap between training
    and use. The Gaussian stochastic neural network has no q at all; to `alpha` of the bound

    .. math:: \alpha L_{CVAE} + (1 - \alpha) E_{p(z|x)}[\log p(y|x,z)]

    (eqs. 6 and 7) adds the rest of that. All that is said of probabilities is about what is hidden: `log_prob` of codes
    from q, and `log_prob_from_prior` of codes from p(z|x), which is how it fares in use.

    References:
        K. Sohn, H. Lee, X. Yan, "Learning Structured Output Representation using Deep Conditional Generative Models", NIPS
        2015, https://papers.nips.cc/paper/5775-learning-structured-output-representation-using-deep-conditional-generative-models

    Arguments:
        example: pictures, or points.
        label: classes that are given.
        known: what is seen: for each of several masks the names of a picture's quadrants (`upper_left`, `upper_right`,
            `lower_left`, `lower_right`), or the numbers of a point's coordinates; `()` is a mask under which nothing is. Each
            example of a batch that has no `mask` draws one of them. Completions are good for these masks only.
        latent_size: of z.
        hidden: widths of the hidden layers of the encoder and of the prior's network; the decoder mirrors them.
        baseline: widths of the hidden layers of a network that predicts the likelihood's numbers from x alone. It is
            trained first, and the decoder's numbers are added to those (in the paper z depends on the prediction too).
        baseline_share: its epochs for one of the rest.
        alpha: in [0, 1].
        encoder: `[y, c]`, the whole example as networks see it and c, to the posterior's numbers. Of c `(batch, size)`
            are what is seen, 0 where nothing is; the mask; and the class, one-hot.
        decoder: codes with c behind them, `(batch, latent_size + size)`, to the likelihood's numbers.
        prior_network: c to the mean and the log-scale of p(z|x), `(batch, 2 * latent_size)`.
        posterior: family of q(z|x,y); the diagonal Gaussian unless given.
        prior: p(z), in place of p(z|x).
        likelihood: p(y|x,z); as of `vae` unless given. Where something is seen, one of independent pixels.
        rate: how much the divergence weighs in training; as in the bound unless given.
        kwargs: `seed`, `name`, `dtype`.

    Raises:
        InputError: nothing is given, or everything; no such part; or arguments that exclude each other.
    """

    def __init__(
        self,
        *,
        example: Images | Points = Images((28, 28, 1), 2),
        label: Labels | None = None,
        known: Sequence[Sequence[str | int]] = (),
        latent_size: int = 50,
        hidden: Sequence[int] = (500, 500),
        baseline: Sequence[int] | None = None,
        baseline_share: float = 0.25,
        alpha: float = 1.0,
        encoder: keras.Model | None = None,
        decoder: keras.Model | None = None,
        prior_network: keras.Model | None = None,
        posterior: Posterior | None = None,
        prior: Prior | None = None,
        likelihood: Likelihood | None = None,
        rate: RateWeight | None = None,
        **kwargs,
    ):
        family = masks.from_parts(example, known, "cvae: known")
        if not family.any() and label is None:
            raise InputError("cvae: it is given nothing; pass known=(('lower_left',),), label=Labels(count), or both")
        if not 0.0 <= alpha <= 1.0 or baseline_share <= 0.0 or (prior and prior_network):
            raise InputError(
                f"cvae: alpha={alpha}, baseline_share={baseline_share}; expected one in [0, 1] and one above 0, and only one "
                "of prior and prior_network"
            )
        mask = Masks(family.shape[1:]) if len(family) else None
        size = (label.count if label else 0) + (example.dimensions + math.prod(mask.shape) if mask else 0)
        parts = {"encoder": encoder, "decoder": decoder, "posterior": posterior, "prior": prior, "rate": rate}
        super().__init__(
            example=example, label=label, latent_size=latent_size, hidden=hidden, likelihood=likelihood,
            condition_size=size, **parts, **kwargs,
        )  # fmt: skip
        self.mask, self.family = mask, family.astype("float32")
        self.alpha, self.baseline_share = alpha, baseline_share
        self.p_z_given = DiagonalGaussian()
        common, numbers = {"activation": "tanh", "dtype": self.dtype_policy}, (2 * latent_size,)
        self.prior_network = prior_network
        if prior is None:
            self.prior_network = prior_network or mlp((size,), numbers, hidden=hidden, name="prior", **common)
            ensure_network("cvae", "prior's network", self.prior_network, (size,), numbers)
        # What the decoder was found to give; a subclassed network has no `output_shape`.
        gives = (*example.shape[:-1], example.shape[-1] * self.p_x.parameters)
        self.baseline = None if baseline is None else mlp((size,), gives, hidden=baseline, name="baseline", **common)
        if self.mask and not hasattr(self.p_x(tf.zeros((1, *gives)), example), "reinterpreted_batch_ndims"):
            raise InputError(f"cvae: {type(self.p_x).__name__} has no independent pixels, of which some could be seen")

    main_endpoint = property(lambda self: "sample" if self.offers("sample") else "complete")

    @property
    def optional_specs(self):
        return {self.mask.key: self.mask} if self.mask else {}

    def networks(self):
        return [*super().networks(), *([self.prior_network] if self.prior_network else [])]

    def players(self):
        model = Player("model", self.networks(), self.terms)
        return [Player("baseline", [self.baseline], self.baseline_terms), model] if self.baseline else [model]

    def stages(self):
        if not self.baseline:
            return super().stages()
        return [
            Stage("baseline", ("baseline",), self.baseline_share),
            Stage("model", ("model",), begin=lambda batches: self.keep_average("baseline")),
        ]

    def default_optimizers(self):
        return {player.name: Adam(1e-3) for player in self.players()}

    def given(self, batch: Batch):
        """Returns the labels alone, or with what is seen of examples; a batch without masks draws them, and keeps them."""
        x, label = batch[self.example.key], super().given(batch)
        if self.mask and self.mask.key not in batch:
            count = tf.shape(x)[:1]
            drawn = tf.random.stateless_uniform(count, self.seed(), 0, len(self.family), tf.int32, alg="philox")
            batch[self.mask.key] = tf.gather(self.family, drawn)
        return self._given(x, batch.get("mask"), label)

    def _given(self, x, mask, label):
        if self.mask is None:
            return label
        known = mask >= 0.5
        # Of what is hidden nothing may reach the prior and the decoder; it may even be no number.
        known = known[..., None] if isinstance(self.example, Images) else known
        return {"x": tf.where(known, x, tf.zeros_like(x)), "known": known, "label": label}

    def _nothing_seen(self, count, label):
        """Returns what is given where that is a class at most."""
        if self.mask is None:
            return label
        return self._given(tf.zeros((count, *self.example.shape)), tf.zeros((count, *self.mask.shape)), label)

    def condition(self, given):
        if self.mask is None:
            return super().condition(given)
        x, known = given["x"], given["known"]
        seen = tf.where(known, self.example.to_network(x), 0.0)
        parts = [tf.reshape(part, (tf.shape(x)[0], -1)) for part in (seen, tf.cast(known, tf.float32))]
        parts += [] if self.label is None else [super().condition(given["label"])]
        return tf.ensure_shape(tf.concat(parts, -1), (None, self.condition_size))

    def prior(self, given=None):
        if self.prior_network is None:
            return super().prior(given)
        numbers = self.prior_network(self.condition(given), training=self.in_training)
        return self.p_z_given(numbers, self.latent_size)

    def likelihood(self, z, given=None):
        """Returns p(y|x,z), of whole examples of which what is seen is certain; `z` is `(..., latent_size)`."""
        numbers = self._decoded(z, given)
        if self.baseline:
            numbers += self.baseline(self.condition(given))
        return self._partial(self.p_x(numbers, self.example), given)

    def _partial(self, p: tfd.Distribution, given) -> tfd.Distribution:
        if self.mask is None:
            return p
        return tfd.Independent(Observed(p.distribution, given["x"], given["known"]), p.reinterpreted_batch_ndims)

    def baseline_terms(self, batch: Batch) -> Terms:
        """Returns the nats of what is hidden under the prediction."""
        given = self.given(batch)
        numbers = self.baseline(self.condition(given), training=self.in_training)
        p = self._partial(self.p_x(numbers, self.example), given)
        return {"nll": -tf.reduce_mean(p.log_prob(self.event(batch[self.example.key], self.seed())))}

    def terms(self, batch: Batch) -> Terms:
        """Returns the two parts of the negative bound, and of codes from p(z|x) what they lack, each with its weight."""
        terms = super().terms(batch)
        if self.alpha == 1.0:
            return terms
        given, (of_z, of_x) = self.given(batch), tf.unstack(tf.random.split(self.seed(), 2, alg="philox"))
        x = batch[self.example.key]
        z = self._draw_latents(tf.shape(x)[0], of_z, given)
        gsnn = -tf.reduce_mean(self.likelihood(z, given).log_prob(self.event(x, of_x)))
        return {name: self.alpha * term for name, term in terms.items()} | {"gsnn": (1.0 - self.alpha) * gsnn}

    def figures(self, batch: Batch) -> Terms:
        """Returns those of the family, of what is hidden; where `evaluate` was asked for L_k, also by codes from p(z|x)."""
        figures, given = super().figures(batch), self.given(batch)
        if self.mask and isinstance(self.example, Images):
            hidden = tf.reduce_sum(tf.cast(~given["known"], tf.float32), (1, 2, 3)) * self.example.shape[2]
            figures["bits_per_dim"] = tf.math.divide_no_nan(-figures["elbo"], hidden * math.log(2.0))
        if self._importance_samples:
            x, k = batch[self.example.key], self._importance_samples
            figures["nats_from_prior"] = -self._from_prior(x, k, self.seed(), given)
        return figures

    def _from_prior(self, x, k, seed, given) -> tf.Tensor:
        """Returns log 1/k sum_i p(y|x, z_i) of codes from p(z|x), `(batch,)`."""
        prior = self.prior(given)
        if not prior.batch_shape.rank:
            prior = tfd.BatchBroadcast(prior, tf.shape(x)[:1])
        return self._importance_weighted(x, k, seed, given, prior)[0]

    def offers(self, name):
        if name == "complete":
            return self.mask is not None
        if name == "sample":
            return self.mask is None or not self.family.any(tuple(range(1, self.family.ndim))).all()
        return name not in ("interpolate", "manifold")

    @endpoint(returns="log_prob", x=Example(), mask=Mask(), importance_samples=Count(), seed=Seed(), label=Label())
    def log_prob(self, x, mask=None, importance_samples=64, seed=0, label=None):
        """Returns the importance-weighted lower bound L_k of log p(y|x) in nats, float32 `(batch,)`.

        Arguments:
            x: whole examples, uint8 levels `(batch, height, width, channels)`, or float32 points `(batch, size)`.
            mask: float32 `(batch, height, width)`, or `(batch, size)`; a pixel is seen where it is at least 0.5.
            importance_samples: k, codes from q(z|x,y); the bound rises with it towards log p(y|x).
            seed: an int, or two int32.
            label: int32 `(batch,)`, for a model that is given it.
        """
        return self._importance_weighted(x, importance_samples, seed, self._given(x, mask, label))[0]

    @endpoint(returns="log_prob", x=Example(), mask=Mask(), importance_samples=Count(), seed=Seed(), label=Label())
    def log_prob_from_prior(self, x, mask=None, importance_samples=64, seed=0, label=None):
        """Returns the same bound by codes from p(z|x), which do not know y; arguments as of `log_prob`."""
        return self._from_prior(x, importance_samples, seed, self._given(x, mask, label))

    @endpoint(x=Example(), mask=Mask(), label=Label())
    def encode(self, x, mask=None, label=None):
        """Returns `mean` and `scale` of q(z|x,y), each float32 `(batch, latent_size)`; arguments as of `log_prob`."""
        q = self.posterior(x, self._given(x, mask, label))
        return {"mean": self.centre(q), "scale": self.scale(q)}

    @endpoint(returns="example", z=Latent(), x=Example(partly=True), mask=Mask(), label=Label())
    def decode(self, z, x=None, mask=None, label=None):
        """Returns the mean of p(y|x,z), uint8 levels or float32 points, with what is seen as it is.

        Arguments:
            z: float32 `(batch, latent_size)`.
            x: examples of which only what is seen matters, for a model that completes them.
            mask, label: as of `log_prob`.
        """
        return self._output(self.typical(self.likelihood(z, self._given(x, mask, label))))

    @endpoint(returns="example", x=Example(), mask=Mask(), label=Label())
    def reconstruct(self, x, mask=None, label=None):
        """Returns examples decoded from the mean of q(z|x,y), with what is seen as it is; arguments as of `log_prob`."""
        given = {"x": x} if self.mask is not None else {}
        return self.decode(self.encode(x, mask, label)["mean"], mask=mask, label=label, **given)

    @endpoint(returns="example", x=Example(), mask=Mask(), seed=Seed(), label=Label())
    def complete(self, x, mask, seed=0, label=None):
        """Keeps what is seen and draws z ~ p(z|x), y ~ p(y|x,z): uint8 levels or float32 points of the shape of `x`.

        Arguments:
            x: uint8 levels `(batch, height, width, channels)`, or float32 points; what is not seen may be anything.
            mask: float32 `(batch, height, width)`, or `(batch, size)`; a pixel is seen where it is at least 0.5.
            seed: an int, or two int32.
            label: int32 `(batch,)`, for a model that is given it.
        """
        return self._drawn(tf.shape(x)[0], self._given(x, mask, label), seed)

    @endpoint(returns="example", count=Count(), seed=Seed(), label=Label())
    def sample(self, count, seed=0, label=None):
        """Draws whole examples, uint8 levels `(count, height, width, channels)` or points, of which nothing is seen.

        Arguments:
            count: how many.
            seed: an int, or two int32; the same seed gives the same examples.
            label: int32 `(count,)`, for a model that is given it.

        Raises:
            InputError: something is seen under each mask that the model knows.
        """
        if not self.offers("sample"):
            raise InputError("sample: this model completes examples; use complete, or have a mask () in known")
        return self._drawn(count, self._nothing_seen(count, label), seed)

    def _drawn(self, count, given, seed) -> tf.Tensor:
        of_z, of_y = tf.unstack(tf.random.split(seed, 2, alg="philox"))
        return self._output(self.likelihood(self._draw_latents(count, of_z, given), given).sample(seed=of_y))

    def preview(self, count: int, seed: int = 0, label=None) -> tf.Tensor:
        """Returns examples to look at: means of p(y|x,z) for codes from the prior, where nothing is seen."""
        with self._weights_to_show():
            given = self._nothing_seen(count, label)
            z = self._draw_latents(count, tf.constant([seed, 0]), given)
            return self._output(self.typical(self.likelihood(z, given)))
