"""Proofs of b_gan."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.zoo.adversarial_proofs import discriminate, integral, line, measured, on_the_ring, p, q
from tfgen.errors import InputError
from tfgen.objectives import make_divergence
from tfgen.specs import Points


def samples_of_q(count: int = 400_000) -> np.ndarray:
    return (1.0 + 1.2 * np.random.default_rng(4).normal(size=(count, 1))).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("divergence", ["pearson", "kl", "jensen_shannon"])
def test_the_least_loss_is_minus_the_divergence_and_ratios_are_weights(divergence):
    model = discriminate("b_gan", divergence=divergence, alpha=0.0)
    f = make_divergence(divergence).f
    truth = integral(lambda x: q(x) * f(tf.constant(p(x) / q(x), tf.float64)).numpy())
    assert measured(model)["discriminator_loss"] == pytest.approx(-truth, rel=0.02)
    assert model.ratio(samples_of_q()).numpy().mean() == pytest.approx(1.0, abs=0.02)


@pytest.mark.slow
def test_the_relative_ratio_is_that_to_the_mixture():
    alpha = 0.2
    model = discriminate("b_gan", alpha=alpha)
    x = np.array([[-2.0], [-1.0], [0.0], [1.0], [2.0]])
    truth = p(x) / (alpha * p(x) + (1.0 - alpha) * q(x))
    np.testing.assert_allclose(model.ratio(x.astype(np.float32)), truth[:, 0], atol=0.1)
    mixture = lambda x: alpha * p(x) + (1.0 - alpha) * q(x)
    pearson = integral(lambda x: (p(x) - mixture(x)) ** 2 / mixture(x))
    assert measured(model)["discriminator_loss"] == pytest.approx(-pearson, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("generator_divergence", ["reverse_kl", None])
def test_all_modes_of_the_ring_are_found(generator_divergence):
    _, found = on_the_ring("b_gan", steps=3000, rate=3e-4, alpha=0.2, generator_divergence=generator_divergence)
    assert found.covered == 8
    assert found.high_quality >= 0.7


def known(slope: float = 0.5, bias: float = -0.25, **arguments):
    """Returns a model of numbers with D(x) = slope x + bias and G(z) = 1 + 1.2 z."""
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    network.set_weights([np.full((1, 1), slope), np.full(1, bias)])
    networks = {"generator": line(1.0, 1.2), "discriminator": network}
    return tfgen.create("b_gan", example=Points(1), latent_size=1, **networks, **arguments)


BATCH = {"point": tf.constant([[-1.0], [0.5], [2.0]])}


def scores(model):
    """Returns D of the batch and of the samples that the next terms will see."""
    with model._step_of(1):
        real, fake = (model.score(x).numpy().astype(np.float64) for x in (model.real(BATCH), model.fake(BATCH)))
    model._random_count.assign([0, 0])
    return real, fake


@pytest.mark.parametrize("alpha", [0.0, 0.2, 0.7])
def test_the_ratio_is_positive_and_at_most_one_over_alpha(alpha):
    model, x = known(alpha=alpha), np.array([[-1e4], [-3.0], [0.0], [5.0], [1e4]], np.float32)
    v = 0.5 * x[:, 0].astype(np.float64) - 0.25
    expected = 1.0 / (1.0 + np.exp(-np.clip(v, -700, 700))) / alpha if alpha else np.logaddexp(0.0, v)
    ratio = model.ratio(x).numpy()
    np.testing.assert_allclose(ratio, expected, rtol=1e-5, atol=1e-30)
    assert ratio.min() > 0.0


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_the_discriminator_matches_the_ratio_to_the_mixture(alpha):
    # For Pearson's f the loss is the mean square of the ratio under the mixture, less 2 E_p[r] - 1.
    model = known(alpha=alpha)
    real, fake = scores(model)
    r = lambda v: 1.0 / (1.0 + np.exp(-v)) / alpha if alpha else np.logaddexp(0.0, v)
    square = alpha * np.mean(r(real) ** 2) + (1.0 - alpha) * np.mean(r(fake) ** 2)
    with model._step_of(1):
        terms = model.discriminator_terms(BATCH)
    assert sum(float(term) for term in terms.values()) == pytest.approx(square - 2.0 * np.mean(r(real)) + 1.0, rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "name", "descends"),
    [
        ({"frozen": True}, "frozen", lambda r: (r - 1.0) ** 2),
        ({"frozen": True, "divergence": "kl"}, "frozen", lambda r: r * np.log(r) - r + 1.0),
        ({}, "divergence", lambda r: 1.0 - r**2),
        ({"generator_divergence": "reverse_kl"}, "divergence", lambda r: 1.0 - np.log(r)),
        ({"divergence": "kl"}, "divergence", lambda r: -r),
    ],
)
def test_the_generator_descends_what_is_asked_for(arguments, name, descends):
    model = known(alpha=0.2, **arguments)
    _, fake = scores(model)
    with model._step_of(1):
        terms = model.generator_terms(BATCH)
    assert set(terms) == {name}
    expected = np.mean(descends(5.0 / (1.0 + np.exp(-fake))))
    assert float(terms[name]) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("divergence", ["pearson", "kl", "jensen_shannon", "reverse_kl"])
def test_losses_of_certain_scores_are_finite_and_so_are_their_gradients(divergence):
    for slope in (1e3, -1e3):
        model = known(slope=slope, divergence=divergence)
        variables = [variable.value for variable in model.trainable_variables]
        for terms in (model.discriminator_terms, model.generator_terms):
            with tf.GradientTape() as tape, model._step_of(1):
                tape.watch(variables)
                loss = tf.add_n(list(terms(BATCH).values()))
            assert np.isfinite(loss)
            assert all(np.isfinite(g).all() for g in tape.gradient(loss, variables) if g is not None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"divergence": "pearsn"}, "did you mean pearson"),
        ({"generator_divergence": "reverse"}, "unknown divergence"),
        ({"alpha": 1.0}, r"in \[0, 1\)"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        tfgen.create("b_gan", example=Points(2), latent_size=2, **arguments)


@pytest.mark.parametrize("alpha", [0.0, 0.2])
def test_an_example_counts_as_real_where_the_ratio_exceeds_one(alpha):
    model = known(alpha=alpha)
    v = np.linspace(-4.0, 4.0, 41, dtype=np.float32)
    np.testing.assert_array_equal(model.realness(tf.constant(v)) > 0.0, model.ratio(2.0 * (v[:, None] + 0.25)) > 1.0)
