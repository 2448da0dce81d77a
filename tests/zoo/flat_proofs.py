"""Proofs that models of binary pictures as vectors share: known tables, and walks in any order."""

import keras
import numpy as np
import tensorflow as tf

from tests.zoo.autoregressive_proofs import enumerate_images


def random_table(states: int, seed: int = 0) -> np.ndarray:
    """Returns probabilities with logits from N(0, 1.5^2)."""
    weights = np.exp(np.random.default_rng(seed).normal(0.0, 1.5, states))
    return weights / weights.sum()


def fit_table(model, table, steps: int = 600, rate: float = 0.02) -> float:
    """Fits a model to the probabilities of all pictures, and returns KL(table || model) in nats.

    The loss is exact, so that its only lower bound is the table's entropy.
    """
    images, p = tf.constant(enumerate_images(model.example)), tf.constant(table, tf.float32)
    variables = [variable.value for variable in model.players()[0].variables]
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    optimizer = keras.optimizers.Adam(schedule)
    optimizer.build(model.players()[0].variables)

    @tf.function(autograph=False)
    def fit():
        def step(index):
            with tf.GradientTape() as tape:
                loss = -tf.reduce_sum(p * model.log_prob(images))
            optimizer.apply(tape.gradient(loss, variables), model.players()[0].variables)
            return index + 1

        return tf.while_loop(lambda index: index < steps, step, [0])

    fit()
    log_prob = model.log_prob(images.numpy()).numpy()
    return float(np.sum(table * (np.log(table) - log_prob)))


def total_variation(model, count: int = 50_000) -> float:
    """Returns the total variation distance between what a model draws and what it says it draws."""
    images = enumerate_images(model.example).reshape(-1, model.example.dimensions)
    place = 2 ** np.arange(images.shape[1])[::-1]
    drawn = model.sample(count, seed=5).numpy().reshape(count, -1) @ place
    frequencies = np.bincount(drawn, minlength=len(images)) / count
    return float(np.abs(frequencies - np.exp(model.log_prob(images.reshape(-1, *model.example.shape)))).sum() / 2)


def walk(model, logit, noise, known=None, mask=None):
    """Samples scalar by scalar along each picture's own order, from the same uniforms as the incremental sampler.

    Arguments:
        model: order-agnostic, or with any order.
        logit: `(x, seen, index, member)`, x and seen `(D,)`, the index of a scalar and the member of the ensemble, to
            the logit of that scalar.
        noise: uniforms `(batch, height, width, channels, 1)`.
        known: pictures `(batch, height, width, channels)`.
        mask: bool `(batch, height, width)`, where they are known.
    """
    channels, size = model.example.shape[-1], model.example.dimensions
    pictures = np.zeros((len(noise), size), np.uint8)
    for x, uniforms, at in zip(pictures, noise.reshape(len(noise), size).copy(), range(len(noise)), strict=True):
        scaled = uniforms[0] * model.members
        member, uniforms[0] = divmod(scaled, 1.0) if model.members > 1 else (0, uniforms[0])
        order = list(model._orders[int(member)])
        fixed = np.zeros(len(order), bool) if mask is None else mask[at].reshape(-1)
        if model.order_agnostic:
            order = [pixel for pixel in order if fixed[pixel]] + [pixel for pixel in order if not fixed[pixel]]
        seen = []
        for pixel in order:
            for index in range(pixel * channels, (pixel + 1) * channels):
                p = 1.0 / (1.0 + np.exp(-logit(x, seen, index, int(member))))
                x[index] = known[at].reshape(-1)[index] if fixed[pixel] else uniforms[index] < p
                seen.append(index)
    return pictures.reshape(-1, *model.example.shape)
