import itertools
import math

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.datasets
import sklearn.decomposition
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions import DiscretizedLogisticLikelihood, GaussianLikelihood
from tfgen.errors import InputError
from tfgen.specs import Images, Points
from tfgen.zoo.variational.vae import VAE

tfd = tfp.distributions


def fit(model, x, steps, rate=1e-2):
    """Trains on all of `x` at each step, with a rate that falls to zero."""
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    model.compile(keras.optimizers.Adam(schedule), steps_per_execution=50)
    model.fit(tf.data.Dataset.from_tensors(x).repeat(steps), shuffle=False, verbose=0)


@pytest.mark.slow
def test_a_linear_gaussian_model_reaches_the_probabilistic_pca_optimum():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(6, 2)))[0].T
    x = rng.normal(size=(500, 2)) * [2.0, 1.2] @ basis + rng.normal(size=(500, 6)) + rng.normal(size=6)
    x = x.astype(np.float32)
    # The optimum given s: the leading eigenvectors of the covariance, their variance less s^2 (Tipping & Bishop 1999).
    mean, covariance = x.mean(0), np.cov(x.T, bias=True)
    values, vectors = np.linalg.eigh(covariance)
    s = math.sqrt(values[:-2].mean())
    best = vectors[:, -2:] * np.sqrt(values[-2:] - s**2)
    optimum = scipy.stats.multivariate_normal.logpdf(x, mean, best @ best.T + s**2 * np.eye(6)).mean()
    # scikit-learn's own model, which divides by n - 1.
    assert optimum == pytest.approx(sklearn.decomposition.PCA(2).fit(x).score(x), abs=1e-4)

    model = VAE(
        example=Points(6), latent_size=2, hidden=(), likelihood=GaussianLikelihood(scale=s, learned=False)
    )  # fmt: skip
    kernel, bias = model.encoder.get_weights()
    kernel[:, 2:] = 0.0  # deviations that differ from x to x at the start take long to become one
    model.encoder.set_weights([kernel, bias])
    fit(model, x, 2500)

    elbo = np.mean([model.log_prob(x, importance_samples=1, seed=i).numpy().mean() for i in range(20)])
    assert elbo == pytest.approx(optimum, abs=1e-3)
    assert math.exp(model.p_x.log_scale.numpy()) == pytest.approx(s)
    w, offset = (weight.numpy() for weight in model.decoder.weights)
    w = w.T
    np.testing.assert_allclose(w @ w.T, best @ best.T, atol=0.05)
    np.testing.assert_allclose(offset, mean, atol=0.01)
    gram = w.T @ w
    assert abs(gram[0, 1]) < 0.03 * math.sqrt(gram[0, 0] * gram[1, 1])
    posterior_covariance = np.linalg.inv(np.eye(2) + gram / s**2)
    code = model.encode(x)
    np.testing.assert_allclose(code["mean"], (x - offset) @ w @ posterior_covariance / s**2, atol=0.03)
    np.testing.assert_allclose(code["scale"] ** 2, np.tile(np.diag(posterior_covariance), (500, 1)), rtol=0.05)


@pytest.mark.slow
def test_a_gaussian_decoder_learns_the_scale_of_noise_and_leaves_its_codes_unused():
    x = np.random.default_rng(0).normal(size=(1000, 4))
    # White to the last digit, since in a sample some direction is always a little longer than others.
    x -= x.mean(0)
    x = (x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T, bias=True))).T).astype(np.float32)
    model = VAE(example=Points(4), latent_size=2, hidden=(16,), likelihood=GaussianLikelihood(scale=4.0))
    fit(model, x, 800, rate=2e-2)
    result = model.evaluate(x, batch_size=1000, verbose=0, return_dict=True)
    assert math.exp(2 * model.p_x.log_scale.numpy()) == pytest.approx(1.0, abs=0.02)
    assert 0.0 <= result["rate"] < 0.02
    assert result["elbo"] == pytest.approx(-2.0 * math.log(2 * math.pi * math.e), abs=5e-3)


