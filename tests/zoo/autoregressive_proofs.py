"""Proofs that every autoregressive model shares: enumeration, dependencies, and the slow sampler."""

import itertools

import numpy as np
import tensorflow as tf


def randomize(model, scale: float = 0.6, seed: int = 0) -> None:
    """Gives all trainable weights random values that are not small, so that a leak carries information."""
    rng = np.random.default_rng(seed)
    for network in model.networks():
        for weight in network.trainable_weights:
            weight.assign(rng.normal(0.0, scale, weight.shape))


def enumerate_images(example) -> np.ndarray:
    """Returns every picture there is, uint8 `(levels ** dimensions, height, width, channels)`."""
    states = itertools.product(range(example.levels), repeat=example.dimensions)
    return np.array(list(states), np.uint8).reshape(-1, *example.shape)


def total_probability(model, condition=None, chunk: int = 8192) -> float:
    """Returns the sum of p(x) over every picture there is, given one condition (`{"label": 3}`) or none."""
    images = enumerate_images(model.example)
    log_probs = []
    for start in range(0, len(images), chunk):
        part = images[start : start + chunk]
        log_probs.append(model.log_prob(part, **repeated(condition, len(part))).numpy().astype(np.float64))
    return float(np.exp(np.concatenate(log_probs)).sum())


def repeated(condition, count: int) -> dict[str, np.ndarray]:
    """Returns one condition for each of `count` pictures."""
    return {name: np.repeat(np.asarray(value)[None], count, 0) for name, value in (condition or {}).items()}


def dependencies(model, condition=None, draws: int = 3, seed: int = 0) -> np.ndarray:
    """Returns which draws depend on which channels, bool `(pixels * draws, pixels * channels)`.

    An input is changed, and every output that moves depends on it: the gradient-free form, which also sees what a
    gradient of zero would hide. Several random pictures, so that a dependency cannot cancel by chance.
    """
    height, width, channels = model.example.shape
    dimensions, levels = model.example.dimensions, model.example.levels
    rng = np.random.default_rng(seed)
    found = np.zeros((height * width * model.draws, dimensions), bool)
    for _ in range(draws):
        base = rng.integers(0, levels, (1, dimensions))
        changed = np.repeat(base, dimensions, 0)
        changed[np.arange(dimensions), np.arange(dimensions)] += rng.integers(1, levels, dimensions)
        batch = np.concatenate([base, changed % levels]).astype(np.uint8).reshape(-1, height, width, channels)
        parameters = (
            model.conditionals(tf.constant(batch), **repeated(condition, len(batch)))
            .numpy()
            .reshape(dimensions + 1, len(found), -1)
        )
        found |= (np.abs(parameters[1:] - parameters[:1]).max(-1) > 1e-9).T
    return found


def naive_sample(model, noise, known=None, mask=None, **condition) -> np.ndarray:
    """Samples with a whole forward pass per draw, from the same uniforms as the incremental sampler."""
    height, width, channels = model.example.shape
    image = np.zeros((len(noise), height, width, channels), np.uint8)
    per_draw = channels // model.draws
    conditionals = tf.function(model.conditionals, autograph=False)
    for y, x, draw in itertools.product(range(height), range(width), range(model.draws)):
        parameters = conditionals(tf.constant(image), **condition)[:, y, x, draw]
        part = slice(draw * per_draw, (draw + 1) * per_draw)
        image[:, y, x, part] = model.draw(parameters, tf.constant(noise[:, y, x, draw])).numpy()
        if known is not None:
            image[:, y, x, part] = np.where(mask[:, y, x, None], known[:, y, x, part], image[:, y, x, part])
    return image


def assert_samples_are_the_naive_ones(model, **condition) -> None:
    """Asserts that three pictures are drawn token by token as with whole forward passes, and use all levels."""
    noise = np.random.default_rng(1).random((3, *model.noise_shape))
    cached = model._fill(tf.constant(noise), **condition).numpy()
    np.testing.assert_array_equal(cached, naive_sample(model, noise, **condition))
    assert len(np.unique(cached)) == model.example.levels


def assert_completions_are_the_naive_ones(model, **condition) -> None:
    """Asserts the same where half of the pixels are known, wherever they are, and that these are kept."""
    rng, shape = np.random.default_rng(2), model.example.shape
    noise, known = rng.random((3, *model.noise_shape)), rng.integers(0, model.example.levels, (3, *shape))
    mask = rng.random((3, *shape[:2])) < 0.5
    given = {"known": tf.constant(known, tf.int32), "mask": tf.constant(mask)}
    cached = model._fill(tf.constant(noise), **given, **condition).numpy()
    np.testing.assert_array_equal(cached, naive_sample(model, noise, known=known, mask=mask, **condition))
    np.testing.assert_array_equal(cached[mask], known[mask])
    completed = model.complete(known.astype(np.uint8), mask, seed=3, **condition).numpy()
    np.testing.assert_array_equal(completed[mask], known[mask])
