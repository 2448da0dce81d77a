"""DCGAN and WGAN-GP as a plain Keras `train_step` and as a torch loop, with the networks of tfgen's models."""

import os

import keras
import tensorflow as tf

from tfgen.networks import dcgan_discriminator, dcgan_generator

try:
    import torch
except ImportError:
    torch = None

SHAPE, LATENT, WIDTH = (28, 28, 1), 100, 32
BATCH, LEVELS, NETWORKS = 64, 256, ("generator", "discriminator")


def arguments(id: str, width: int | None) -> dict:
    """Returns what tfgen's model is made with, besides what its examples are."""
    return {"latent_size": LATENT, "width": width or WIDTH}


class PlainDCGAN(keras.Model):
    """As keras.io's "DCGAN to generate face images" writes it."""

    normalize, rate, betas = True, 2e-4, (0.5, 0.999)

    def __init__(self, width: int):
        super().__init__()
        self.generator = dcgan_generator(LATENT, SHAPE, width=width)
        self.discriminator = dcgan_discriminator(SHAPE, width=width, normalize=self.normalize)
        self.d_optimizer, self.g_optimizer = (keras.optimizers.Adam(self.rate, *self.betas) for _ in range(2))
        self.d_optimizer.build(self.discriminator.trainable_variables)
        self.g_optimizer.build(self.generator.trainable_variables)
        self.loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
        self.d_loss_metric = keras.metrics.Mean(name="d_loss")
        self.g_loss_metric = keras.metrics.Mean(name="g_loss")
        self.built = True

    def train_step(self, data):
        x = tf.cast(data, tf.float32) / 127.5 - 1.0
        count = tf.shape(x)[0]
        z = tf.random.uniform((count, LATENT), -1.0, 1.0)
        with tf.GradientTape() as tape:
            real = self.discriminator(x, training=True)
            fake = self.discriminator(self.generator(z, training=True), training=True)
            d_loss = self.loss_fn(tf.ones_like(real), real) + self.loss_fn(tf.zeros_like(fake), fake)
        weights = self.discriminator.trainable_weights
        self.d_optimizer.apply_gradients(zip(tape.gradient(d_loss, weights), weights, strict=True))
        z = tf.random.uniform((count, LATENT), -1.0, 1.0)
        with tf.GradientTape() as tape:
            fake = self.discriminator(self.generator(z, training=True), training=True)
            g_loss = self.loss_fn(tf.ones_like(fake), fake)
        weights = self.generator.trainable_weights
        self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights, strict=True))
        self.d_loss_metric.update_state(d_loss)
        self.g_loss_metric.update_state(g_loss)
        return {"d_loss": self.d_loss_metric.result(), "g_loss": self.g_loss_metric.result()}


class PlainWGANGP(PlainDCGAN):
    """As keras.io's "WGAN-GP overriding Model.train_step" writes it, with one critic step per batch in turn."""

    normalize, rate, betas = False, 1e-4, (0.0, 0.9)

    def __init__(self, width: int):
        super().__init__(width)
        self.count = tf.Variable(0, trainable=False)

    def gradient_penalty(self, x, fake):
        alpha = tf.random.uniform((tf.shape(x)[0], 1, 1, 1))
        between = x + alpha * (fake - x)
        with tf.GradientTape() as tape:
            tape.watch(between)
            score = self.discriminator(between, training=True)
        norm = tf.sqrt(tf.reduce_sum(tf.square(tape.gradient(score, between)), (1, 2, 3)))
        return tf.reduce_mean((norm - 1.0) ** 2)

    def train_step(self, data):
        x = tf.cast(data, tf.float32) / 127.5 - 1.0
        z = tf.random.normal((tf.shape(x)[0], LATENT))
        with tf.GradientTape() as tape:
            fake = self.generator(z, training=True)
            scores = self.discriminator(fake, training=True), self.discriminator(x, training=True)
            d_loss = tf.reduce_mean(scores[0]) - tf.reduce_mean(scores[1]) + 10.0 * self.gradient_penalty(x, fake)
        weights = self.discriminator.trainable_weights
        self.d_optimizer.apply_gradients(zip(tape.gradient(d_loss, weights), weights, strict=True))
        self.count.assign_add(1)
        tf.cond(self.count % 5 == 0, self._move_generator, lambda: None)
        self.d_loss_metric.update_state(d_loss)
        return {"d_loss": self.d_loss_metric.result(), "g_loss": self.g_loss_metric.result()}

    def _move_generator(self):
        z = tf.random.normal((BATCH, LATENT))
        with tf.GradientTape() as tape:
            g_loss = -tf.reduce_mean(self.discriminator(self.generator(z, training=True), training=True))
        weights = self.generator.trainable_weights
        self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights, strict=True))
        self.g_loss_metric.update_state(g_loss)


