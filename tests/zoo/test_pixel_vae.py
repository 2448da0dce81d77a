"""Proofs of pixel_vae."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.zoo.autoregressive_proofs import dependencies, enumerate_images, naive_sample, randomize
from tfgen.models import PixelCNNLikelihood
from tfgen.specs import Images, Points
from tfgen.zoo.variational.vae import VAE


def small(shape=(3, 4, 1), levels=2, latent_size=2, **arguments):
    """Returns a model whose pixels depend strongly on those before and on the code."""
    sizes = {"width": 4, "map_features": 3, "pixel_width": 6, "depth": 2, "kernel_size": 3} | arguments
    model = tfgen.create("pixel_vae", example=Images(shape, levels), latent_size=latent_size, seed=0, **sizes)
    randomize(model.p_x.pixels, 0.5)
    return model


def map_of(model, z):
    return model.decoder(tf.constant(z, tf.float32))


def test_given_a_code_the_probabilities_of_all_pictures_sum_to_one():
    model = small()
    every = enumerate_images(model.example).astype(np.float32)
    for z in np.random.default_rng(0).normal(size=(2, 2)):
        p = model.likelihood(tf.constant(z[None], tf.float32))
        assert np.exp(p.log_prob(every[:, None]).numpy().astype(np.float64)).sum() == pytest.approx(1.0, abs=1e-5)


def test_a_pixel_knows_those_before_it_and_the_code_and_no_other():
    model = small((4, 3, 1), dtype="float64", depth=4)
    z = np.random.default_rng(0).normal(size=2)
    seen = dependencies(model.p_x.pixels, {"map": map_of(model, z[None])[0]})
    assert not np.triu(seen).any()
    assert seen.sum() == 12 * 11 // 2
    x = tf.zeros((2, 4, 3, 1), tf.uint8)
    logits = model.p_x.pixels.conditionals(x, map=map_of(model, np.stack([z, z + 1.0])))
    assert (np.abs(logits[0] - logits[1]).max(-1) > 0.0).all()


@pytest.mark.parametrize("shape", [(5, 7, 1), (3, 4, 2)])
def test_pictures_of_a_code_are_drawn_as_by_whole_forward_passes(shape):
    model = small(shape, 3, dtype="float64")
    pixels, rng = model.p_x.pixels, np.random.default_rng(1)
    map, noise = map_of(model, rng.normal(size=(3, 2))), rng.random((3, *pixels.noise_shape))
    map = tf.cast(map, tf.float32)
    drawn = pixels._fill(tf.constant(noise), map=map).numpy()
    np.testing.assert_array_equal(drawn, naive_sample(pixels, noise, map=map))


def test_draws_have_the_probabilities_that_they_are_said_to_have():
    model = small((2, 2, 1))
    p = model.likelihood(tf.constant([[0.3, -1.0]]))
    every = enumerate_images(model.example).astype(np.float32)
    expected = np.exp(p.log_prob(every[:, None]).numpy()[:, 0].astype(np.float64))
    drawn = p.sample(20_000, seed=(0, 1)).numpy()[:, 0].reshape(-1, 4)
    found = np.bincount((drawn @ [8, 4, 2, 1]).astype(int), minlength=16) / 20_000
    np.testing.assert_allclose(found, expected, atol=5.0 * np.sqrt(0.25 / 20_000))


def test_where_the_code_says_nothing_it_is_gated_pixel_cnn():
    model = small()
    model.decoder.set_weights([0.0 * weight for weight in model.decoder.get_weights()])
    other = tfgen.create("gated_pixel_cnn", example=model.example, width=6, depth=2, kernel_size=3, head_width=6)
    # The first of these have kernels for the map besides, which is zero.
    for ours, theirs in zip(model.p_x.pixels.causal_layers(), other.causal_layers(), strict=True):
        weights = {weight.path.partition("/")[2]: weight for weight in ours.trainable_weights}
        for weight in theirs.trainable_weights:
            weight.assign(weights[weight.path])
    x = enumerate_images(model.example)[::97]
    z = np.random.default_rng(0).normal(size=(len(x), 2)).astype(np.float32)
    np.testing.assert_allclose(model.likelihood(z).log_prob(x.astype(np.float32)), other.log_prob(x), rtol=1e-5)


def test_the_importance_weighted_bound_reaches_the_likelihood():
    model = small((2, 3, 1), latent_size=1)
    x = enumerate_images(model.example)[[3, 17, 40]]
    for weight in model.p_x.pixels.trainable_weights:  # the code has a say
        if weight.path.endswith("of_map"):
            weight.assign(6.0 * weight.value)
    model.encoder.layers[-1].set_weights([0.0 * weight for weight in model.encoder.layers[-1].get_weights()])
    z = np.linspace(-8.0, 8.0, 4001)
    log_p = model.likelihood(tf.constant(z[:, None, None], tf.float32)).log_prob(x.astype(np.float32)).numpy()
    log_p, step = log_p.astype(np.float64), z[1] - z[0]
    prior = np.exp(-0.5 * z**2)[:, None] / np.sqrt(2.0 * np.pi)
    exact, bound = np.log(np.sum(np.exp(log_p) * prior, 0) * step), np.sum(log_p * prior, 0) * step
    assert (bound < exact).all()
    np.testing.assert_allclose(model.log_prob(x, importance_samples=5000, seed=1), exact, atol=0.02)
    draws = model.log_prob(np.repeat(x, 2000, 0), importance_samples=1, seed=1).numpy().reshape(3, 2000)
    error = draws.std(1, dtype=np.float64) / np.sqrt(2000)
    assert (np.abs(draws.mean(1, dtype=np.float64) - bound) < 4.0 * error).all()


def test_what_stands_for_a_code_is_the_median_of_each_pixel_given_those_before():
    model = small()
    z = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    shown = model.decode(z).numpy()
    logits = model.p_x.pixels.conditionals(tf.constant(shown), map=map_of(model, z)).numpy()[..., 0, :]
    np.testing.assert_array_equal(shown[..., 0], logits.argmax(-1))  # of two levels the likelier


@pytest.mark.slow
def test_a_code_tells_two_textures_apart_that_pixels_alone_cannot_foretell():
    # Stripes that lie or stand, which the first pixels do not tell.
    rng = np.random.default_rng(0)
    row, column = np.indices((8, 8)) // 2 % 2
    x = np.where(rng.random((512, 1, 1)) < 0.5, row, column) ^ (rng.random((512, 8, 8)) < 0.05)
    keras.utils.set_random_seed(0)
    model = tfgen.create(
        "pixel_vae", example=Images((8, 8, 1), 2), latent_size=2, width=8, map_features=4, pixel_width=8, depth=1,
        kernel_size=3, warm_up=200, seed=0,
    )  # fmt: skip
    model.compile(keras.optimizers.Adam(3e-3), steps_per_execution=20)
    model.fit(x[..., None].astype(np.uint8), batch_size=64, epochs=60, verbose=0)
    figures = model.evaluate(x[..., None].astype(np.uint8), verbose=0, return_dict=True)
    assert figures["kl"] > 0.1


def test_it_is_a_likelihood_that_any_model_of_the_family_takes():
    model = VAE(example=Images((4, 4, 1), 3), latent_size=2, hidden=(5,), likelihood=PixelCNNLikelihood(2, 4, 1, 3, 4))
    x = np.random.default_rng(0).integers(0, 3, (4, 4, 4, 1)).astype(np.uint8)
    model.compile()
    model.fit(x, verbose=0)
    assert model.reconstruct(x).shape == x.shape
    with pytest.raises(tfgen.InputError, match="it is for pictures"):
        VAE(example=Points(2), latent_size=2, likelihood=PixelCNNLikelihood())
    with pytest.raises(tfgen.InputError, match="at least 1 of each"):
        PixelCNNLikelihood(0)
