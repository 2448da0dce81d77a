"""Proofs of gumbel_vae."""

import itertools
import math

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

import tfgen
from tfgen.distributions import GaussianLikelihood
from tfgen.errors import InputError
from tfgen.specs import Images, Points

# All codes of two variables of three classes.
CODES = np.array([np.concatenate(pair) for pair in itertools.product(np.eye(3), repeat=2)], np.float32)


def small(spread: float = 1.0, **arguments):
    """Returns a model of nine codes with random networks."""
    model = tfgen.create(
        "gumbel_vae", **{"example": Images((2, 3, 1), 2), "variables": 2, "classes": 3, "hidden": (5,)} | arguments
    )
    rng = np.random.default_rng(0)
    for network in (model.encoder, model.decoder):
        network.set_weights([spread * rng.normal(size=weight.shape) for weight in network.weights])
    return model


def enumerated(model, x):
    """Returns log p(x) and the bound, exactly."""
    log_p = model.likelihood(CODES[:, None]).log_prob(x.astype(np.float32)).numpy().astype(np.float64)
    log_pi = scipy.special.log_softmax(model.encoder(2.0 * x - 1.0).numpy().astype(np.float64).reshape(-1, 2, 3), -1)
    log_q = (log_pi.reshape(-1, 6) @ CODES.T).T
    bound = np.sum(np.exp(log_q) * (log_p - math.log(9.0) - log_q), 0)
    return scipy.special.logsumexp(log_p, 0) - math.log(9.0), bound


@pytest.mark.parametrize("arguments", [{}, {"prior_temperature": 0.5}, {"straight_through": True}])
def test_the_bounds_are_those_of_discrete_codes_however_it_is_trained(arguments):
    model = small(**arguments)
    x = np.array(list(itertools.product((0, 1), repeat=6)), np.uint8)[[5, 18, 41]].reshape(-1, 2, 3, 1)
    truth, bound = enumerated(model, x)
    assert (bound < truth - 0.02).all()
    # How it is trained is no part of this graph.
    for k, expected, slack in () if arguments else ((1, bound, 0.0), (1000, truth, 0.02)):
        count = 4000 if k == 1 else 20
        draws = model.log_prob(np.repeat(x, count, 0), importance_samples=k, seed=k).numpy().reshape(3, count)
        error = draws.std(1, dtype=np.float64) / math.sqrt(count)
        assert (np.abs(draws.mean(1, dtype=np.float64) - expected) < 4.0 * error + slack).all()
    result = model.evaluate(np.repeat(x, 4000, 0), batch_size=12_000, verbose=0, return_dict=True)
    assert result["elbo"] == pytest.approx(bound.mean(), abs=4.0 * result["elbo_se"])
    assert result["loss"] == pytest.approx(-result["elbo"], rel=1e-5)


def test_all_pictures_together_have_probability_one():
    pictures = np.array(list(itertools.product((0, 1), repeat=6)), np.uint8).reshape(-1, 2, 3, 1)
    assert np.exp(enumerated(small(), pictures)[0]).sum() == pytest.approx(1.0, rel=1e-5)


def of_one_coin(**arguments):
    """Returns a model of one number x given a code of two classes, and its parameters."""
    model = tfgen.create(
        "gumbel_vae", example=Points(1), variables=1, classes=2, hidden=(),
        likelihood=GaussianLikelihood(0.5, learned=False), **arguments,
    )  # fmt: skip
    model.encoder.set_weights([np.zeros((1, 2)), np.array([0.3, -0.5])])
    model.decoder.set_weights([np.array([[1.0], [-1.0]]), np.array([0.2])])
    return model


def trained_terms(model, count: int = 200_000) -> dict[str, float]:
    """Returns what a training step descends for x = 0.7."""
    with model._step_of(0):
        terms = model.terms({"point": tf.fill((count, 1), 0.7)})
    return {name: float(term) for name, term in terms.items()}