def plain_keras(id: str, width: int | None) -> keras.Model:
    """Returns the model with a plain `train_step`, compiled."""
    model = {"dcgan": PlainDCGAN, "wgan_gp": PlainWGANGP}[id](width or WIDTH)
    model.compile()
    return model


class TorchGAN:
    """Either model in torch; `step` moves its players once."""

    def __init__(self, id: str, width: int):
        nn, norm = torch.nn, [torch.nn.BatchNorm2d(2 * width)] if id == "dcgan" else []
        # Keras' "same" padding of 4x4 kernels at stride 2 is 1 on each side.
        self.generator = nn.Sequential(
            nn.Linear(LATENT, 49 * 2 * width, bias=False), nn.BatchNorm1d(49 * 2 * width), nn.ReLU(),
            nn.Unflatten(1, (2 * width, 7, 7)),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.ConvTranspose2d(width, 1, 4, 2, 1), nn.Tanh(),
        )  # fmt: skip
        self.discriminator = nn.Sequential(
            nn.Conv2d(1, width, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, 2, 1, bias=not norm), *norm, nn.LeakyReLU(0.2),
            nn.Flatten(), nn.Linear(49 * 2 * width, 1),
        )  # fmt: skip
        for network in (self.generator, self.discriminator):
            network.to(memory_format=torch.channels_last)
        rate, betas = (2e-4, (0.5, 0.999)) if id == "dcgan" else (1e-4, (0.0, 0.9))
        self.d_optimizer = torch.optim.Adam(self.discriminator.parameters(), rate, betas)
        self.g_optimizer = torch.optim.Adam(self.generator.parameters(), rate, betas)
        self.id, self.count = id, 0

    def fake(self, count):
        noise = torch.rand(count, LATENT) * 2 - 1 if self.id == "dcgan" else torch.randn(count, LATENT)
        return self.generator(noise)

    def critic_loss(self, x, fake):
        alpha = torch.rand(len(x), 1, 1, 1)
        between = (x + alpha * (fake - x)).requires_grad_()
        (gradient,) = torch.autograd.grad(self.discriminator(between).sum(), between, create_graph=True)
        penalty = ((gradient.flatten(1).norm(dim=1) - 1.0) ** 2).mean()
        return self.discriminator(fake).mean() - self.discriminator(x).mean() + 10.0 * penalty

    def step(self, levels):
        softplus = torch.nn.functional.softplus
        x = torch.from_numpy(levels).permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0
        x = x.contiguous(memory_format=torch.channels_last)
        fake = self.fake(len(x)).detach()
        if self.id == "dcgan":
            d_loss = softplus(-self.discriminator(x)).mean() + softplus(self.discriminator(fake)).mean()
        else:
            d_loss = self.critic_loss(x, fake)
        self.d_optimizer.zero_grad()
        d_loss.backward()
        self.d_optimizer.step()
        self.count += 1
        if self.id == "dcgan" or self.count % 5 == 0:
            score = self.discriminator(self.fake(len(x)))
            g_loss = softplus(-score).mean() if self.id == "dcgan" else -score.mean()
            self.g_optimizer.zero_grad()
            g_loss.backward()
            self.g_optimizer.step()


def plain_torch(id: str, width: int | None) -> TorchGAN:
    """Returns the model in torch."""
    torch.set_num_threads(os.cpu_count())
    return TorchGAN(id, width or WIDTH)
