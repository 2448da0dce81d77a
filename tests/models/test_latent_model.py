"""The bound, its importance-weighted form and the endpoints, on models whose answers are known."""

import math

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions import GaussianLikelihood
from tfgen.errors import InputError
from tfgen.models.lines import places
from tfgen.specs import Images, Points
from tfgen.zoo.variational.vae import VAE

tfd = tfp.distributions

# Orthogonal columns, so that the posterior of a linear-Gaussian model is diagonal.
W = np.array([[1.0, 0.6], [-1.0, 0.6], [0.5, 0.0]], np.float32)
OFFSET = np.array([0.3, -0.2, 0.1], np.float32)
NOISE = 0.7


def linear_model(shift=0.0, widen=1.0, **arguments):
    """Returns x = Wz + offset + noise, with the exact posterior or one that is shifted and widened."""
    model = VAE(
        example=Points(3), latent_size=2, hidden=(),
        likelihood=GaussianLikelihood(scale=NOISE, learned=False), **arguments,
    )  # fmt: skip
    variance = 1.0 / (1.0 + np.sum(W**2, 0) / NOISE**2)
    to_mean = W * variance / NOISE**2
    kernel = np.concatenate([to_mean, np.zeros_like(to_mean)], 1)
    deviation = np.sqrt(variance)
    bias = np.concatenate([shift * deviation - OFFSET @ to_mean, np.log(widen * deviation)])
    model.encoder.set_weights([kernel, bias])
    model.decoder.set_weights([W.T, OFFSET])
    return model


def exact_log_prob(x):
    return scipy.stats.multivariate_normal.logpdf(x, OFFSET, W @ W.T + NOISE**2 * np.eye(3))


def points(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)


def test_with_the_exact_posterior_the_bound_is_the_likelihood_for_every_k():
    model, x = linear_model(), points(50)
    for k in (1, 2, 16, 37):
        np.testing.assert_allclose(model.log_prob(x, importance_samples=k, seed=k), exact_log_prob(x), atol=1e-5)


def test_with_the_exact_posterior_evaluate_reports_the_likelihood():
    model, x = linear_model(), points(200)
    result = model.evaluate(x, batch_size=64, importance_samples=20, verbose=0, return_dict=True)
    assert result["nats"] == pytest.approx(-exact_log_prob(x).mean(), abs=1e-5)
    assert result["nats_se"] == pytest.approx(exact_log_prob(x).std(ddof=1) / math.sqrt(200), rel=1e-4)
    assert result["effective_sample_size"] == pytest.approx(20.0, rel=1e-3)
    assert "bits_per_dim" not in result  # of a density they depend on the unit
    assert result["elbo"] == pytest.approx(exact_log_prob(x).mean(), abs=4 * result["elbo_se"])


@pytest.fixture(scope="module")
def wrong_posterior_bounds():
    """Returns k -> draws of the bound at one point, with q one deviation off and 1.2 times too wide."""
    model, x = linear_model(shift=1.0, widen=1.2), points(1)
    chunk = np.repeat(x, 20_000, 0)
    return x, {
        k: np.concatenate([model.log_prob(chunk, importance_samples=k, seed=100 * k + i) for i in range(repeats)])
        for k, repeats in {1: 5, 4: 5, 16: 5, 64: 10}.items()
    }


def test_with_a_wrong_posterior_the_bound_rises_with_k_towards_the_likelihood(wrong_posterior_bounds):
    x, draws = wrong_posterior_bounds
    means = [draw.mean(dtype=np.float64) for draw in draws.values()]
    errors = [draw.std() / math.sqrt(draw.size) for draw in draws.values()]
    for (low, high), error in zip(zip(means, means[1:], strict=False), errors, strict=False):
        assert high - low > 4 * error
    assert means[-1] < exact_log_prob(x).item()


def test_at_k_1_the_gap_is_the_divergence_and_at_large_k_the_variance_over_2k(wrong_posterior_bounds):
    x, draws = wrong_posterior_bounds
    truth = exact_log_prob(x).item()
    divergence = 2 * 0.5 * (1.2**2 + 1.0 - 1.0 - math.log(1.2**2))
    # E_q[(p/q)^2] in closed form, for two dimensions.
    square = (1.2**2 / math.sqrt(2 * 1.2**2 - 1) * math.exp(1.0 / (2 * 1.2**2 - 1))) ** 2
    for k, gap, slack in ((1, divergence, 0.0), (64, (square - 1) / (2 * 64), 0.05)):
        error = draws[k].std(dtype=np.float64) / math.sqrt(draws[k].size)
        assert truth - draws[k].mean(dtype=np.float64) == pytest.approx(gap, abs=4 * error + slack * gap)


