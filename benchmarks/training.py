"""Training throughput beside the same networks in a plain Keras `train_step`, and in torch.

    python benchmarks/training.py                        # dcgan and wgan_gp, 28x28x1, batch 64
    python benchmarks/training.py --models dcgan --width 32 --torch

The networks, losses, optimizers and batches are the same in each column: DCGAN's for 28x28 pictures, Adam. The plain
loop is what keras.io's examples write: two optimizers, two tapes, a `train_step`. Columns are measured in turn, there
and back, `--repeats` times `--steps` steps each, and the least time of each counts: many short spells, since what
slows a shared machine down comes in spells too. Compilation is not in it. A step is one of each player; images count
once per step, five critic steps of wgan_gp as five steps. `--torch` wants `pip install torch`.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

import tfgen
from tfgen.networks import dcgan_discriminator, dcgan_generator
from tfgen.specs import Images

SHAPE, LATENT, BATCH = (28, 28, 1), 100, 64


def tfgen_steps(id: str, width: int, batches: tf.data.Dataset):
    """Returns a function that makes as many steps as there are batches."""
    model = tfgen.create(id, example=Images(SHAPE), latent_size=LATENT, width=width)
    model.compile()
    return lambda: model.fit(batches, verbose=0)


class PlainDCGAN(keras.Model):
    """As keras.io's "DCGAN to generate face images" writes it."""

    def __init__(self, width: int):
        super().__init__()
        self.generator = dcgan_generator(LATENT, SHAPE, width=width)
        self.discriminator = dcgan_discriminator(SHAPE, width=width)
        self.d_optimizer = keras.optimizers.Adam(2e-4, beta_1=0.5)
        self.g_optimizer = keras.optimizers.Adam(2e-4, beta_1=0.5)
        self.loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
        self.d_loss_metric = keras.metrics.Mean(name="d_loss")
        self.g_loss_metric = keras.metrics.Mean(name="g_loss")

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

    def __init__(self, width: int):
        super().__init__(width)
        self.discriminator = dcgan_discriminator(SHAPE, width=width, normalize=False)
        self.d_optimizer = keras.optimizers.Adam(1e-4, beta_1=0.0, beta_2=0.9)
        self.g_optimizer = keras.optimizers.Adam(1e-4, beta_1=0.0, beta_2=0.9)
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


def keras_steps(id: str, width: int, batches: tf.data.Dataset):
    model = {"dcgan": PlainDCGAN, "wgan_gp": PlainWGANGP}[id](width)
    for network, optimizer in ((model.generator, model.g_optimizer), (model.discriminator, model.d_optimizer)):
        optimizer.build(network.trainable_variables)
    model.built = True
    model.compile()
    pictures = batches.map(lambda batch: batch["image"])
    return lambda: model.fit(pictures, verbose=0)


def torch_steps(id: str, width: int, arrays: list[np.ndarray]):
    try:
        import torch
    except ImportError:
        raise SystemExit("--torch: torch is not installed; pip install torch") from None
    nn, F = torch.nn, torch.nn.functional
    torch.set_num_threads(os.cpu_count())
    # Keras' "same" padding of 4x4 kernels at stride 2 is 1 on each side.
    generator = nn.Sequential(
        nn.Linear(LATENT, 49 * 2 * width, bias=False), nn.BatchNorm1d(49 * 2 * width), nn.ReLU(),
        nn.Unflatten(1, (2 * width, 7, 7)),
        nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.ConvTranspose2d(width, 1, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip
    norm = [nn.BatchNorm2d(2 * width)] if id == "dcgan" else []
    discriminator = nn.Sequential(
        nn.Conv2d(1, width, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, 2, 1, bias=not norm), *norm, nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(49 * 2 * width, 1),
    )  # fmt: skip
    for network in (generator, discriminator):
        network.to(memory_format=torch.channels_last)
    rate, betas = (2e-4, (0.5, 0.999)) if id == "dcgan" else (1e-4, (0.0, 0.9))
    d_optimizer = torch.optim.Adam(discriminator.parameters(), rate, betas)
    g_optimizer = torch.optim.Adam(generator.parameters(), rate, betas)

    def noise(count):
        return torch.rand(count, LATENT) * 2 - 1 if id == "dcgan" else torch.randn(count, LATENT)

    def critic_loss(x, fake):
        alpha = torch.rand(len(x), 1, 1, 1)
        between = (x + alpha * (fake - x)).requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
        penalty = ((gradient.flatten(1).norm(dim=1) - 1.0) ** 2).mean()
        return discriminator(fake).mean() - discriminator(x).mean() + 10.0 * penalty

    def step(number, array):
        x = torch.from_numpy(array).permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0
        x = x.contiguous(memory_format=torch.channels_last)
        fake = generator(noise(len(x))).detach()
        if id == "dcgan":
            d_loss = F.softplus(-discriminator(x)).mean() + F.softplus(discriminator(fake)).mean()
        else:
            d_loss = critic_loss(x, fake)
        d_optimizer.zero_grad()
        d_loss.backward()
        d_optimizer.step()
        if id == "dcgan" or number % 5 == 0:
            score = discriminator(generator(noise(len(x))))
            g_loss = F.softplus(-score).mean() if id == "dcgan" else -score.mean()
            g_optimizer.zero_grad()
            g_loss.backward()
            g_optimizer.step()

    return lambda: [step(number, array) for number, array in enumerate(arrays)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["dcgan", "wgan_gp"], choices=["dcgan", "wgan_gp"])
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--torch", action="store_true")
    options = parser.parse_args()

    arrays = list(np.random.default_rng(0).integers(0, 256, (options.steps, BATCH, *SHAPE), np.uint8))
    batches = tf.data.Dataset.from_tensor_slices({"image": np.concatenate(arrays)}).batch(BATCH, drop_remainder=True)
    print(
        f"{os.cpu_count()} cores, TensorFlow {tf.__version__}; images per second, batch {BATCH}, width {options.width}"
    )
    print(f"{'model':<10} {'tfgen':>8} {'Keras':>8} {'torch':>8} {'to Keras':>9} {'to torch':>9}")
    for id in options.models:
        columns = {
            "tfgen": tfgen_steps(id, options.width, batches),
            "Keras": keras_steps(id, options.width, batches),
        }
        if options.torch:
            columns["torch"] = torch_steps(id, options.width, arrays)
        for run in columns.values():
            run()
        times = {name: [] for name in columns}
        for repeat in range(options.repeats):
            for name in list(columns)[:: 1 if repeat % 2 else -1]:
                start = time.perf_counter()
                columns[name]()
                times[name].append(time.perf_counter() - start)
        speed = {name: options.steps * BATCH / min(seconds) for name, seconds in times.items()}
        of_torch = f"{speed['torch']:8.0f}" if "torch" in speed else f"{'':>8}"
        to_torch = f"{speed['tfgen'] / speed['torch']:9.2f}" if "torch" in speed else ""
        to_keras = f"{speed['tfgen'] / speed['Keras']:9.2f}"
        print(f"{id:<10} {speed['tfgen']:8.0f} {speed['Keras']:8.0f} {of_torch} {to_keras} {to_torch}", flush=True)


if __name__ == "__main__":
    main()
