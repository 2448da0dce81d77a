"""Proofs of vampprior."""

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

import tfgen
from tfgen.distributions import GaussianLikelihood, VampPrior
from tfgen.specs import Images, Points
from tfgen.zoo.variational.vae import VAE


def of_known_posterior(components: int, scale: float = 1.0):
    """Returns a model of numbers x with q(z|x) = N(x, scale^2)."""
    model = tfgen.create(
        "vampprior", example=Points(1), latent_size=1, components=components, hidden=(),
        likelihood=GaussianLikelihood(1.0, learned=False),
    )  # fmt: skip
    model.encoder.set_weights([np.array([[1.0, 0.0]]), np.array([0.0, np.log(scale)])])
    return model


@pytest.mark.parametrize("separation", [0.1, 1.0, 5.0])
def test_with_the_data_as_pseudo_examples_the_rate_is_what_a_code_tells_of_its_example(separation):
    x = separation * np.arange(10.0)[:, None]
    model = of_known_posterior(10)
    model.p_z.inputs.assign(x)
    # I(n; z) = H(z) - H(z|n), by a sum over a fine grid.
    grid = np.linspace(-8.0, x.max() + 8.0, 40_001)
    density = scipy.stats.norm.pdf(grid, x).mean(0)
    known = -np.sum(scipy.special.xlogy(density, density)) * (grid[1] - grid[0]) - scipy.stats.norm.entropy()
    rate, _ = model.rate_distortion({"point": np.tile(x, (4000, 1)).astype(np.float32)})
    assert float(np.mean(rate)) == pytest.approx(known, abs=4.0 * float(np.std(rate)) / 200.0)
    assert known <= np.log(10.0)
    assert not model.has_closed_form()


def test_one_pseudo_example_whose_posterior_is_standard_normal_makes_the_rate_that_of_vae():
    model = of_known_posterior(1)
    model.p_z.inputs.assign([[0.0]])
    x = np.tile(np.array([[0.3], [-1.2]], np.float32), (20_000, 1))
    rate, _ = model.rate_distortion({"point": x})
    expected = 0.5 * np.array([0.3, -1.2]) ** 2
    np.testing.assert_allclose(np.reshape(rate, (-1, 2)).mean(0), expected, atol=0.04)


def test_the_prior_is_a_density():
    model = tfgen.create("vampprior", example=Points(3), latent_size=2, components=7, hidden=(8,))
    side = np.linspace(-12, 12, 400)
    z = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2).astype(np.float32)
    total = np.exp(model.prior().log_prob(z).numpy().astype(np.float64)).sum() * (side[1] - side[0]) ** 2
    assert total == pytest.approx(1.0, abs=1e-3)


@pytest.mark.slow
def test_a_prior_of_two_modes_is_found_for_data_of_two_clusters_and_lifts_the_bound():
    rng = np.random.default_rng(0)
    x = (np.sign(rng.normal(size=(1000, 1))) * [1.0, 1.0] + 0.1 * rng.normal(size=(1000, 2))).astype(np.float32)
    bounds = []
    for prior in (None, VampPrior(2)):
        keras.utils.set_random_seed(0)
        model = VAE(example=Points(2), latent_size=1, hidden=(), prior=prior, seed=0)
        model.compile(keras.optimizers.Adam(5e-3), steps_per_execution=50)
        model.fit(tf.data.Dataset.from_tensors(x).repeat(2000), shuffle=False, verbose=0)
        bounds.append(model.evaluate(x, verbose=0, return_dict=True)["elbo"])
    assert bounds[1] > bounds[0] + 0.1
    z = np.linspace(-20, 20, 4001, dtype=np.float32)[:, None]
    density = model.prior().log_prob(z).numpy()
    peaks = (density[1:-1] > density[:-2]) & (density[1:-1] > density[2:])
    assert peaks.sum() == 2


def test_pseudo_pictures_begin_where_they_learn_and_stay_pictures():
    model = tfgen.create("vampprior", example=Images((4, 4, 1), 256), latent_size=2, components=3, hidden=(8,))
    u = model.p_z.inputs.numpy()
    assert u.shape == (3, 4, 4, 1) and u.min() > 0.0 and u.max() < 0.12
    model.p_z.inputs.assign(np.full((3, 4, 4, 1), 1.5))
    prototypes = model.prototypes().numpy()
    assert prototypes.dtype == np.uint8 and (prototypes == 255).all()


def test_samples_come_from_the_mixture():
    model = of_known_posterior(2, scale=0.1)
    model.p_z.inputs.assign([[-5.0], [5.0]])
    z = model.prior().sample(1000, seed=(0, 1)).numpy()
    assert 0.4 < (z > 0).mean() < 0.6
    assert np.abs(np.abs(z) - 5.0).max() < 0.6


def test_no_pseudo_examples_are_a_mistake():
    with pytest.raises(tfgen.InputError, match="0 components"):
        VampPrior(0)