@pytest.mark.parametrize("k", [1, 15, 16, 17, 40])
def test_streaming_over_chunks_equals_one_shot(k, monkeypatch):
    model, x = linear_model(shift=0.5, widen=1.5), points(6)
    q, drawn = model.posterior(x), []

    class Recorder:
        @staticmethod
        def experimental_sample_and_log_prob(*args, **kwargs):
            z, log_q = q.experimental_sample_and_log_prob(*args, **kwargs)
            drawn.append(z)
            return z, log_q

    monkeypatch.setattr(model, "posterior", lambda *args: Recorder)
    bound, effective = model._importance_weighted(x, k, np.array([3, 4], np.int32))
    z = np.concatenate(drawn)[:k].astype(np.float64)
    assert z.shape == (k, 6, 2) and np.unique(z).size == z.size
    log_w = (
        scipy.stats.norm.logpdf(x, z @ W.T + OFFSET, NOISE).sum(-1)
        + scipy.stats.norm.logpdf(z).sum(-1)
        - scipy.stats.norm.logpdf(z, q.mean(), q.stddev()).sum(-1)
    )
    np.testing.assert_allclose(bound, scipy.special.logsumexp(log_w, 0) - math.log(k), atol=2e-5)
    w = np.exp(log_w - log_w.max(0))
    np.testing.assert_allclose(effective, w.sum(0) ** 2 / (w**2).sum(0), rtol=1e-4)


def test_terms_and_figures_of_a_test_step_are_of_one_draw():
    model, x = linear_model(shift=1.0), points(100)
    asked = []
    original = model.posterior
    model.posterior = lambda *args: asked.append(1) or original(*args)
    model.compile(run_eagerly=True)
    result = model.evaluate(x, batch_size=50, verbose=0, return_dict=True)
    assert len(asked) == 2  # once for each of two batches
    assert result["loss"] == pytest.approx(-result["elbo"], rel=1e-6)
    assert result["loss"] == pytest.approx(result["rate"] + result["distortion"], rel=1e-6)


def test_every_batch_of_an_evaluation_has_its_own_draw():
    # With a far-off posterior the distortion of one example varies, so equal draws would show.
    model = linear_model(shift=1.0, widen=2.0)
    x = np.repeat(points(1), 64, 0)
    compiled = model.evaluate(x, batch_size=8, verbose=0, return_dict=True)
    model.compile(run_eagerly=True)
    eager = model.evaluate(x, batch_size=8, verbose=0, return_dict=True)
    assert eager == pytest.approx(compiled, rel=1e-5)
    assert eager["elbo_se"] > 0.0
    one_batch = model.evaluate(x[:8], batch_size=8, verbose=0, return_dict=True)
    assert one_batch["elbo"] != pytest.approx(eager["elbo"], rel=1e-3)


def test_two_batches_of_one_test_step_have_their_own_draws():
    model = linear_model(shift=1.0)
    first, second = (model.unpack(tf.constant(points(4))) for _ in range(2))
    with model._step_of(1):
        parts = [model.rate_distortion(batch)[1].numpy() for batch in (first, first, second)]
    np.testing.assert_array_equal(parts[0], parts[1])
    assert (parts[0] != parts[2]).all()


def test_a_training_step_draws_anew_for_every_use():
    model, x = linear_model(), points(4)
    batch = model.unpack(tf.constant(x))
    with model._step_of(0):
        first, second = model.rate_distortion(batch)[1], model.rate_distortion(batch)[1]
    assert (first.numpy() != second.numpy()).all()


def test_the_divergence_is_estimated_where_no_closed_form_is_known():
    model = linear_model()
    q = tfd.MultivariateNormalDiag(tf.fill((50_000, 1), 0.5), tf.fill((50_000, 1), 0.8))
    p = tfd.MixtureSameFamily(
        tfd.Categorical(probs=[0.5, 0.5]), tfd.MultivariateNormalDiag([[-1.0], [1.0]], tf.ones((2, 1)))
    )
    z = q.sample(seed=(0, 1))
    estimate = model.divergence(q, p, z, q.log_prob(z)).numpy().astype(np.float64)
    grid = np.linspace(-8, 8, 20_001)
    q_x = scipy.stats.norm.pdf(grid, 0.5, 0.8)
    p_x = 0.5 * scipy.stats.norm.pdf(grid, -1) + 0.5 * scipy.stats.norm.pdf(grid, 1)
    exact = np.trapezoid(q_x * np.log(q_x / p_x), grid)
    assert estimate.mean() == pytest.approx(exact, abs=4 * estimate.std() / math.sqrt(estimate.size))


