"""BEGAN: a generator held in balance with an auto-encoder."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfgen.models.adversarial import uniform_codes
from tfgen.models.auto_encoding import AutoEncodingModel
from tfgen.models.players import Batch, Terms
from tfgen.networks import AutoEncoder, began_decoder, began_encoder, mlp_auto_encoder
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images, Points


@register(
    "began",
    title="BEGAN: Boundary Equilibrium Generative Adversarial Networks",
    authors="D. Berthelot, T. Schumm, L. Metz",
    year=2017,
    url="https://arxiv.org/abs/1703.10717",
    recipes={
        "digits": {"batch_size": 16, "epochs": 100, "model": {"latent_size": 16, "width": 32}},
        "mnist": {"batch_size": 16, "epochs": 10, "model": {"latent_size": 32, "width": 32}},
        "celeb_a": {"batch_size": 16, "epochs": 10, "model": {}},
    },
)
class BEGAN(AutoEncodingModel):
    r"""Boundary equilibrium GAN.

    .. math::
        L_D = L(x) - k_t L(G(z_D)), \quad L_G = L(G(z_G)), \quad
        k_{t+1} = clip(k_t + \lambda_k (\gamma L(x) - L(G(z_G))), 0, 1)

    (section 3.4), where L(v) is the mean of \|v - D(v)\|^eta over an example, and D an auto-encoder. The losses of
    real and generated examples are matched instead of the examples; k holds their ratio at gamma. A low gamma gives
    sharper samples that are less diverse. What a step reports as `convergence`,

    .. math:: M = L(x) + |\gamma L(x) - L(G(z_G))|

    falls as samples get better, so that a callback can halve the rates or stop when it does not (section 3.4.1).

    References:
        D. Berthelot, T. Schumm, L. Metz, "BEGAN: Boundary Equilibrium Generative Adversarial Networks", 2017,
        https://arxiv.org/abs/1703.10717

    Arguments:
        example: pictures whose sides can be halved down to 16 pixels or less, or points.
        latent_size: of the generator's code, which is uniform in [-1, 1].
        width: n, features of the first scale of pictures (64 unless given), or of the two hidden layers for points
            (128).
        hidden: widths of the hidden layers of perceptrons in place of that; the decoder and the generator have them
            in reverse.
        code_size: of the auto-encoder's code; `latent_size` unless given. One as wide as the data lets the
            auto-encoder restore anything, and the balance is lost.
        generator: codes to what networks see of examples; of the shape of the auto-encoder's decoder unless given.
        discriminator: an `AutoEncoder` of what networks see of examples; the paper's, or a perceptron's for points,
            unless given.
        gamma: L(G(z)) / L(x) at the equilibrium, the diversity ratio, in [0, 1].
        gain: lambda_k, how fast k follows.
        power: eta, 1 or 2.
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        *,
        example: Images | Points = Images((64, 64, 3)),
        latent_size: int = 64,
        width: int | None = None,
        hidden: Sequence[int] | None = None,
        code_size: int | None = None,
        generator: keras.Model | None = None,
        discriminator: AutoEncoder | None = None,
        gamma: float = 0.5,
        gain: float = 0.001,
        power: float = 1.0,
        **kwargs,
    ):
        shape, code_size, dtype = example.shape, code_size or latent_size, kwargs.get("dtype")
        if isinstance(example, Images) and hidden is None:
            sizes = {"width": width or 64, "dtype": dtype}
            generator = generator or began_decoder(latent_size, shape, name="generator", **sizes)
            discriminator = discriminator or AutoEncoder(
                began_encoder(shape, code_size, **sizes), began_decoder(code_size, shape, **sizes)
            )
        elif discriminator is None:
            sizes = {"hidden": hidden or (width or 128,) * 2, "dtype": dtype}
            discriminator = mlp_auto_encoder(shape, code_size, activation="elu", **sizes)
        networks = {"width": width, "hidden": hidden, "generator": generator, "discriminator": discriminator}
        super().__init__(example=example, latent_size=latent_size, **networks, **kwargs)
        self.gamma, self.gain, self.power = gamma, gain, power
        self.k = self.add_weight(shape=(), initializer="zeros", trainable=False, name="k")
        self.real_loss = self.add_weight(shape=(), initializer="zeros", trainable=False, name="real_loss")

    def latent_prior(self):
        return uniform_codes(self.latent_size)

    def loss_of(self, x, restored):
        error = tf.abs(x - restored) ** self.power
        return tf.reduce_mean(error, tf.range(1, tf.rank(error)))

    def discriminator_terms(self, batch: Batch) -> Terms:
        return {
            "real": tf.reduce_mean(self.score(self.real(batch))),
            "fake": -self.k.value * tf.reduce_mean(self.score(self.fake(batch))),
        }

    def generator_terms(self, batch: Batch) -> Terms:
        return {"restored": tf.reduce_mean(self.score(self.fake(batch)))}

    def after_move(self, player, terms):
        # The paper moves both players at once; here G meets the D that has just moved.
        if player.name == "discriminator":
            self.real_loss.assign(terms["real"])
        else:
            k = self.k + self.gain * (self.gamma * self.real_loss - terms["restored"])
            self.k.assign(tf.clip_by_value(k, 0.0, 1.0))

    def monitors(self, terms):
        real, fake = terms["discriminator"]["real"], terms["generator"]["restored"]
        return {"k": self.k.value, "convergence": real + tf.abs(self.gamma * real - fake)}

    def default_optimizers(self):
        return {name: Adam(1e-4, beta_1=0.5) for name in ("discriminator", "generator")}
