"""Posterior families that transform a Gaussian, beside Jacobians, matrices and sums over a plane."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions import HouseholderFlow, InverseAutoregressiveFlow, Planar, PlanarFlow
from tfgen.errors import InputError

tfd, tfb = tfp.distributions, tfp.bijectors


@pytest.mark.parametrize("pull", [1.0, -8.0])
def test_the_log_determinant_of_a_planar_map_is_that_of_its_jacobian(pull):
    rng = np.random.default_rng(0)
    z, u, w, b = (tf.constant(rng.normal(size=(20, size))) for size in (3, 3, 3, 1))
    u = u + pull * w  # w^T u far below -1, where the raw map folds
    planar = Planar(u, w, b)
    with tf.GradientTape() as tape:
        tape.watch(z)
        y = planar.forward(z)
    sign, expected = np.linalg.slogdet(tape.batch_jacobian(y, z))
    assert (sign > 0).all()
    np.testing.assert_allclose(planar.forward_log_det_jacobian(z, 1), expected, atol=1e-9)


def test_a_planar_map_is_what_the_paper_says_where_nothing_has_to_be_held():
    # w^T u = 0 makes u' = u + (log 2 - 1) w / |w|^2.
    z, u, w, b = (tf.constant(np.array([row])) for row in ([0.3, -0.4], [1.0, 0.0], [0.0, 2.0], [0.5]))
    bent = np.array([1.0, (np.log(2.0) - 1.0) / 2.0])
    np.testing.assert_allclose(Planar(u, w, b).forward(z)[0], [0.3, -0.4] + bent * np.tanh(-0.8 + 0.5))


def planar_numbers(maps: int, size: int = 2, seed: int = 3) -> tf.Tensor:
    numbers = np.random.default_rng(seed).normal(size=(1, PlanarFlow(maps).parameters(size)))
    numbers[:, size : 2 * size] *= 0.3
    return tf.constant(numbers.astype(np.float32))


def test_draws_of_a_planar_flow_have_the_density_that_they_come_with():
    q = PlanarFlow(3)(planar_numbers(3), 2)
    z, log_q = q.experimental_sample_and_log_prob(400_000, seed=(0, 1))
    z, log_q = z[:, 0].numpy(), log_q[:, 0].numpy().astype(np.float64)
    # E_q[r / q] = 1 for a narrow density r within q.
    middle = np.median(z, 0)
    ratio = np.exp(scipy.stats.multivariate_normal.logpdf(z, middle, 0.04 * np.eye(2)) - log_q)
    assert ratio.mean() == pytest.approx(1.0, abs=5.0 * ratio.std() / np.sqrt(len(z)))
    assert ratio.std() / np.sqrt(len(z)) < 0.02


def test_the_code_that_stands_for_an_example_is_the_image_of_the_mean():
    numbers = planar_numbers(2)
    flow = PlanarFlow(2)
    q = flow(numbers, 2)
    mean, _, u, w, b, *second = tf.split(numbers, [2, 2, 2, 2, 1, 2, 2, 1], -1)
    expected = Planar(*second).forward(Planar(u, w, b).forward(mean))
    np.testing.assert_allclose(flow.centre(q), expected, rtol=1e-5)
    draws = q.sample(50_000, seed=(5, 6)).numpy()
    np.testing.assert_allclose(flow.scale(q), draws.std(0), rtol=0.2)


@pytest.mark.slow
def test_a_planar_flow_fits_two_modes_that_no_gaussian_can():
    def log_target(z):
        # Two blobs at x = -2 and 2, not normalised.
        return (
            tfd.MixtureSameFamily(
                tfd.Categorical(probs=[0.5, 0.5]),
                tfd.MultivariateNormalDiag([[-2.0, 0.0], [2.0, 0.0]], [[0.6, 0.6]] * 2),
            ).log_prob(z)
            + 1.3
        )

    divergences = []
    for maps in (0, 8):
        flow = PlanarFlow(maps)
        start = 0.1 * np.random.default_rng(0).normal(size=(1, flow.parameters(2)))
        numbers = tf.Variable(start.astype(np.float32))
        optimizer = keras.optimizers.Adam(2e-2)

        def divergence(seed, draws=256, flow=flow, numbers=numbers):
            z, log_q = flow(numbers, 2).experimental_sample_and_log_prob(draws, seed=seed)
            return tf.reduce_mean(log_q - log_target(z))

        @tf.function(autograph=False)
        def step(seed, divergence=divergence, numbers=numbers, optimizer=optimizer):
            with tf.GradientTape() as tape:
                loss = divergence(seed)
            optimizer.apply([tape.gradient(loss, numbers)], [numbers])

        for index in range(1000):
            step(tf.constant([index, 0]))
        divergences.append(float(divergence((0, 1), 20_000)) + 1.3)
    assert divergences[1] >= -0.02
    assert divergences[1] < divergences[0] - 0.2


def reflections(vectors) -> np.ndarray:
    product = np.eye(len(vectors[0]))
    for v in vectors:
        product = (np.eye(len(v)) - 2.0 * np.outer(v, v) / (v @ v)) @ product
    return product


@pytest.mark.parametrize("maps", [1, 2, 3])
def test_a_householder_flow_is_the_gaussian_that_its_reflections_make(maps):
    flow = HouseholderFlow(maps)
    flow.build(3)
    rng = np.random.default_rng(maps)
    numbers = rng.normal(size=(4, flow.parameters(3))).astype(np.float32)
    q = flow(tf.constant(numbers), 3)
    z = rng.normal(size=(5, 4, 3)).astype(np.float32)
    log_q, mean, scale = q.log_prob(z).numpy(), flow.centre(q).numpy(), flow.scale(q).numpy()
    for index, (mu, log_sigma, v) in enumerate(numbers.reshape(4, 3, 3).astype(np.float64)):
        vectors = [v]
        for kernel, bias in zip(flow.kernels, flow.biases, strict=True):
            vectors.append(vectors[-1] @ kernel.numpy() + bias.numpy())
        turn = reflections(vectors)
        covariance = turn @ np.diag(np.exp(2.0 * log_sigma)) @ turn.T
        np.testing.assert_allclose(mean[index], turn @ mu, atol=1e-4)
        np.testing.assert_allclose(scale[index], np.sqrt(np.diag(covariance)), rtol=1e-3)
        expected = scipy.stats.multivariate_normal.logpdf(z[:, index], turn @ mu, covariance)
        np.testing.assert_allclose(log_q[:, index], expected, rtol=2e-3, atol=2e-3)


def test_a_reflection_of_no_direction_is_still_a_number():
    flow = HouseholderFlow(1)
    flow.build(2)
    q = flow(tf.zeros((1, 6)), 2)
    assert np.isfinite(q.log_prob(q.sample(seed=(0, 1)))).all()


@pytest.mark.parametrize("family", [PlanarFlow, HouseholderFlow])
def test_maps_cannot_be_fewer_than_none(family):
    with pytest.raises(InputError, match="-1 maps"):
        family(-1)


@pytest.fixture
def autoregressive():
    """Three maps in four dimensions, with weights that say something, and the posteriors of two examples."""
    flow = InverseAutoregressiveFlow(3, units=(9, 8), context=5)
    flow.build(4)
    rng = np.random.default_rng(0)
    for weight in flow.weights:
        weight.assign(rng.normal(size=weight.shape) * 0.7)
    numbers = rng.normal(size=(2, flow.parameters(4))).astype(np.float32)
    return flow, flow(tf.constant(numbers), 4)


def test_the_jacobian_of_an_autoregressive_map_is_triangular_and_the_order_turns(autoregressive):
    _, q = autoregressive
    maps = q.bijector.bijectors[::-1]
    z = tf.constant(np.random.default_rng(1).normal(size=(2, 4)).astype(np.float32))
    for step, one in enumerate(maps):
        with tf.GradientTape() as tape:
            tape.watch(z)
            y = one.forward(z)
        jacobian = tape.batch_jacobian(y, z).numpy()
        lower = jacobian if step % 2 == 0 else jacobian.transpose(0, 2, 1)
        np.testing.assert_array_equal(np.triu(lower, 1), 0.0)
        assert (np.abs(lower[:, [1, 2, 3], [0, 1, 2]]) > 0.0).all()
        np.testing.assert_allclose(one.forward_log_det_jacobian(z, 1), np.linalg.slogdet(jacobian)[1], atol=1e-5)


def test_the_first_latent_is_moved_by_the_context_alone(autoregressive):
    flow, _ = autoregressive
    numbers = np.zeros((2, flow.parameters(4)), np.float32)
    numbers[1, 8:] = 1.0
    one = flow(tf.constant(numbers), 4).bijector.bijectors[-1]
    moved = one.forward(tf.zeros((2, 4))).numpy()
    assert moved[0, 0] != moved[1, 0]


def test_an_autoregressive_flow_is_inverted_latent_by_latent(autoregressive):
    _, q = autoregressive
    z, log_q = q.experimental_sample_and_log_prob(50, seed=(0, 1))
    z = tf.identity(z)  # tfp remembers where its own draws came from
    start = q.distribution.sample(50, seed=(2, 3))
    np.testing.assert_allclose(q.bijector.inverse(tf.identity(q.bijector.forward(start))), start, atol=1e-4)
    np.testing.assert_allclose(q.log_prob(z), log_q, atol=2e-4)


def test_an_autoregressive_map_is_the_inverse_of_a_masked_autoregressive_flow_of_tfp(autoregressive):
    _, q = autoregressive
    first = q.bijector.bijectors[-1]

    def shift_and_log_scale(y):
        m, a = first._network(y)
        gate = tf.sigmoid(a)
        return -(1.0 - gate) * m / gate, -tf.math.log(gate)

    peer = tfd.TransformedDistribution(
        q.distribution, tfb.Invert(tfb.MaskedAutoregressiveFlow(shift_and_log_scale, is_constant_jacobian=False))
    )
    ours = tfd.TransformedDistribution(q.distribution, first)
    z = tf.identity(ours.sample(20, seed=(1, 2)))
    np.testing.assert_allclose(ours.log_prob(z), peer.log_prob(z), atol=1e-4)


def test_the_context_reaches_every_number_of_an_autoregressive_flow(autoregressive):
    flow, _ = autoregressive
    numbers = tf.constant(np.random.default_rng(2).normal(size=(2, flow.parameters(4))).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(numbers)
        z, log_q = flow(numbers, 4).experimental_sample_and_log_prob(seed=(0, 1))
        total = tf.reduce_sum(tf.square(z)) + tf.reduce_sum(log_q)
    assert (np.abs(tape.gradient(total, numbers)) > 0.0).all()


@pytest.mark.parametrize("wrong", [{"maps": -1}, {"units": ()}, {"units": (0,)}, {"context": 0}])
def test_sizes_that_make_no_autoregressive_flow_are_named(wrong):
    with pytest.raises(InputError, match="InverseAutoregressiveFlow: "):
        InverseAutoregressiveFlow(**wrong)