def test_points_come_back_as_float32():
    model, x = linear_model(), points(4)
    codes = model.encode(x)
    assert codes["mean"].shape == codes["scale"].shape == (4, 2)
    np.testing.assert_allclose(model.decode(codes["mean"]), codes["mean"] @ W.T + OFFSET, atol=1e-5)
    np.testing.assert_allclose(model.reconstruct(x), model.decode(codes["mean"]), atol=1e-6)
    assert model.sample(5, seed=1).dtype == tf.float32
    assert model.preview(3).shape == (3, 3)


def test_samples_of_points_have_the_models_mean_and_covariance():
    samples = linear_model().sample(100_000, seed=1).numpy()
    covariance = W @ W.T + NOISE**2 * np.eye(3)
    np.testing.assert_allclose(samples.mean(0), OFFSET, atol=4 * math.sqrt(covariance.max() / 1e5))
    np.testing.assert_allclose(np.cov(samples.T), covariance, atol=4 * 2 * covariance.max() / math.sqrt(1e5))


def test_an_interpolation_is_a_straight_line_between_the_codes_with_both_ends():
    model, start, stop = linear_model(), points(4, 1), points(4, 2)
    line = model.interpolate(start, stop, steps=5).numpy()
    assert line.shape == (4, 5, 3)
    ends = model.reconstruct(start).numpy(), model.reconstruct(stop).numpy()
    for index, t in enumerate((0.0, 0.25, 0.5, 0.75, 1.0)):
        np.testing.assert_allclose(line[:, index], (1 - t) * ends[0] + t * ends[1], atol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 100])
def test_places_on_a_line_are_even_and_hit_both_ends(steps):
    found = places(tf.constant(steps)).numpy()
    assert found.dtype == np.float32 and found.shape == (steps, 1)
    np.testing.assert_allclose(found[:, 0], np.linspace(0.0, 1.0, steps), rtol=1e-6)
    assert found[0] == 0.0 and (steps == 1 or found[-1] == 1.0)


def manifold_model(latent_size=2, **arguments):
    """Returns a model that decodes a code to itself."""
    model = VAE(example=Points(latent_size), latent_size=latent_size, hidden=(), **arguments)
    model.decoder.set_weights([np.eye(latent_size), np.zeros(latent_size)])
    return model


def test_the_manifold_is_a_grid_of_the_priors_quantiles():
    grid = manifold_model().manifold(5).numpy().reshape(5, 5, 2)
    quantiles = scipy.stats.norm.ppf([0.1, 0.3, 0.5, 0.7, 0.9])
    np.testing.assert_allclose(grid[..., 0], np.tile(quantiles, (5, 1)), atol=1e-5)  # to the right
    np.testing.assert_allclose(grid[..., 1], np.tile(quantiles[::-1, None], (1, 5)), atol=1e-5)  # upwards
    np.testing.assert_allclose(manifold_model().manifold(1), [[0.0, 0.0]], atol=1e-6)


def test_the_manifold_of_pictures_is_uint8():
    model = VAE(example=Images((4, 4, 1), 17), latent_size=2, hidden=(4,))
    assert model.manifold(3).shape == (9, 4, 4, 1) and model.manifold(3).dtype == tf.uint8


def test_the_manifold_is_offered_for_two_latents_only():
    assert "manifold" in manifold_model().endpoints()
    model = manifold_model(latent_size=3)
    assert "manifold" not in model.endpoints()
    with pytest.raises(InputError, match="two latents"):
        model.manifold(4)


def test_importance_samples_must_not_be_negative():
    with pytest.raises(InputError, match="importance_samples: -1"):
        linear_model().evaluate(points(4), importance_samples=-1, verbose=0)


def test_a_learned_scale_is_saved_with_the_model(tmp_path):
    model = VAE(example=Points(3), latent_size=2, hidden=(4,), likelihood=GaussianLikelihood(scale=0.5))
    model.fit(points(64), epochs=2, verbose=0)
    scale = keras.ops.convert_to_numpy(model.p_x.log_scale)
    assert scale != pytest.approx(math.log(0.5), abs=1e-4)
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    assert keras.ops.convert_to_numpy(copy.p_x.log_scale) == scale
    np.testing.assert_array_equal(copy.log_prob(points(4)), model.log_prob(points(4)))
