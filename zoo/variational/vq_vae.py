"""VQ-VAE: discrete codes from a codebook, and a PixelCNN as their prior."""

import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf

from tfgen import replicas
from tfgen.distributions import Likelihood, default_likelihood
from tfgen.endpoints import Count, Example, Input, Label, Seed, Tensor, endpoint
from tfgen.errors import InputError
from tfgen.layers import VectorQuantizer
from tfgen.models import Batch, GatedAutoregressiveModel, GenerativeModel, Player, Stage, Terms
from tfgen.models.generative import ensure_network
from tfgen.models.meters import Perplexity
from tfgen.networks import residual_decoder, residual_encoder
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Codes, Images, Labels


@dataclasses.dataclass(frozen=True)
class CodeMap(Input):
    """A batch of maps of codes, int32 `(batch, height, width)`."""

    def tensor_spec(self, model, parameter):
        return tf.TensorSpec((None, *model.code_map.shape[:2]), tf.int32, name=parameter)

    def convert(self, value, model, parameter):
        return model.code_map.validate(value, parameter)[..., 0]

    def reference(self, model, count, seed):
        return np.random.default_rng(seed).integers(
            0, model.code_map.levels, (count, *model.code_map.shape[:2]), np.int32
        )


@register(
    "vq_vae",
    title="Neural Discrete Representation Learning",
    authors="A. van den Oord, O. Vinyals, K. Kavukcuoglu",
    year=2017,
    url="https://arxiv.org/abs/1711.00937",
    recipes={
        "digits": {
            "batch_size": 32,
            "epochs": 65,
            "model": {
                "codebook_size": 128, "code_size": 16, "width": 32, "prior_width": 32, "prior_depth": 3, "prior_share": 0.08,
            },
        },
        "mnist": {"batch_size": 128, "epochs": 60, "model": {"codebook_size": 64, "code_size": 16, "width": 64}},
        "cifar10": {"batch_size": 128, "epochs": 100, "model": {}},
    },
)  # fmt: skip
class VQVAE(GenerativeModel):
    r"""Vector-quantised variational auto-encoder, and the prior of its codes.

    .. math::
        L = -\log p(x|z_q) + \|sg(z_e) - e\|^2 + \beta \|z_e - sg(e)\|^2, \qquad z_q = e_k, \quad
        k = argmin_j \|z_e - e_j\|

    (eq. 3) for the latents z_e that the encoder gives: a map, of which each place takes a code; the last two terms are
    means over places. The second is only there `by_gradient`; else codes are moving averages (appendix A.1). Codes
    begin as outputs of the encoder for the first batch, and those that fall out of use go back to such an output
    (neither is the paper's).

    While these are trained the prior is uniform. Then they stay, and a Gated PixelCNN learns the maps of codes; so

    .. math:: \log p(x) \ge \log p(x|z_q(x)) + \log p(k(x))

    is one term of the sum over all maps.

    References:
        A. van den Oord, O. Vinyals, K. Kavukcuoglu, "Neural Discrete Representation Learning", NIPS 2017,
        https://arxiv.org/abs/1711.00937

    Arguments:
        example: pictures of any size.
        label: classes, of which the prior alone knows.
        codebook_size: K; a map costs height * width * log2(K) bits.
        code_size: D.
        width: features of the encoder and of the decoder.
        halvings: how often the encoder halves the sides, which are rounded up.
        blocks: residual blocks of each of the two.
        encoder: pictures in [-1, 1] to maps `(batch, height, width, D)`, of any height and width.
        decoder: such maps to the likelihood's parameters `(batch, height, width, channels * parameters)`.
        likelihood: p(x|z_q); Bernoulli for binary pictures, the discretized logistic for others, unless given.
        beta: of the commitment; from 0.1 to 2 the paper found no difference.
        by_gradient: whether codes are weights that a loss moves.
        prior_width: features of the prior's stacks.
        prior_depth: number of its layers.
        prior_share: its epochs for one of the auto-encoder.
        kwargs: `seed`, `name`, `dtype`.

    Raises:
        InputError: sizes out of range, or networks of other shapes.
    """

    def __init__(
        self,
        *,
        example: Images = Images((32, 32, 3)),
        label: Labels | None = None,
        codebook_size: int = 512,
        code_size: int = 64,
        width: int = 256,
        halvings: int = 2,
        blocks: int = 2,
        encoder: keras.Model | None = None,
        decoder: keras.Model | None = None,
        likelihood: Likelihood | None = None,
        beta: float = 0.25,
        by_gradient: bool = False,
        prior_width: int = 64,
        prior_depth: int = 7,
        prior_share: float = 1.0,
        **kwargs,
    ):
        super().__init__(example=example, label=label, **kwargs)
        if min(codebook_size - 1, code_size, halvings) < 1 or min(beta, prior_share) <= 0.0:
            raise InputError(
                f"vq_vae: codebook_size={codebook_size}, code_size={code_size}, halvings={halvings}, beta={beta}, prior_share="
                f"{prior_share}; expected 2 codes or more, sizes of at least 1, and weights above 0"
            )
        self.beta, self.prior_share = beta, prior_share
        self.p_x = likelihood or default_likelihood(example)
        self.p_x.check(example)
        *sides, channels = example.shape
        gives, dtype = (*sides, channels * self.p_x.parameters), self.dtype_policy
        sizes = {"width": width, "levels": halvings, "blocks": blocks, "dtype": dtype}
        self.encoder = encoder or residual_encoder(example.shape, code_size, **sizes)
        z_e = self.encoder(tf.zeros((1, *example.shape)))
        if z_e.shape.rank != 4 or z_e.shape[-1] != code_size:
            raise InputError(
                f"vq_vae: the encoder gives shape {tuple(z_e.shape[1:])}, expected (height, width, code_size={code_size})"
            )
        self.decoder = decoder or residual_decoder(code_size, gives, **sizes)
        ensure_network("vq_vae", "decoder", self.decoder, tuple(z_e.shape[1:]), gives)
        self.quantizer = VectorQuantizer(codebook_size, code_size, by_gradient=by_gradient, dtype=dtype)
        self.code_map = Codes((*z_e.shape[1:3], 1), codebook_size)
        self.prior = GatedAutoregressiveModel(
            example=self.code_map, label=label, width=prior_width, depth=prior_depth, kernel_size=5,
            head_width=2 * prior_width, embedding=prior_width, dtype=dtype,
        )  # fmt: skip
        # Untrained, it is the uniform prior of the first stage.
        self.prior.head_out.kernel.assign(tf.zeros_like(self.prior.head_out.kernel.value))
        self._encoded = replicas.Kept()  # the vectors and codes of the present move

    def players(self):
        return [
            Player("auto_encoder", [self.encoder, self.quantizer, self.decoder, self.p_x], self.auto_encoder_terms),
            Player("prior", self.prior.networks(), self.prior_terms),
        ]

    def stages(self):
        return [
            Stage("auto-encoder", ("auto_encoder",)),
            Stage("prior", ("prior",), self.prior_share, begin=lambda batches: self.keep_average("auto_encoder")),
        ]

    def default_optimizers(self):
        # The paper's rate of 2e-4 is for 250,000 steps.
        return {"auto_encoder": Adam(1e-3), "prior": keras.optimizers.Adam(1e-3)}

    def auto_encoder_terms(self, batch: Batch) -> Terms:
        """Returns the terms of eq. 3, the first in nats per picture."""
        x = batch["image"]
        z_e = self.encoder(self.example.to_network(x), training=self.in_training)
        if self.in_training:
            self.quantizer.initialize(z_e, self.seed())
        k = self.quantizer.nearest(z_e)
        if self.in_training:
            self._encoded.value = z_e, k
        z_q = self.quantizer.straight_through(z_e, k)
        terms = {"distortion": tf.reduce_mean(self.distortion(x, z_q, self.seed()))}
        if self.quantizer.by_gradient:
            terms["codebook"] = tf.reduce_mean(self.quantizer.codebook_loss(z_e, k))
        return terms | {"commitment": self.beta * tf.reduce_mean(self.quantizer.commitment(z_e, k))}

    def after_move(self, player, terms):
        if player.name == "auto_encoder":
            self.quantizer.update(*self._encoded.value, self.seed())
            self._encoded.value = None

    def prior_terms(self, batch: Batch) -> Terms:
        """Returns the nats of a map of codes under the prior."""
        return {"rate": tf.reduce_mean(self.rate(self.indices(batch["image"]), batch.get("label")))}

    def monitors(self, terms):
        return {"perplexity": self.quantizer.perplexity()} if "auto_encoder" in terms else {}

    def figures(self, batch: Batch) -> Terms:
        """Returns the bound and its two parts in nats per picture, and bits per dimension."""
        x = batch["image"]
        k = self.indices(x)
        rate, distortion = self.rate(k, batch.get("label")), self.distortion(x, self.quantizer.lookup(k), self.seed())
        bits = (rate + distortion) / (self.example.dimensions * math.log(2.0))
        figures = {"elbo": -rate - distortion, "rate": rate, "distortion": distortion, "bits_per_dim": bits}
        return figures | {"data_perplexity": k}

    def meters(self, figure):
        if figure == "data_perplexity":
            return {figure: lambda name: Perplexity(name, self.code_map.levels)}
        return super().meters(figure)

    def indices(self, x) -> tf.Tensor:
        """Returns k(x), int32 `(batch, height, width)`, of uint8 levels."""
        return self.quantizer.nearest(self.encoder(self.example.to_network(x), training=False))

    def likelihood(self, z_q):
        """Returns p(x|z_q), batch shape `(batch,)`, for maps `(batch, height, width, D)`."""
        return self.p_x(self.decoder(z_q, training=self.in_training), self.example)

    def distortion(self, x, z_q, seed) -> tf.Tensor:
        """Returns -log p(x|z_q) in nats, `(batch,)`."""
        return -self.likelihood(z_q).log_prob(self.p_x.event(x, self.example, seed))

    def rate(self, k, label=None) -> tf.Tensor:
        """Returns -log p(k) in nats, `(batch,)`, of maps of codes `(batch, height, width)`."""
        k = k[..., None]
        return -self.prior.distribution(k, **({} if label is None else {"label": label})).log_prob(k)

    @endpoint(returns="log_prob", x=Example(), label=Label())
    def log_prob(self, x, label=None):
        """Returns the lower bound log p(x|z_q(x)) + log p(k(x)) of log p(x) in nats, float32 `(batch,)`.

        Arguments:
            x: uint8 levels `(batch, height, width, channels)`.
            label: int32 `(batch,)`, for a conditional model.
        """
        k = self.indices(x)
        # A likelihood that dequantises does it with the same noise each time.
        return -self.rate(k, label) - self.distortion(x, self.quantizer.lookup(k), (0, 0))

    @endpoint(returns="codes", x=Example())
    def encode(self, x):
        """Returns the maps of codes of pictures, int32 `(batch, height, width)`."""
        return self.indices(x)

    @endpoint(returns="example", codes=CodeMap())
    def decode(self, codes):
        """Returns the mean of p(x|z_q), uint8 levels, for maps of codes int32 `(batch, height, width)`."""
        return self.example.nearest(self.likelihood(self.quantizer.lookup(codes)).mean())

    @endpoint(returns="example", x=Example())
    def reconstruct(self, x):
        """Returns pictures as their codes keep them: uint8 levels of the shape of `x`."""
        return self.decode(self.encode(x))

    @endpoint(returns="example", count=Count(), seed=Seed(), label=Label())
    def sample(self, count, seed=0, label=None):
        """Draws k ~ p(k), x ~ p(x|z_q): uint8 levels `(count, height, width, channels)`.

        Arguments:
            count: how many.
            seed: an int, or two int32; the same seed gives the same pictures.
            label: int32 `(count,)`, for a conditional model.
        """
        of_k, of_x = tf.unstack(tf.random.split(seed, 2, alg="philox"))
        k = self.prior.sample(count, of_k, label)[..., 0]
        return self.example.nearest(self.likelihood(self.quantizer.lookup(k)).sample(seed=of_x))

    @endpoint(returns="example", noise=Tensor(lambda model: model.prior.noise_shape, draw="uniform"), label=Label())
    def sample_from_noise(self, noise, label=None):
        """Transforms uniforms into codes, and gives the mean of p(x|z_q): uint8 levels.

        Arguments:
            noise: float32 in [0, 1), `(batch, height, width, 1, 1)`.
            label: int32 `(batch,)`, for a conditional model.
        """
        k = self.prior.sample_from_noise(noise, label)[..., 0]
        return self.example.nearest(self.likelihood(self.quantizer.lookup(k)).mean())

    def preview(self, count: int, seed: int = 0, label=None) -> tf.Tensor:
        """Returns pictures to look at: means of p(x|z_q) for codes from the prior, without the pixels' noise."""
        noise = tf.random.stateless_uniform((count, *self.prior.noise_shape), (seed, 0), alg="philox")
        return self.sample_from_noise(noise, label)
