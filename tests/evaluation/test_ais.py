"""Annealed importance sampling on models whose likelihoods are known."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

import tfgen
from tfgen.distributions import GaussianLikelihood
from tfgen.errors import InputError
from tfgen.evaluation import annealed_importance_sampling, bidirectional_monte_carlo, sigmoid_betas
from tfgen.evaluation.ais import _Annealing
from tfgen.models import AmortizedModel
from tfgen.specs import Images, Labels, Points

W = np.random.default_rng(0).normal(size=(6, 4))
OFFSET = np.random.default_rng(1).normal(size=6)


def linear(noise: float):
    """Returns x = W z + offset + noise, in which log p(x) is known."""
    model = tfgen.create(
        "vae", example=Points(6), latent_size=4, hidden=(), likelihood=GaussianLikelihood(noise, learned=False)
    )
    model.decoder.set_weights([W.T, OFFSET])
    return model


def exact(x, noise: float) -> np.ndarray:
    return scipy.stats.multivariate_normal.logpdf(x, OFFSET, W @ W.T + noise**2 * np.eye(6))


def error(values) -> float:
    return float(np.std(values) / math.sqrt(np.size(values)))


def test_weights_of_both_directions_are_unbiased(monkeypatch):
    monkeypatch.setattr("tfgen.evaluation.ais._FIRST_STEP", 0.9)  # so wide that many proposals are refused
    # One chain for each of many examples, so that each begins at a draw of its own; other steps up than down.
    sandwich = bidirectional_monte_carlo(
        linear(1.5), 30_000, betas=np.linspace(0.0, 1.0, 21) ** 2, chains=1, leapfrog_steps=3, batch_size=30_000, seed=3
    )
    truth = exact(sandwich.events, 1.5)
    for log_w in (sandwich.forward.log_weights[0] - truth, sandwich.backward.log_weights[0] + truth):
        w = np.exp(log_w)
        assert np.mean(w) == pytest.approx(1.0, abs=4.0 * error(w))
        assert error(w) < 0.02
        assert np.mean(log_w) < -0.2
    assert 0.5 < np.mean(sandwich.forward.acceptance) < 0.7


def test_the_truth_lies_between_both_bounds_and_more_temperatures_bring_them_together():
    gaps, model = [], linear(0.3)
    for count in (10, 200):
        sandwich = bidirectional_monte_carlo(model, 20, betas=sigmoid_betas(count), chains=8, seed=count)
        truth = exact(sandwich.events, 0.3)
        below, above = truth - sandwich.lower, sandwich.upper - truth
        assert np.mean(below) > -3.0 * error(below)
        assert np.mean(above) > -3.0 * error(above)
        assert sandwich.gap == pytest.approx(np.mean(below + above))
        weights = sandwich.forward.log_weights, sandwich.backward.log_weights
        mean, of_reciprocals = (scipy.special.logsumexp(log_w, 0) - math.log(8.0) for log_w in weights)
        np.testing.assert_allclose(sandwich.lower, mean)
        np.testing.assert_allclose(sandwich.upper, -of_reciprocals)  # not the mean of 1 / w, which is looser
        gaps.append(sandwich.gap)
    assert gaps[1] < 0.2 * gaps[0]
    assert sandwich.forward.log_weights.shape == sandwich.backward.log_weights.shape == (8, 20)
    for bound in (sandwich.forward, sandwich.backward):
        assert 0.55 < np.mean(bound.acceptance) < 0.75
        size = bound.effective_sample_size
        assert ((size >= 1.0 - 1e-9) & (size <= 8.0 + 1e-9)).all()


@pytest.mark.slow
def test_with_many_temperatures_both_bounds_are_the_likelihood():
    sandwich = bidirectional_monte_carlo(
        linear(0.3), 50, betas=sigmoid_betas(3000), chains=8, pilot_chains=8, jit_compile=True, seed=1
    )
    truth = exact(sandwich.events, 0.3)
    assert np.mean(sandwich.lower) == pytest.approx(np.mean(truth), abs=0.1)
    assert np.mean(sandwich.upper) == pytest.approx(np.mean(truth), abs=0.1)
    assert np.mean(sandwich.forward.acceptance) == pytest.approx(0.65, abs=0.02)


def test_one_temperature_without_a_transition_is_importance_sampling_from_the_prior():
    x = np.random.default_rng(2).normal(size=(3, 6)).astype(np.float32)
    bound = annealed_importance_sampling(linear(2.0), x, betas=[0.0, 1.0], chains=20_000)
    z = np.random.default_rng(3).normal(size=(20_000, 1, 4))
    ours = scipy.stats.norm.logpdf(x, z @ W.T + OFFSET, 2.0).sum(-1)
    assert (np.abs(ours.mean(0) - bound.log_weights.mean(0)) < 6.0 * ours.std(0) / math.sqrt(20_000)).all()
    np.testing.assert_allclose(bound.log_weights.std(0), ours.std(0), rtol=0.05)
    np.testing.assert_allclose(bound.log_prob, exact(x, 2.0), atol=0.1)
    assert np.isnan(bound.acceptance).all()


def test_an_example_that_its_code_says_nothing_of_has_its_likelihood_in_every_chain():
    model = linear(0.5)
    model.decoder.set_weights([0.0 * W.T, OFFSET])
    x = np.random.default_rng(2).normal(size=(7, 6)).astype(np.float32)
    truth = scipy.stats.norm.logpdf(x, OFFSET, 0.5).sum(-1)
    bound = annealed_importance_sampling(model, x, betas=sigmoid_betas(6), chains=2, batch_size=3)
    np.testing.assert_allclose(bound.log_weights, np.tile(truth, (2, 1)), rtol=1e-5)
    np.testing.assert_allclose(bound.effective_sample_size, 2.0)


def test_averaged_weights_are_measured_where_there_are_any():
    model = linear(0.5)
    model.decoder.set_weights([0.0 * W.T, OFFSET])
    model.compile(ema=0.5)
    model.decoder.set_weights([0.0 * W.T, OFFSET + 3.0])
    x = np.zeros((1, 6), np.float32)
    bound = annealed_importance_sampling(model, x, betas=[0.0, 1.0], chains=1)
    np.testing.assert_allclose(bound.log_prob, scipy.stats.norm.logpdf(x, OFFSET, 0.5).sum(-1), rtol=1e-5)


def test_schedules_agree_and_so_do_seeds_only_on_average():
    model = linear(1.0)
    x = np.repeat(np.random.default_rng(2).normal(size=(1, 6)), 100, 0).astype(np.float32)
    found = [
        annealed_importance_sampling(model, x, betas=betas, chains=4, leapfrog_steps=5, seed=seed).log_prob
        for betas, seed in ((sigmoid_betas(40), 1), (np.linspace(0, 1, 41), 2), (sigmoid_betas(40), 1))
    ]
    np.testing.assert_array_equal(found[0], found[2])
    for one in found[:2]:
        assert np.mean(np.exp(one - exact(x, 1.0))) == pytest.approx(1.0, abs=4.0 * error(np.exp(one - exact(x, 1.0))))
    assert np.mean(found[0]) == pytest.approx(np.mean(found[1]), abs=4.0 * (error(found[0]) + error(found[1])))
    assert (found[0] != found[1]).all()


def test_step_sizes_are_those_of_the_pilot_and_smaller_where_the_posterior_is():
    annealing = _Annealing(linear(0.1), sigmoid_betas(200), 3, 8, 5, 100, False)
    event = tf.constant(np.random.default_rng(2).normal(size=(2, 6)).astype(np.float32))
    sizes = annealing.pilot(event, None, (0, 1))
    assert sizes.shape == (199, 2)
    # The widest step that is stable falls with the standard deviation, which the likelihood makes 1 / 30.
    assert (sizes[-1] < 0.5 * sizes[50]).numpy().all()
    z = tf.zeros((3, 2, 4))
    held = annealing._run(z, event, None, annealing.inner, annealing.rises, sizes, False, (0, 2))[2]
    np.testing.assert_array_equal(held, sizes)


def test_of_a_bernoulli_decoder_it_finds_what_quadrature_does():
    model = tfgen.create("vae", example=Images((2, 4, 1), 2), latent_size=2, hidden=(16,))
    rng = np.random.default_rng(0)
    model.decoder.set_weights([rng.normal(size=weight.shape) for weight in model.decoder.weights])
    x = rng.integers(0, 2, (4, 2, 4, 1)).astype(np.uint8)
    points, weights = np.polynomial.hermite_e.hermegauss(60)
    z = np.array(list(itertools.product(points, points)), np.float32)
    log_weights = np.log([a * b / (2.0 * math.pi) for a, b in itertools.product(weights, weights)])
    logits = model.decoder(z).numpy().reshape(-1, 1, 8).astype(np.float64)
    log_p = scipy.special.log_expit((2.0 * x.reshape(1, 4, 8) - 1.0) * logits).sum(-1)
    truth = scipy.special.logsumexp(log_p + log_weights[:, None], 0)
    bound = annealed_importance_sampling(model, x, betas=sigmoid_betas(50), chains=500, leapfrog_steps=5)
    w = np.exp(bound.log_weights - truth)
    assert (np.abs(w.mean(0) - 1.0) < 4.0 * w.std(0) / math.sqrt(500)).all()
    np.testing.assert_allclose(bound.log_prob, truth, atol=0.1)


def test_labels_go_to_the_decoder():
    model = AmortizedModel(
        example=Points(2), latent_size=2, label=Labels(3), likelihood=GaussianLikelihood(0.5, learned=False)
    )
    by_class = np.array([[0.0, 1.0], [2.0, -1.0], [-3.0, 0.5]])
    model.decoder.set_weights([np.concatenate([np.zeros((2, 2)), by_class]), np.zeros(2)])
    x, label = np.zeros((3, 2), np.float32), np.array([2, 0, 1])
    bound = annealed_importance_sampling(model, x, label, betas=sigmoid_betas(4), chains=2)
    np.testing.assert_allclose(bound.log_prob, scipy.stats.norm.logpdf(x, by_class[label], 0.5).sum(-1), rtol=1e-5)
    sandwich = bidirectional_monte_carlo(model, 3, label, betas=[0.0, 1.0], chains=2)
    truth = scipy.stats.norm.logpdf(sandwich.events, by_class[label], 0.5).sum(-1)
    np.testing.assert_allclose(sandwich.lower, truth, rtol=1e-5)
    np.testing.assert_allclose(sandwich.upper, truth, rtol=1e-5)
    for given in (None, label[:2]):
        with pytest.raises(InputError, match="labels"):
            annealed_importance_sampling(model, x, given)


KNOWN = np.array([[1, 0, 0], [0, 0, 1], [0, 1, 1], [0, 0, 0]], np.float32)  # of each example


def completing():
    """Returns a `cvae` whose networks are linear, and log p(hidden|known) of it."""
    model = tfgen.create(
        "cvae", example=Points(3), known=((0,), (2,), (1, 2), ()), latent_size=2, hidden=(),
        likelihood=GaussianLikelihood(0.5, learned=False),
    )  # fmt: skip
    rng = np.random.default_rng(4)
    for network in (model.prior_network, model.decoder):
        network.set_weights([0.5 * rng.normal(size=weight.shape) for weight in network.weights])

    def exact(x):
        found = []
        for y, known in zip(np.asarray(x, np.float64), KNOWN, strict=True):
            c = np.concatenate([known * y, known])
            (kernel, bias), (of_prior, bias_of_prior) = model.decoder.get_weights(), model.prior_network.get_weights()
            mean, log_scale = np.split(c @ of_prior + bias_of_prior, 2)
            of_z, of_c = kernel[:2].T, kernel[2:].T
            covariance = (of_z * np.exp(2.0 * log_scale)) @ of_z.T + 0.25 * np.eye(3)
            hidden = known == 0.0
            normal = scipy.stats.multivariate_normal(
                (of_z @ mean + of_c @ c + bias)[hidden], covariance[np.ix_(hidden, hidden)]
            )
            found.append(normal.logpdf(y[hidden]))
        return np.array(found)

    return model, exact


def test_of_what_is_hidden_given_what_is_known_the_likelihood_is_found():
    model, exact = completing()
    x = np.random.default_rng(5).normal(size=(4, 3)).astype(np.float32)
    bound = annealed_importance_sampling(model, x, mask=KNOWN, betas=sigmoid_betas(40), chains=64, batch_size=3)
    np.testing.assert_allclose(bound.log_prob, exact(x), atol=0.1)
    spoiled = np.where(KNOWN > 0.0, x, np.nan).astype(np.float32)
    sandwich = bidirectional_monte_carlo(
        model, 4, mask=KNOWN, x=np.nan_to_num(spoiled, nan=9.0), betas=sigmoid_betas(150), chains=64
    )
    np.testing.assert_array_equal(sandwich.events[KNOWN > 0.0], x[KNOWN > 0.0])
    np.testing.assert_allclose(sandwich.lower, exact(sandwich.events), atol=0.1)
    np.testing.assert_allclose(sandwich.upper, exact(sandwich.events), atol=0.1)


def test_what_a_model_is_given_is_asked_for():
    model, x = completing()[0], np.zeros((4, 3), np.float32)
    with pytest.raises(InputError, match="cvae is given a mask; pass that"):
        annealed_importance_sampling(model, x)
    with pytest.raises(InputError, match="3 masks for 4 examples"):
        annealed_importance_sampling(model, x, mask=KNOWN[:3])
    with pytest.raises(InputError, match="with a mask pass x too"):
        bidirectional_monte_carlo(model, 4, mask=KNOWN)
    with pytest.raises(InputError, match="vae is given neither labels nor a mask"):
        annealed_importance_sampling(linear(1.0), np.zeros((1, 6), np.float32), mask=np.ones((1, 6), np.float32))


def test_pictures_with_a_density_are_dequantised():
    model = tfgen.create(
        "vae", example=Images((1, 1, 1), 5), latent_size=1, hidden=(), likelihood=GaussianLikelihood(0.5, learned=False)
    )
    model.decoder.set_weights([np.zeros((1, 1)), np.zeros(1)])
    x = np.full((2000, 1, 1, 1), 3, np.uint8)
    found = annealed_importance_sampling(model, x, betas=[0.0, 1.0], chains=1, batch_size=2000).log_prob
    # One deviation is a level, and the mean is level 2.
    u = np.linspace(-0.5, 0.5, 10_001)
    expected = scipy.stats.norm.logpdf(1.0 + u)
    assert found.mean() == pytest.approx(expected.mean(), abs=4.0 * error(found))
    assert expected.min() - 1e-5 <= found.min() < found.max() <= expected.max() + 1e-5


def test_sigmoid_betas_rise_from_0_to_1_and_lie_densest_at_both_ends():
    betas = sigmoid_betas(8)
    s = scipy.special.expit(4.0 * np.linspace(-1.0, 1.0, 9))
    np.testing.assert_allclose(betas, (s - s[0]) / (s[-1] - s[0]))
    assert betas[0] == 0.0 and betas[-1] == 1.0
    np.testing.assert_allclose(np.diff(betas), np.diff(betas)[::-1])
    np.testing.assert_allclose(sigmoid_betas(5, radius=1e-3), np.linspace(0, 1, 6), atol=1e-6)


def test_mistakes_are_named():
    model, x = linear(1.0), np.zeros((2, 6), np.float32)
    with pytest.raises(InputError, match="not continuous"):
        annealed_importance_sampling(
            tfgen.create("gumbel_vae", example=Points(6), variables=2, classes=3, hidden=()), x, betas=[0.0, 1.0]
        )
    with pytest.raises(InputError, match="a WGAN, expected"):
        annealed_importance_sampling(tfgen.create("wgan", example=Points(6)), x)
    for betas in ([0.0, 0.5], [0.1, 1.0], [0.0, 0.5, 0.5, 1.0], [1.0], [[0.0, 1.0]]):
        with pytest.raises(InputError, match="betas rise"):
            annealed_importance_sampling(model, x, betas=betas)
    with pytest.raises(InputError, match="no other"):
        annealed_importance_sampling(model, x, [0, 1])
    with pytest.raises(InputError, match="shape"):
        annealed_importance_sampling(model, x[:, :5])
    for arguments in ({"chains": 0}, {"pilot_chains": 0}, {"leapfrog_steps": 0}, {"batch_size": 0}):
        with pytest.raises(InputError, match=f"{next(iter(arguments))}: 0"):
            annealed_importance_sampling(model, x, **arguments)
    with pytest.raises(InputError, match="0 steps"):
        sigmoid_betas(0)


def test_metrics_do_without_tensorflow():
    program = "import sys, tfgen.evaluation as e; e.am_score; assert 'tensorflow' not in sys.modules; e.none"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "has no attribute 'none'" in done.stderr