@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_training_descends_relaxed_distortion_with_the_rate_of_the_categories_or_of_the_densities(temperature):
    # Of two classes log y_1 - log y_2 is logistic: all expectations are integrals over one number.
    u = (np.arange(200_000) + 0.5) / 200_000
    odds = (0.8 + scipy.special.logit(u)) / temperature
    y = scipy.special.expit(odds)
    distortion = -scipy.stats.norm.logpdf(0.7, 0.2 + 2.0 * y - 1.0, 0.5).mean()
    pi = scipy.special.expit(0.8)
    categories = pi * np.log(2.0 * pi) + (1.0 - pi) * np.log(2.0 * (1.0 - pi))
    log_q = scipy.stats.logistic.logpdf(odds, 0.8 / temperature, 1.0 / temperature)
    densities = (log_q - scipy.stats.logistic.logpdf(odds, 0.0, 1.0 / 0.6)).mean()
    for prior_temperature, rate in ((None, categories), (0.6, densities)):
        model = of_one_coin(prior_temperature=prior_temperature)
        model.temperature.assign(temperature)
        found = trained_terms(model)
        assert found["rate"] == pytest.approx(rate, abs=0.02 if prior_temperature else 1e-6)
        assert found["distortion"] == pytest.approx(distortion, abs=0.02)
        if prior_temperature:  # a true bound of the relaxed model
            p_y = scipy.stats.logistic.rvs(0.0, 1.0 / 0.6, 200_000, random_state=0)
            p_x = scipy.stats.norm.pdf(0.7, 2.0 * scipy.special.expit(p_y) - 0.8, 0.5).mean()
            assert -sum(found.values()) < np.log(p_x)
    assert densities != pytest.approx(categories, abs=0.05)


