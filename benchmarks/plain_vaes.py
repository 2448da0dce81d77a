"""The variational auto-encoder as a plain Keras `train_step` and as a torch loop, with the networks of tfgen's models.

Both take the codes' noise as an argument of the loss, so that the same numbers can be asked for from all.
"""

import os

import keras
import tensorflow as tf

from tfgen.networks import conv_decoder, conv_encoder, mlp

try:
    import torch
except ImportError:
    torch = None

SHAPE, BATCH, LEVELS, NETWORKS = (28, 28, 1), 128, 2, ("encoder", "decoder")
HIDDEN, WIDTH = (200, 200), 64
LATENT = {"vae": 50, "conv_vae": 128}


def seen(id: str, x):
    """Returns what an encoder sees of binary levels in float32: perceptrons see [0, 1], convolutions [-1, 1]."""
    return x if id == "vae" else 2.0 * x - 1.0


def arguments(id: str, width: int | None) -> dict:
    """Returns what tfgen's model is made with, besides what its examples are."""
    return {"latent_size": LATENT[id]} | ({"hidden": HIDDEN} if id == "vae" else {"width": width or WIDTH})


class PlainVAE(keras.Model):
    """As keras.io's "Variational AutoEncoder" writes it, with logits in place of probabilities."""

    def __init__(self, id: str, encoder: keras.Model, decoder: keras.Model):
        super().__init__()
        self.id, self.encoder, self.decoder = id, encoder, decoder
        self.total_loss_tracker = keras.metrics.Mean(name="total_loss")
        self.reconstruction_loss_tracker = keras.metrics.Mean(name="reconstruction_loss")
        self.kl_loss_tracker = keras.metrics.Mean(name="kl_loss")
        self.built = True

    def terms(self, levels, epsilon):
        """Returns KL(q(z|x)||p(z)) and -log p(x|z), nats, means over the batch."""
        x = tf.cast(levels, tf.float32)
        z_mean, z_log_scale = tf.split(self.encoder(seen(self.id, x), training=True), 2, -1)
        logits = self.decoder(z_mean + tf.exp(z_log_scale) * epsilon, training=True)
        reconstruction = tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits)
        kl = 0.5 * (tf.square(z_mean) + tf.exp(2.0 * z_log_scale) - 1.0) - z_log_scale
        return tf.reduce_mean(tf.reduce_sum(kl, 1)), tf.reduce_mean(tf.reduce_sum(reconstruction, (1, 2, 3)))

    def train_step(self, data):
        epsilon = tf.random.normal((tf.shape(data)[0], self.decoder.input_shape[1]))
        with tf.GradientTape() as tape:
            kl_loss, reconstruction_loss = self.terms(data, epsilon)
            total_loss = reconstruction_loss + kl_loss
        weights = self.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(total_loss, weights), weights, strict=True))
        self.total_loss_tracker.update_state(total_loss)
        self.reconstruction_loss_tracker.update_state(reconstruction_loss)
        self.kl_loss_tracker.update_state(kl_loss)
        return {
            "loss": self.total_loss_tracker.result(),
            "reconstruction_loss": self.reconstruction_loss_tracker.result(),
            "kl_loss": self.kl_loss_tracker.result(),
        }


def plain_keras(id: str, width: int | None) -> PlainVAE:
    """Returns the model with a plain `train_step`, compiled."""
    latent = LATENT[id]
    if id == "vae":
        encoder = mlp(SHAPE, (2 * latent,), hidden=HIDDEN, name="encoder")
        decoder = mlp((latent,), SHAPE, hidden=HIDDEN[::-1], name="decoder")
    else:
        encoder = conv_encoder(SHAPE, 2 * latent, width=width or WIDTH)
        decoder = conv_decoder(latent, SHAPE, width=width or WIDTH)
    model = PlainVAE(id, encoder, decoder)
    model.compile(keras.optimizers.Adam(1e-3))
    return model


class TorchVAE:
    """The same in torch; `step` is one of the optimizer."""

    def __init__(self, id: str, encoder: "torch.nn.Module", decoder: "torch.nn.Module"):
        self.id, self.encoder, self.decoder, self.latent = id, encoder, decoder, LATENT[id]
        for network in (encoder, decoder):
            network.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 1e-3)

    def terms(self, levels, epsilon):
        """As of `PlainVAE`, of uint8 numpy levels `(batch, height, width, channels)`."""
        x = torch.from_numpy(levels).permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last)
        mean, log_scale = self.encoder(seen(self.id, x)).chunk(2, -1)
        logits = self.decoder(mean + log_scale.exp() * epsilon)
        cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        kl = 0.5 * (mean.square() + (2.0 * log_scale).exp() - 1.0) - log_scale
        return kl.sum() / len(x), cross_entropy / len(x)

    def step(self, levels):
        kl, cross_entropy = self.terms(levels, torch.randn(len(levels), self.latent))
        self.optimizer.zero_grad()
        (cross_entropy + kl).backward()
        self.optimizer.step()


def plain_torch(id: str, width: int | None) -> TorchVAE:
    """Returns the model in torch."""
    torch.set_num_threads(os.cpu_count())
    parts = _torch_perceptrons(LATENT[id]) if id == "vae" else _torch_convolutions(LATENT[id], width or WIDTH)
    return TorchVAE(id, *parts)


def _torch_perceptrons(latent: int) -> tuple:
    nn, (first, second), (height, width, channels) = torch.nn, HIDDEN, SHAPE
    pixels = height * width * channels
    encoder = nn.Sequential(
        nn.Flatten(), nn.Linear(pixels, first), nn.Tanh(), nn.Linear(first, second), nn.Tanh(),
        nn.Linear(second, 2 * latent),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Linear(latent, second), nn.Tanh(), nn.Linear(second, first), nn.Tanh(), nn.Linear(first, pixels),
        nn.Unflatten(1, (channels, height, width)),
    )  # fmt: skip
    return encoder, decoder


def _torch_convolutions(latent: int, width: int) -> tuple:
    """28 pixels to 14, 7 and 4. Keras' "same" padding is 1 on each side, where a side is odd 1 more behind it."""
    nn, one, two, four = torch.nn, width, 2 * width, 4 * width

    def norm(features):
        return nn.GroupNorm(8, features, eps=1e-3), nn.SiLU()

    encoder = nn.Sequential(
        nn.Conv2d(1, one, 4, 2, 1), *norm(one),
        nn.Conv2d(one, two, 4, 2, 1), *norm(two),
        nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(two, four, 4, 2, 1), *norm(four),
        nn.Flatten(), nn.Linear(16 * four, 2 * latent),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Linear(latent, 16 * four), nn.Unflatten(1, (four, 4, 4)), *norm(four),
        nn.ConvTranspose2d(four, two, 4, 2, 1), nn.ZeroPad2d((0, -1, 0, -1)), *norm(two),
        nn.ConvTranspose2d(two, one, 4, 2, 1), *norm(one),
        nn.ConvTranspose2d(one, 1, 4, 2, 1),
    )  # fmt: skip
    return encoder, decoder