def test_the_rate_is_the_papers_closed_form_tfps_and_the_mean_of_draws():
    model = VAE(example=Images((4, 4, 1), 2), latent_size=3, hidden=(8,))
    x = np.random.default_rng(0).integers(0, 2, (5, 4, 4, 1)).astype(np.uint8)
    randomize(model.encoder, 0.7)
    code = model.encode(x)
    mean, scale = code["mean"].numpy().astype(np.float64), code["scale"].numpy().astype(np.float64)
    closed = 0.5 * np.sum(mean**2 + scale**2 - 1.0 - np.log(scale**2), 1)
    rate, _ = model.rate_distortion({"image": tf.constant(x)})
    np.testing.assert_allclose(rate, closed, rtol=1e-6, atol=1e-6)
    independent = tfd.kl_divergence(tfd.Independent(tfd.Normal(mean, scale), 1),
                                    tfd.Independent(tfd.Normal(tf.zeros_like(mean), 1.0), 1))  # fmt: skip
    np.testing.assert_allclose(rate, independent, rtol=1e-6, atol=1e-6)
    q, p = model.posterior(tf.constant(x)), model.prior()
    z = q.sample(100_000, seed=(0, 1))
    draws = (q.log_prob(z) - p.log_prob(z)).numpy().astype(np.float64)
    assert (np.abs(draws.mean(0) - closed) < 4 * draws.std(0) / math.sqrt(len(draws))).all()


def test_the_gradient_through_a_draw_is_that_of_the_expected_square():
    model = VAE(example=Points(2), latent_size=3, hidden=())
    mean, scale = np.array([0.5, -1.0, 2.0]), np.array([0.3, 1.0, 0.7])
    model.encoder.set_weights([np.zeros((2, 6)), np.concatenate([mean, np.log(scale)])])
    _, bias = model.encoder.weights
    with tf.GradientTape() as tape:
        z = model.posterior(tf.zeros((200_000, 2))).sample(seed=(0, 1))
        per_coordinate = tf.reduce_mean(z**2, 0)
    # E[z^2] = mean^2 + scale^2; the second half of the encoder's output is log scale.
    by_mean, by_log_scale = tf.split(tape.gradient(per_coordinate, bias.value), 2)
    deviation = 2 * np.hypot(mean, scale) * 3 / math.sqrt(200_000)
    np.testing.assert_array_less(np.abs(by_mean - 2 * mean), 4 * deviation)
    np.testing.assert_array_less(np.abs(by_log_scale / scale - 2 * scale), 4 * deviation * 3)


def randomize(network, deviation, seed=0):
    rng = np.random.default_rng(seed)
    network.set_weights([rng.normal(0.0, deviation, weight.shape) for weight in network.weights])