def test_straight_through_codes_are_one_hot_with_the_gradient_of_relaxed_ones():
    found = {}
    for straight in (False, True):
        model = small(straight_through=straight)
        seen, likelihood = [], model.likelihood
        # The gradient of the distortion at a code is then the same in both.
        model.likelihood = lambda z, seen=seen, p=likelihood: seen.append(z) or p(0.0 * z + 1.0 / 3.0)
        x = {"image": tf.ones((50, 2, 3, 1), tf.uint8)}
        variables = [variable.value for variable in model.encoder.trainable_variables]
        weights = tf.reshape(tf.range(6.0), (6, 1))
        with tf.GradientTape() as tape, model._step_of(0):
            tape.watch(variables)
            model.terms(x)
            value = tf.reduce_sum(seen[0] @ weights)
        found[straight] = seen[0].numpy(), tape.gradient(value, variables)
    (relaxed, soft), (hard, through) = found[False], found[True]
    assert relaxed.max() < 1.0
    np.testing.assert_allclose(relaxed.reshape(50, 2, 3).sum(-1), 1.0, atol=1e-5)
    np.testing.assert_allclose(hard, np.round(hard), atol=1e-6)
    np.testing.assert_allclose(hard.reshape(50, 2, 3).sum(-1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(hard.reshape(50, 2, 3).argmax(-1), relaxed.reshape(50, 2, 3).argmax(-1))
    for one, other in zip(soft, through, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert max(np.abs(one).max() for one in through) > 0.1


def test_the_temperature_falls_with_the_steps_to_its_lowest_and_is_saved(tmp_path):
    model = small(annealing=0.1, lowest_temperature=0.25)
    assert float(model.temperature.value) == 1.0
    x = np.zeros((16, 2, 3, 1), np.uint8)
    for steps in (4, 8, 16):
        model.fit(x, batch_size=4, verbose=0, epochs=1 if steps == 4 else steps // 8)
        assert float(model.temperature.value) == pytest.approx(max(0.25, math.exp(-0.1 * steps)), rel=1e-5)
    assert not any(variable is model.temperature for variable in model.trainable_variables)
    model.save(tmp_path / "model.keras")
    assert float(tfgen.load_model(tmp_path / "model.keras").temperature.value) == pytest.approx(0.25, rel=1e-5)


def test_a_compiled_step_sees_the_temperature_of_the_day():
    model = of_one_coin()

    @tf.function(autograph=False)
    def distortion():
        with model._step_of(0):
            return model.terms({"point": tf.fill((20_000, 1), 0.7)})["distortion"]

    warm = float(distortion())
    model.temperature.assign(0.05)
    assert abs(float(distortion()) - warm) > 0.1


def test_samples_come_from_all_codes_equally_often():
    model = small()
    model.decoder = lambda codes, training: tf.reshape(40.0 * codes - 20.0, (-1, 2, 3, 1))  # shows the code
    seen, counts = np.unique(model.sample(9000, seed=1).numpy().reshape(-1, 6), axis=0, return_counts=True)
    np.testing.assert_array_equal(np.sort(seen, 0), np.sort(CODES, 0))
    assert np.abs(counts - 1000).max() < 4.5 * math.sqrt(1000)


def test_encode_gives_codes_that_decode_takes():
    model = small()
    x = np.random.default_rng(1).integers(0, 2, (7, 2, 3, 1)).astype(np.uint8)
    code = model.encode(x)
    assert {tuple(row) for row in code["mean"].numpy()} <= {tuple(row) for row in CODES}
    np.testing.assert_array_equal(model.decode(code["mean"]), model.reconstruct(x))
    assert model.has_closed_form()


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [{}, {"prior_temperature": 0.1, "lowest_temperature": 0.25}, {"straight_through": True}]
)
def test_two_categories_that_made_the_data_are_found(arguments):
    keras.utils.set_random_seed(1)  # one in five ends where two patterns share a category
    rng = np.random.default_rng(0)
    # Each half of a picture is one of three patterns, and a pixel in twenty is wrong.
    patterns = np.kron(np.eye(3), np.ones(4))
    clean = np.concatenate([patterns[rng.integers(0, 3, 2000)] for _ in range(2)], 1)
    x = np.abs(clean - (rng.random(clean.shape) < 0.05)).astype(np.uint8).reshape(-1, 4, 6, 1)
    model = tfgen.create(
        "gumbel_vae", example=Images((4, 6, 1), 2), variables=2, classes=3, hidden=(32,), annealing=1e-2, seed=1,
        **arguments,
    )  # fmt: skip
    model.compile(keras.optimizers.Adam(2e-2), steps_per_execution=50)
    model.fit(tf.data.Dataset.from_tensors(x[:500]).repeat(300), shuffle=False, verbose=0)
    result = model.evaluate(x[500:], batch_size=1500, verbose=0, importance_samples=64, return_dict=True)
    # What the model that made them loses: which of nine, and the wrong pixels. Independent pixels would lose 15.5.
    entropy = 2.0 * math.log(3.0) + 24 * scipy.stats.bernoulli(0.05).entropy()
    assert entropy - 0.3 < result["nats"] < entropy + 0.5
    assert result["nats"] < -result["elbo"] < entropy + 1.0
    assert result["kl"] == pytest.approx(2.0 * math.log(3.0), abs=0.3)


def test_mistakes_are_named():
    for arguments, message in (
        ({"variables": 0}, "0 variables"),
        ({"classes": 1}, "1 classes"),
        ({"lowest_temperature": 0.0}, "lowest_temperature=0.0"),
        ({"prior_temperature": -1.0}, "prior_temperature=-1.0"),
        ({"annealing": -1.0}, "annealing=-1.0"),
        ({"straight_through": True, "prior_temperature": 0.5}, "leave prior_temperature out"),
    ):
        with pytest.raises(InputError, match=message):
            tfgen.create("gumbel_vae", example=Points(2), **{"variables": 2, "classes": 3} | arguments)
