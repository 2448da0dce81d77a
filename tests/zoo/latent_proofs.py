"""What the proofs of posterior families share: a linear-Gaussian model whose true posterior is correlated."""

import keras
import numpy as np
import scipy.stats
import tensorflow as tf

import tfgen
from tfgen.distributions import GaussianLikelihood
from tfgen.networks import mlp
from tfgen.specs import Points

CORRELATION = 0.9

# x = W z + noise of deviation 1: the precision of p(z|x) is I + W^T W = 11 [[1, -0.9], [-0.9, 1]].
W = np.linalg.cholesky(11.0 * np.array([[1.0, -CORRELATION], [-CORRELATION, 1.0]]) - np.eye(2)).T

#: What the best diagonal Gaussian loses: the divergence of its precisions' product from the true posterior.
LOST_BY_DIAGONAL = -0.5 * np.log(1.0 - CORRELATION**2)


def correlated(id: str, steps: int = 1500, rate: float = 2e-2, same: bool = False, **arguments):
    """Returns a model whose encoder was trained under that decoder, which was held, and data.

    With `same` all examples are the same one, so that there is a single posterior to find.
    """
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(400, 2)) @ np.linalg.cholesky(W @ W.T + np.eye(2)).T
    x = np.repeat(x[:1], 400, 0).astype(np.float32) if same else x.astype(np.float32)
    model = tfgen.create(
        id, example=Points(2), latent_size=2, likelihood=GaussianLikelihood(1.0, learned=False), seed=0,
        decoder=mlp((2,), (2,), hidden=(), name="decoder"), **{"hidden": ()} | arguments,
    )  # fmt: skip
    model.decoder.set_weights([W.T, np.zeros(2)])
    model.decoder.trainable = False
    # Deviations that differ from x to x at the start take long to become one.
    model.encoder.set_weights([0.01 * weight for weight in model.encoder.get_weights()])
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    model.compile(keras.optimizers.Adam(schedule), steps_per_execution=50)
    model.fit(tf.data.Dataset.from_tensors(x).repeat(steps), shuffle=False, verbose=0)
    return model, x


def lost(model, x, draws: int = 200) -> float:
    """Returns by how many nats the model's bound is below the likelihood, on average over examples and draws."""
    exact = scipy.stats.multivariate_normal.logpdf(x, np.zeros(2), W @ W.T + np.eye(2))
    bound = np.mean([model.log_prob(x, importance_samples=1, seed=seed) for seed in range(draws)], 0)
    return float(np.mean(exact - bound))


def histories(ids_and_arguments, x) -> list:
    """Returns what training says of models that begin with the same weights, and the weights at its end."""
    found, weights = [], None
    for id, arguments in ids_and_arguments:
        model = tfgen.create(id, example=Points(x.shape[1]), latent_size=2, hidden=(5,), seed=3, **arguments)
        weights = weights or model.get_weights()
        model.set_weights(weights)
        model.compile("adam")
        found.append((model.fit(x, batch_size=100, epochs=2, verbose=0, shuffle=False).history, model.get_weights()))
    return found