def quadrature(nodes):
    """Returns nodes and weights of the two-dimensional standard normal distribution."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    grid = np.array(list(itertools.product(points, points)), np.float32)
    return grid, np.array([a * b for a, b in itertools.product(weights, weights)]) / (2 * math.pi)


def test_the_bounds_lie_below_the_likelihood_that_quadrature_gives():
    model = VAE(example=Images((2, 4, 1), 2), latent_size=2, hidden=(16,))
    randomize(model.decoder, 0.8)
    randomize(model.encoder, 0.2)
    pictures = np.array(list(itertools.product((0, 1), repeat=8)), np.uint8).reshape(-1, 2, 4, 1)

    def exact(nodes):
        z, weights = quadrature(nodes)
        logits = model.decoder(z).numpy().reshape(len(z), 1, 8).astype(np.float64)
        signs = 2.0 * pictures.reshape(1, -1, 8) - 1.0
        return scipy.special.logsumexp(
            scipy.special.log_expit(signs * logits).sum(-1) + np.log(weights)[:, None], axis=0
        )

    truth = exact(80)
    assert np.abs(truth - exact(40)).max() < 2e-3
    assert np.exp(truth).sum() == pytest.approx(1.0, abs=1e-5)

    chosen = [3, 77, 200]
    z, weights = quadrature(60)
    code = model.encode(pictures[chosen])
    for row, index in enumerate(chosen):
        mean, scale = code["mean"][row].numpy(), code["scale"][row].numpy()
        logits = model.decoder(mean + scale * z).numpy().reshape(-1, 8).astype(np.float64)
        sign = 2.0 * pictures[index].ravel() - 1.0
        rate = 0.5 * np.sum(mean**2 + scale**2 - 1.0 - np.log(scale**2))
        elbo = weights @ scipy.special.log_expit(sign * logits).sum(-1) - rate
        x = np.repeat(pictures[[index]], 1000, 0)
        bounds = [model.log_prob(x, importance_samples=k, seed=k).numpy().astype(np.float64) for k in (1, 8, 64, 512)]
        means = [bound.mean() for bound in bounds]
        errors = [4 * bound.std() / math.sqrt(1000) for bound in bounds]
        assert means[0] == pytest.approx(elbo, abs=errors[0])
        assert elbo + 0.01 < means[1] < means[2] < means[3] < truth[index] + errors[3]
        assert means[3] == pytest.approx(truth[index], abs=errors[3] + 0.01)


@pytest.mark.parametrize("levels", [2, 17])
def test_the_distortion_is_a_sum_over_pixels_and_the_loss_a_mean_over_pictures(levels):
    example = Images((6, 5, 3), levels)
    model = VAE(example=example, latent_size=2, hidden=(4,))
    for network in (model.encoder, model.decoder):
        network.set_weights([np.zeros(weight.shape) for weight in network.weights])
    x = np.random.default_rng(0).integers(0, levels, (7, 6, 5, 3)).astype(np.uint8)
    if levels == 2:
        distortion = 90 * math.log(2.0)
    else:  # a standard logistic on [-1, 1], but for the soft bound of its scale
        edges = (np.arange(1, 17) - 0.5) / 8 - 1
        mass = np.diff(scipy.special.expit(np.concatenate([[-np.inf], edges, [np.inf]])))
        distortion = -np.log(mass)[x].sum((1, 2, 3)).mean()
    result = model.evaluate(x, batch_size=7, verbose=0, return_dict=True)
    assert result["rate"] == pytest.approx(0.0, abs=1e-6)
    assert result["distortion"] == pytest.approx(distortion, rel=1e-3)
    assert result["loss"] == pytest.approx(distortion, rel=1e-3)
    assert result["bits_per_dim"] == pytest.approx(result["loss"] / (90 * math.log(2.0)))


def test_the_gaussian_bound_of_pictures_is_one_of_dequantised_levels():
    # Every pixel at the mean, of a Gaussian 0.8 levels wide: E_u[u^2] = 1/12 is all that is left of the square.
    model = VAE(example=Images((4, 4, 1), 17), latent_size=2, hidden=(), likelihood=GaussianLikelihood(scale=0.1))
    for network in (model.encoder, model.decoder):
        network.set_weights([np.zeros(weight.shape) for weight in network.weights])
    x = np.full((3000, 4, 4, 1), 8, np.uint8)
    expected = 16 * (0.5 * math.log(2 * math.pi * 0.8**2) + 1 / 12 / (2 * 0.8**2))
    result = model.evaluate(x, batch_size=3000, verbose=0, return_dict=True)
    assert result["elbo"] == pytest.approx(-expected, abs=4 * result["elbo_se"])
    assert result["bits_per_dim"] == pytest.approx(-result["elbo"] / (16 * math.log(2.0)), rel=1e-5)
    assert 0.0 < result["elbo_se"] < 0.05
    assert np.mean(model.log_prob(x, importance_samples=1)) == pytest.approx(-expected, abs=4 * result["elbo_se"])


def test_the_bound_of_pictures_is_equal_under_tfp():
    model = VAE(example=Images((4, 4, 1), 17), latent_size=3, hidden=(8,))
    randomize(model.encoder, 0.3)
    randomize(model.decoder, 0.3)
    x = np.random.default_rng(0).integers(0, 17, (200, 4, 4, 1)).astype(np.uint8)
    code = model.encode(x)
    z = (code["mean"] + code["scale"] * np.random.default_rng(1).normal(size=(50, 200, 3)).astype(np.float32)).numpy()
    loc, raw = np.split(model.decoder(z.reshape(-1, 3)).numpy().astype(np.float64), 2, -1)
    scale = np.exp(-7.0 + np.log1p(np.exp(raw + 7.0)))
    pixel = tfd.QuantizedDistribution(tfd.Logistic((loc + 1) * 8 - 0.5, scale * 8), low=0.0, high=16.0)
    log_p = pixel.log_prob(np.tile(x, (50, 1, 1, 1)).astype(np.float64)).numpy().sum((1, 2, 3)).reshape(50, 200)
    rate = 0.5 * np.sum(code["mean"] ** 2 + code["scale"] ** 2 - 1.0 - 2.0 * np.log(code["scale"]), 1)
    ours = np.mean([model.log_prob(x, importance_samples=1, seed=i) for i in range(50)], 0)
    difference = log_p.mean(0) - rate - ours
    assert abs(difference.mean()) < 4 * difference.std() / math.sqrt(200)


@pytest.fixture(scope="module")
def digits():
    x = sklearn.datasets.load_digits().images.astype(np.uint8)[..., None]
    return x[:1437], x[1437:]


@pytest.mark.slow
def test_on_digits_it_beats_every_model_of_independent_pixels(digits):
    train, test = digits
    model = VAE(example=Images((8, 8, 1), 17), latent_size=8, hidden=(128,))
    model.fit(train, batch_size=64, epochs=30, verbose=0)
    result = model.evaluate(test, batch_size=360, verbose=0, importance_samples=50, return_dict=True)
    # The best of them, a table of its own for each pixel; a model that did not use its codes would be one.
    counts = 0.1 + (train[..., None] == np.arange(17)).sum(0)
    log_p = np.log(counts / counts.sum(-1, keepdims=True))
    independent = -np.take_along_axis(log_p[None], test[..., None].astype(int), -1).sum((1, 2, 3, 4)).mean()
    assert result["nats"] < -result["elbo"] < 0.95 * independent
    # Posterior means carry the picture: reconstructions are nearer to it than the mean picture.
    error = np.mean((model.reconstruct(test).numpy().astype(float) - test) ** 2)
    assert error < 0.5 * np.mean((train.mean(0) - test) ** 2)


def test_examples_without_a_fitting_likelihood_are_refused():
    with pytest.raises(InputError, match="for pictures"):
        VAE(example=Points(2), likelihood=DiscretizedLogisticLikelihood())
    with pytest.raises(InputError, match="the decoder gives shape"):
        VAE(
            example=Images((4, 4, 1), 17), latent_size=2,
            decoder=keras.Sequential([keras.Input((2,)), keras.layers.Dense(16), keras.layers.Reshape((4, 4, 1))]),
        )  # fmt: skip


def test_precision_reaches_the_networks_and_ends_at_the_heads():
    model = VAE(example=Images((4, 4, 1), 17), latent_size=2, hidden=(4,), dtype="mixed_bfloat16")
    assert model.encoder.layers[1].compute_dtype == model.decoder.layers[1].compute_dtype == "bfloat16"
    x = np.zeros((2, 4, 4, 1), np.uint8)
    assert model.log_prob(x).dtype == model.encode(x)["mean"].dtype == tf.float32


def test_training_begins_at_the_average_of_the_first_batch():
    rng = np.random.default_rng(0)
    x = (rng.random((64, 4, 4, 1)) < rng.random((4, 4, 1))).astype(np.uint8)
    model = VAE(example=Images((4, 4, 1), 2), latent_size=2, hidden=(3,))
    model.compile(keras.optimizers.SGD(0.0), ema=0.9)
    for images in (x[:32], x[32:]):
        model.fit(images, batch_size=32, epochs=1, verbose=0)
    expected = (x[:32].sum(0) + 0.5) / 33.0
    np.testing.assert_allclose(tf.sigmoid(model.decoder.weights[-1]).numpy(), expected.ravel(), atol=1e-6)
    with model.averaged_weights():
        np.testing.assert_allclose(tf.sigmoid(model.decoder.weights[-1]).numpy(), expected.ravel(), atol=1e-6)
