"""What all adversarial models share, on a generator that gives back its code."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.models import AdversarialModel
from tfgen.objectives import discriminator_cross_entropy, non_saturating
from tfgen.specs import Points

tfd = tfp.distributions


class Mirror(AdversarialModel):
    """G(z) = z, with a Gaussian prior, or a uniform one."""

    def __init__(self, *, size=3, uniform=False, **kwargs):
        generator = keras.Sequential([keras.Input((size,)), keras.layers.Dense(size, use_bias=False)])
        generator.set_weights([np.eye(size)])
        discriminator = keras.Sequential([keras.Input((size,)), keras.layers.Dense(1)])
        networks = {"generator": generator, "discriminator": discriminator}
        super().__init__(example=Points(size), latent_size=size, **networks, **kwargs)
        self.uniform = uniform

    def latent_prior(self):
        if self.uniform:
            return tfd.Independent(tfd.Uniform(-tf.ones(self.latent_size), tf.ones(self.latent_size)), 1)
        return super().latent_prior()

    def discriminator_terms(self, batch):
        real, fake = discriminator_cross_entropy(self.score(self.real(batch)), self.score(self.fake(batch)))
        return {"real": real, "fake": fake}

    def generator_terms(self, batch):
        return {"fooling": non_saturating(self.score(self.fake(batch)))}

    def default_optimizers(self):
        return {name: keras.optimizers.SGD(0.1) for name in ("discriminator", "generator")}


def codes(seed, count=5, size=3):
    return np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)


@pytest.mark.parametrize("uniform", [True, False])
def test_an_interpolation_has_both_ends(uniform):
    line = Mirror(uniform=uniform).interpolate(codes(1), codes(2), steps=7).numpy()
    assert line.shape == (5, 7, 3)
    np.testing.assert_allclose(line[:, 0], codes(1), rtol=1e-6)
    np.testing.assert_allclose(line[:, -1], codes(2), rtol=1e-6)


def test_under_a_uniform_prior_the_line_is_straight():
    line = Mirror(uniform=True).interpolate(codes(1), codes(2), steps=5).numpy()
    t = np.linspace(0, 1, 5)[None, :, None]
    np.testing.assert_allclose(line, (1 - t) * codes(1)[:, None] + t * codes(2)[:, None], atol=1e-6)


def test_under_a_gaussian_prior_the_line_keeps_the_norm_and_turns_evenly():
    start, stop = (2.0 * z / np.linalg.norm(z, axis=1, keepdims=True) for z in (codes(1), codes(2)))
    line = Mirror().interpolate(start, stop, steps=9).numpy().astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(line, axis=-1), 2.0, rtol=1e-5)
    angles = np.arccos(np.sum(line[:, 1:] * line[:, :-1], -1) / 4.0)
    whole = np.arccos(np.sum(start * stop, -1) / 4.0)
    np.testing.assert_allclose(angles, np.tile(whole[:, None] / 8, 8), rtol=1e-3)
    # A straight line would cut through the sphere.
    assert np.linalg.norm((start + stop) / 2, axis=-1).min() < 1.0


@pytest.mark.parametrize("factor", [0.0, 1.0, 3.0, -1.0])
def test_a_line_between_parallel_codes_stays_finite_and_ends_right(factor):
    start = codes(1)
    line = Mirror().interpolate(start, factor * start, steps=6).numpy()
    assert np.isfinite(line).all()
    np.testing.assert_allclose(line[:, 0], start, rtol=1e-5)
    np.testing.assert_allclose(line[:, -1], factor * start, rtol=1e-5)


def test_arithmetic_is_on_the_means_of_the_codes():
    a, b, c = codes(1, 3), codes(2, 4), codes(3, 5)
    answer = Mirror().arithmetic(a, b, c).numpy()
    np.testing.assert_allclose(answer, (a.mean(0) - b.mean(0) + c.mean(0))[None], atol=1e-6)


def test_samples_are_generated_codes_of_the_prior():
    gaussian, uniform = (Mirror(uniform=u).sample(50_000, seed=3).numpy() for u in (False, True))
    np.testing.assert_allclose(gaussian.std(0), 1.0, atol=0.02)
    np.testing.assert_allclose(uniform.std(0), 1 / np.sqrt(3), atol=0.01)
    assert np.abs(uniform).max() <= 1.0


def test_a_move_of_one_player_leaves_the_other_where_it_is():
    model = Mirror()
    model.compile(optimizer={"discriminator": keras.optimizers.SGD(0.5), "generator": keras.optimizers.SGD(0.0)})
    generator, discriminator = model.generator.get_weights(), model.discriminator.get_weights()
    model.fit(codes(4, 64), epochs=1, verbose=0)
    np.testing.assert_array_equal(model.generator.get_weights()[0], generator[0])
    assert (model.discriminator.get_weights()[0] != discriminator[0]).all()


def test_the_score_of_examples_is_the_discriminators_output():
    model = Mirror()
    model.discriminator.set_weights([np.array([[1.0], [2.0], [3.0]]), np.array([0.5])])
    np.testing.assert_allclose(model.discriminate(codes(1)), codes(1) @ [1.0, 2.0, 3.0] + 0.5, rtol=1e-5)
