"""Proofs of iwae."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

import tfgen
from tfgen.distributions import GaussianLikelihood
from tfgen.errors import InputError
from tfgen.specs import Points

# x = W z + noise; the posterior of z is Gaussian, and diagonal.
W = np.array([[1.0, 0.6], [-1.0, 0.6], [0.5, 0.0]], np.float32)
NOISE = 0.7


def linear(shift: float = 0.0, widen: float = 1.0, **arguments):
    """Returns a model with the exact posterior, or one that is shifted and widened."""
    likelihood = GaussianLikelihood(scale=NOISE, learned=False)
    model = tfgen.create("iwae", example=Points(3), latent_size=2, hidden=(), likelihood=likelihood, **arguments)
    variance = 1.0 / (1.0 + np.sum(W**2, 0) / NOISE**2)
    kernel = np.concatenate([W * variance / NOISE**2, np.zeros((3, 2))], 1)
    deviation = np.sqrt(variance)
    model.encoder.set_weights([kernel, np.concatenate([shift * deviation, np.log(widen * deviation)])])
    model.decoder.set_weights([W.T, np.zeros(3)])
    return model


def exact(x):
    return scipy.stats.multivariate_normal.logpdf(x, np.zeros(3), W @ W.T + NOISE**2 * np.eye(3))


def gradients(model, x, network: str) -> np.ndarray:
    """Returns the gradient of what a training step descends with respect to a network's weights, flat."""
    variables = [variable.value for variable in getattr(model, network).trainable_variables]
    with tf.GradientTape() as tape, model._step_of(0):
        tape.watch(variables)
        (loss,) = model.terms({"point": tf.constant(x)}).values()
    return np.concatenate([np.reshape(one, -1) for one in tape.gradient(loss, variables)])


@pytest.mark.parametrize("doubly_reparameterized", [False, True])
@pytest.mark.parametrize("samples", [1, 5])
def test_with_the_exact_posterior_training_sees_the_likelihood(samples, doubly_reparameterized):
    model = linear(samples=samples, doubly_reparameterized=doubly_reparameterized)
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    with model._step_of(0):
        (loss,) = model.terms({"point": tf.constant(x)}).values()
    assert float(loss) == pytest.approx(-exact(x).mean(), rel=1e-5)


@pytest.mark.parametrize("doubly_reparameterized", [False, True])
def test_training_descends_the_bound_of_its_samples(doubly_reparameterized):
    losses, x = [], np.tile(np.array([[0.5, -1.0, 0.2]], np.float32), (20_000, 1))
    for samples in (1, 4, 32):
        model = linear(shift=0.5, widen=2.0, samples=samples, doubly_reparameterized=doubly_reparameterized)
        with model._step_of(0):
            losses.append(float(*model.terms({"point": tf.constant(x)}).values()))
        # The same bound from draws of our own.
        q = model.posterior(x[:1])
        rng = np.random.default_rng(samples)
        z = q.mean().numpy() + q.stddev().numpy() * rng.normal(size=(samples, 20_000, 2))
        log_w = (
            scipy.stats.norm.logpdf(x, z @ W.T, NOISE).sum(-1)
            + scipy.stats.norm.logpdf(z).sum(-1)
            - scipy.stats.norm.logpdf(z, q.mean(), q.stddev()).sum(-1)
        )
        bounds = scipy.special.logsumexp(log_w, 0) - np.log(samples)
        assert losses[-1] == pytest.approx(-bounds.mean(), abs=6.0 * bounds.std() / np.sqrt(20_000))
    assert losses[0] > losses[1] > losses[2] > -exact(x[0])


def test_both_gradients_are_the_same_on_average_and_squares_of_the_weights_are_needed():
    x = np.tile(np.array([[0.5, -1.0, 0.2]], np.float32), (2500, 1))
    found = {}
    for doubly in (False, True):
        model = linear(shift=0.4, widen=1.5, samples=8, doubly_reparameterized=doubly)
        found[doubly] = np.stack([gradients(model, x, "encoder") for _ in range(16)])
    means = [found[doubly].mean(0) for doubly in (False, True)]
    error = np.sqrt(sum(found[doubly].var(0, ddof=1) / 16 for doubly in (False, True)))
    assert (np.abs(means[0] - means[1]) <= 4.5 * error + 1e-6).all()
    assert np.abs(means[0]).max() > 10 * error.max()


def test_the_doubly_reparameterized_gradient_vanishes_at_the_posterior():
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    deviation = {}
    for doubly in (False, True):
        model = linear(samples=64, doubly_reparameterized=doubly)
        deviation[doubly] = np.stack([gradients(model, x, "encoder") for _ in range(10)]).std(0).max()
    assert deviation[True] < 1e-3 < 0.05 < deviation[False]


def test_the_decoders_gradient_is_the_same_in_both():
    x = np.tile(np.array([[0.5, -1.0, 0.2]], np.float32), (4000, 1))
    found = []
    for doubly in (False, True):
        model = linear(shift=0.4, widen=1.5, samples=8, doubly_reparameterized=doubly)
        found.append(gradients(model, x, "decoder"))
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)


def test_mistakes_are_named():
    with pytest.raises(InputError, match="0 samples"):
        tfgen.create("iwae", example=Points(2), latent_size=2, samples=0)
