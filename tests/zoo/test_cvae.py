"""Proofs of cvae."""

import itertools
import math

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfgen
from tfgen.distributions import GaussianLikelihood, StandardNormal
from tfgen.errors import InputError
from tfgen.specs import Images, Labels, Points

tfd = tfp.distributions

# The eight ways to go on from each value of the upper left pixel.
ALL = np.array(list(itertools.product((0, 1), repeat=4)), np.uint8).reshape(2, 8, 2, 2, 1)
CORNER = np.array([[1, 0], [0, 0]], np.float32)


def randomized(spread=1.0, **arguments):
    """Returns a model of pictures of four binary pixels with one latent, of which the networks are random and linear."""
    default = {"example": Images((2, 2, 1), 2), "known": (("upper_left",),), "latent_size": 1, "hidden": ()}
    model = tfgen.create("cvae", **default | arguments)
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(spread * rng.normal(size=weight.shape))
    return model


def expectation(model, x, mask, integrand, nodes=60):
    """Returns the mean over z ~ p(z|x) of `integrand(log p(y|x,z))` by quadrature, and that of networks' plain answers."""
    flat, known = (array.reshape(len(x), -1).astype(np.float64) for array in (x, np.broadcast_to(mask, x.shape[:3])))
    c = np.concatenate([np.where(known > 0, 2.0 * flat - 1.0, 0.0), known], 1)
    mean, log_scale = np.split(model.prior_network(c).numpy().astype(np.float64), 2, -1)
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    z = mean + np.exp(log_scale) * points[:, None, None]
    inputs = np.concatenate([z, np.broadcast_to(c, (nodes, *c.shape))], -1)
    logits = model.decoder(inputs.reshape(-1, inputs.shape[-1])).numpy().reshape(nodes, *flat.shape)
    if model.baseline:
        logits = logits + model.baseline(c).numpy().reshape(flat.shape)
    log_p = np.sum(np.where(known > 0, 0.0, scipy.special.log_expit((2.0 * flat - 1.0) * logits)), -1)
    return np.tensordot(weights / math.sqrt(2 * math.pi), integrand(log_p), 1)


@pytest.mark.parametrize("baseline", [None, ()])
def test_what_is_hidden_has_probability_one_and_both_bounds_reach_it(baseline):
    model = randomized(0.7, baseline=baseline)
    # Wider than the posteriors, so that importance samples from it converge.
    kernel, _ = model.encoder.get_weights()
    model.encoder.set_weights([0.1 * kernel, np.array([0.0, 1.0])])
    for corner in (0, 1):
        x = ALL[corner]
        p = expectation(model, x, CORNER, np.exp)
        assert p.sum() == pytest.approx(1.0, abs=1e-6)
        assert p.max() > 2 * p.min()
        mask = np.repeat(CORNER[None], 8 * 100, 0)
        for bound, k in ((model.log_prob, 256), (model.log_prob_from_prior, 256), (model.log_prob, 1)):
            draws = bound(np.repeat(x, 100, 0), mask, k, seed=k).numpy().reshape(8, 100).astype(np.float64)
            error = 4 * draws.std(1) / math.sqrt(100)
            assert (draws.mean(1) < np.log(p) + error).all()
            if k > 1:
                np.testing.assert_allclose(draws.mean(1), np.log(p), atol=error.max() + 0.02)
            else:
                assert (draws.mean(1) < np.log(p) - 0.02).all()


@pytest.mark.parametrize("prior", [None, StandardNormal()])
def test_completions_are_draws_from_the_exact_conditional_whatever_the_hidden_pixels_hold(prior):
    model = randomized(prior=prior)
    if prior:
        # Numbers of the standard normal distribution, for the quadrature above.
        model.prior_network = lambda c: tf.zeros((len(c), 2))
    for corner in (0, 1):
        p = expectation(model, ALL[corner], CORNER, np.exp)
        if prior:
            model.prior_network = None
        count = 20_000
        x = np.repeat(ALL[corner, [3]], count, 0)
        drawn = model.complete(x, np.repeat(CORNER[None], count, 0), seed=corner).numpy()
        assert (drawn[:, 0, 0] == corner).all()
        share = np.bincount(drawn.reshape(count, 4) @ [0, 4, 2, 1], minlength=8) / count
        assert (np.abs(share - p) < 4.5 * np.sqrt(p * (1 - p) / count)).all()
        other = model.complete(np.repeat(ALL[corner, [4]], count, 0), np.repeat(CORNER[None], count, 0), seed=corner)
        np.testing.assert_array_equal(other, drawn)
        if prior:
            model.prior_network = lambda c: tf.zeros((len(c), 2))


def test_the_rate_is_the_closed_form_between_two_gaussians():
    model = randomized(0.5, example=Points(3), known=((0,), ()), latent_size=4)
    x = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    mask = np.repeat([[1.0, 0.0, 0.0]], 6, 0).astype(np.float32)
    batch = {"point": tf.constant(x), "mask": tf.constant(mask)}
    code, p = model.encode(x, mask), model.prior(model.given(batch))
    (m, s), (m_p, s_p) = (
        (np.float64(a), np.float64(b)) for a, b in ((code["mean"], code["scale"]), (p.mean(), p.stddev()))
    )
    closed = 0.5 * np.sum(np.log(s_p**2 / s**2) + (s**2 + (m - m_p) ** 2) / s_p**2 - 1.0, 1)
    rate, _ = model.rate_distortion(batch)
    np.testing.assert_allclose(rate, closed, rtol=1e-5)
    independent = tfd.kl_divergence(tfd.Independent(tfd.Normal(m, s), 1), tfd.Independent(tfd.Normal(m_p, s_p), 1))
    np.testing.assert_allclose(rate, independent, rtol=1e-5)
    # Neither symmetric nor small.
    assert np.abs(closed - 0.5 * np.sum(np.log(s**2 / s_p**2) + (s_p**2 + (m - m_p) ** 2) / s**2 - 1.0, 1)).min() > 0.1
    assert model.has_closed_form()


def fit(model, x, steps, rate=1e-2, epochs=1):
    """Trains on all of `x` at each step, with a rate that falls to zero in each stage."""
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    model.compile(keras.optimizers.Adam(schedule), steps_per_execution=50)
    model.fit(tf.data.Dataset.from_tensors(x).repeat(steps), epochs=epochs, shuffle=False, verbose=0)


@pytest.mark.slow
@pytest.mark.parametrize("learned", [False, True])
def test_a_linear_gaussian_conditional_reaches_the_best_likelihood(learned):
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(500, 2)), 0.7 * rng.normal(size=(500, 4))
    basis = np.linalg.qr(rng.normal(size=(4, 2)))[0].T
    y = rng.normal(size=(500, 2)) * [2.0, 1.2] @ basis + x @ rng.normal(size=(2, 4)) + noise + rng.normal(size=4)
    # The best B is that of least squares whatever the covariance, which then is the best one of its residuals.
    inputs = np.concatenate([x, np.ones((500, 1))], 1)
    residual = y - inputs @ np.linalg.lstsq(inputs, y, rcond=None)[0]
    values, vectors = np.linalg.eigh(residual.T @ residual / 500)
    s = 0.7
    best = vectors[:, -2:] * np.sqrt(values[-2:] - s**2)
    optimum = scipy.stats.multivariate_normal.logpdf(residual, np.zeros(4), best @ best.T + s**2 * np.eye(4)).mean()

    keras.utils.set_random_seed(0)
    prior = {"prior": StandardNormal()}
    if learned:
        # A scale that depends on x could fit the sample better than the truth.
        c = keras.Input((12,))
        constant = keras.layers.Dense(2)(keras.layers.Rescaling(0.0)(c))
        prior = {"prior_network": keras.Model(c, keras.layers.Concatenate()([keras.layers.Dense(2)(c), constant]))}
    model = tfgen.create(
        "cvae", example=Points(6), known=((0, 1),), latent_size=2, hidden=(),
        likelihood=GaussianLikelihood(scale=s, learned=False), **prior,
    )  # fmt: skip
    kernel, bias = model.encoder.get_weights()
    kernel[:, 2:] = 0.0  # deviations that differ from x to x at the start take long to become one
    model.encoder.set_weights([kernel, bias])
    points = np.concatenate([x, y], 1).astype(np.float32)
    fit(model, points, 3000, rate=2e-2)
    mask = np.repeat([[1, 1, 0, 0, 0, 0]], 500, 0)
    elbo = np.mean([model.log_prob(points, mask, importance_samples=1, seed=i).numpy().mean() for i in range(20)])
    assert elbo == pytest.approx(optimum, abs=1e-3)


@pytest.mark.slow
def test_completions_of_two_kinds_come_out_as_both_where_a_regression_gives_what_lies_between():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 1))
    y = rng.choice([-1.0, 1.0], (400, 1)) + 0.1 * rng.normal(size=(400, 1))
    model = tfgen.create(
        "cvae", example=Points(2), known=((0,),), latent_size=1, hidden=(16,), baseline=(8,), baseline_share=1.0,
        likelihood=GaussianLikelihood(0.3),
    )  # fmt: skip
    fit(model, np.concatenate([x, y], 1).astype(np.float32), 600, epochs=2)
    mask = np.repeat([[1.0, 0.0]], 1000, 0)
    for at in (-1.0, 0.0, 1.0):
        given = np.repeat([[at, 0.0]], 1000, 0)
        drawn = model.complete(given, mask, seed=1).numpy()
        assert (drawn[:, 0] == at).all()
        assert 0.3 < np.mean(drawn[:, 1] > 0) < 0.7
        # Of a Gaussian of the same mean and deviation it would be 39%.
        assert np.mean(np.abs(np.abs(drawn[:, 1]) - 1.0) < 0.4) > 0.75
        c = np.array([[at, 0.0, 1.0, 0.0]], np.float32)
        assert abs(model.baseline(c).numpy()[0, 1]) < 0.3


@pytest.mark.slow
def test_shuffling_what_is_given_raises_the_loss():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    label, x = rng.integers(0, 3, 300), rng.normal(size=300)
    y = 2.0 * label + x + 0.1 * rng.normal(size=300)
    model = tfgen.create(
        "cvae", example=Points(2), label=Labels(3), known=((0,),), latent_size=1, hidden=(16,),
        likelihood=GaussianLikelihood(0.5),
    )  # fmt: skip
    points = np.stack([x, y], 1).astype(np.float32)
    fit(model, {"point": points, "label": label}, 500)
    figures = {"importance_samples": 20, "batch_size": 300, "verbose": 0, "return_dict": True}
    right = model.evaluate({"point": points, "label": label}, **figures)
    # Less than the entropy of y given one of the two, 1.4 and 1.9; given both it is -0.9.
    assert right["nats"] < 1.0
    shuffled = np.stack([x[rng.permutation(300)], y], 1).astype(np.float32)
    for wrong in ({"point": points, "label": label[rng.permutation(300)]}, {"point": shuffled, "label": label}):
        result = model.evaluate(wrong, **figures)
        for name in ("loss", "nats", "nats_from_prior"):
            assert result[name] > right[name] + 1.0


@pytest.mark.parametrize("levels", [2, 17])
def test_what_is_seen_has_no_gradient_in_the_loss(levels):
    model = tfgen.create(
        "cvae", example=Images((4, 6, 2), levels), known=(("upper_left", "lower_right"),), latent_size=2, hidden=(5,),
        alpha=0.5, baseline=(5,),
    )  # fmt: skip
    x = np.random.default_rng(0).integers(0, levels, (7, 4, 6, 2)).astype(np.uint8)
    biases = [network.trainable_weights[-1] for network in (model.decoder, model.baseline)]
    with tf.GradientTape() as tape:
        terms = [
            *model.baseline_terms({"image": tf.constant(x)}).values(),
            *model.terms({"image": tf.constant(x)}).values(),
        ]
        loss = tf.add_n(terms)
    for gradient in tape.gradient(loss, [bias.value for bias in biases]):
        reached = gradient.numpy().reshape(4, 6, -1) != 0.0
        hidden = np.array([[0, 0, 0, 1, 1, 1]] * 2 + [[1, 1, 1, 0, 0, 0]] * 2, bool)
        np.testing.assert_array_equal(reached.all(-1), hidden)
        np.testing.assert_array_equal(reached.any(-1), hidden)


def test_the_decoder_and_the_prior_know_what_is_seen_and_only_that():
    model = randomized()
    x, mask = ALL.reshape(16, 2, 2, 1), np.repeat(CORNER[None], 16, 0)
    given = model.given({"image": tf.constant(x), "mask": tf.constant(mask)})
    # The first eight pictures differ in what is hidden only.
    for told in (model.prior(given).mean().numpy(), model.prior(given).stddev().numpy(),
                 model.likelihood(tf.zeros((16, 1)), given).mean().numpy().reshape(16, 4)[:, 1:]):  # fmt: skip
        np.testing.assert_array_equal(told[:8], told[[0] * 8])
        assert (np.abs(told[8] - told[0]) > 1e-3).all()
    assert len(np.unique(model.encode(x, mask)["mean"][:8])) == 8
    # Not even numbers that are none get through.
    points = randomized(example=Points(2), known=((0,),))
    with_nan = points.given({"point": tf.constant([[1.0, math.nan]]), "mask": tf.constant([[1.0, 0.0]])})
    assert np.isfinite(points.prior(with_nan).mean()).all()


def test_each_example_draws_one_of_the_masks_or_brings_its_own():
    model = randomized(example=Images((5, 4, 3), 5), known=((), ("lower_left",), ("upper_left", "upper_right")))
    rows, columns = np.mgrid[:5, :4]
    masks = np.stack([rows < 0, (rows >= 2) & (columns < 2), rows < 2])
    x = np.random.default_rng(0).integers(0, 5, (3000, 5, 4, 3)).astype(np.uint8)
    batch = model.unpack(x)
    drawn = model.given(batch)["known"].numpy()[..., 0]
    which = (drawn[:, None] == masks).all((2, 3))
    assert (which.sum(1) == 1).all()
    assert (np.abs(which.mean(0) - 1 / 3) < 4 * math.sqrt(2 / 9 / 3000)).all()
    np.testing.assert_array_equal(model.given(batch)["known"].numpy()[..., 0], drawn)
    again = model.given(model.unpack(x))["known"].numpy()[..., 0]
    assert 0.5 < np.mean((again != drawn).any((1, 2))) < 0.8

    own = np.random.default_rng(1).random((3000, 5, 4)).astype(np.float32)
    own[0, 0] = [0.0, 0.49, 0.5, 1.0]
    np.testing.assert_array_equal(model.given(model.unpack({"image": x, "mask": own}))["known"][..., 0], own >= 0.5)
    for kind in (bool, np.uint8, np.float64):
        mask = (own[:9] >= 0.5).astype(kind)
        kept = model.complete(x[:9], mask).numpy()
        np.testing.assert_array_equal(kept[mask == 1], x[:9][mask == 1])
        assert (kept[mask == 0] != x[:9][mask == 0]).any()
    figures = model.evaluate({"image": x[:9], "mask": own[:9]}, verbose=0, return_dict=True)
    hidden = 3 * np.sum(own[:9] < 0.5, (1, 2))
    rate, distortion = model.rate_distortion(model.unpack({"image": x[:9], "mask": own[:9]}))
    assert figures["bits_per_dim"] == pytest.approx(np.mean((rate + distortion) / hidden) / math.log(2.0), rel=0.1)


def test_alpha_weighs_the_bound_against_codes_from_the_prior():
    x = np.repeat(ALL[1, [2, 5]], 4000, 0)
    batch = {"image": tf.constant(x), "mask": tf.repeat(CORNER[None], 8000, 0)}
    pure, mixed = (randomized(2.0, alpha=alpha, seed=3) for alpha in (1.0, 0.25))
    bound, terms = pure.terms(batch), mixed.terms(batch)
    assert set(bound) == {"rate", "distortion"}
    for name, value in bound.items():
        assert float(terms[name]) == pytest.approx(0.25 * float(value), rel=1e-5)
    expected = -expectation(mixed, ALL[1, [2, 5]], CORNER, lambda log_p: log_p).mean()
    assert float(terms["gsnn"]) == pytest.approx(0.75 * expected, rel=0.03)
    assert abs(float(bound["distortion"]) - expected) > 0.1 * expected


def test_the_baseline_is_trained_first_and_then_stays():
    model = randomized(0.3, baseline=(4,), baseline_share=1.0)
    seen, networks = [], {"baseline": model.baseline, "decoder": model.decoder, "prior": model.prior_network}

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append({name: network.get_weights() for name, network in networks.items()})

    seen.append({name: network.get_weights() for name, network in networks.items()})
    model.compile(ema={"baseline": 0.9})
    model.fit(ALL.reshape(16, 2, 2, 1), batch_size=4, epochs=2, verbose=0, callbacks=[Watch()])
    moved = [
        {name for name in networks if any((a != b).any() for a, b in zip(now[name], before[name], strict=True))}
        for before, now in itertools.pairwise(seen)
    ]
    # What is served, the average, is what the second stage goes on with.
    assert moved[0] == {"baseline"}
    assert moved[1] >= {"decoder", "prior"}
    raw = model.baseline.get_weights()
    with model.averaged_weights():
        for one, other in zip(raw, model.baseline.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_with_classes_alone_whole_examples_are_sampled_and_nothing_is_masked():
    model = randomized(known=(), label=Labels(2), prior=StandardNormal())
    assert model.condition_size == 2
    assert set(model.endpoints()) == {"decode", "encode", "log_prob", "log_prob_from_prior", "reconstruct", "sample"}
    x = ALL.reshape(16, 2, 2, 1)
    points, weights = np.polynomial.hermite_e.hermegauss(60)
    for label in (0, 1):
        c = np.repeat(np.eye(2)[[label]], 60, 0)
        logits = model.decoder(np.concatenate([points[:, None], c], 1)).numpy().reshape(60, 1, 4)
        p = np.exp(scipy.special.log_expit((2.0 * x.reshape(16, 4) - 1.0) * logits).sum(-1))
        p = weights @ p / math.sqrt(2 * math.pi)
        assert p.sum() == pytest.approx(1.0, abs=1e-6)
        bound = model.log_prob_from_prior(x, importance_samples=4000, label=np.full(16, label))
        np.testing.assert_allclose(np.exp(bound), p, atol=0.01)
        drawn = model.sample(20_000, seed=label, label=np.full(20_000, label)).numpy().reshape(-1, 4)
        share = np.bincount(drawn @ [8, 4, 2, 1], minlength=16) / 20_000
        assert (np.abs(share - p) < 4.5 * np.sqrt(p / 20_000)).all()
    with pytest.raises(InputError, match="takes no mask"):
        model.log_prob(x, np.ones((16, 2, 2)), label=np.zeros(16, int))


def test_a_model_that_always_sees_something_completes_and_does_not_sample(tmp_path):
    model = randomized()
    assert model.main_endpoint == "complete"
    assert {"complete", "sample", "interpolate", "manifold"} & set(model.endpoints()) == {"complete"}
    assert model.preview(5).shape == (5, 2, 2, 1)
    with pytest.raises(InputError, match="use complete"):
        model.sample(2)
    assert randomized(known=((), ("upper_left",))).main_endpoint == "sample"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"known": ()}, "given nothing"),
        ({"known": ((),)}, "given nothing"),
        ({"known": ("upper_left",)}, "a tuple of parts for each mask"),
        ({"known": (("uper_left",),)}, "upper_left"),
        ({"known": (("upper_left", "upper_right", "lower_left", "lower_right"),)}, "leaves nothing hidden"),
        ({"example": Points(2), "known": ((2,),)}, "coordinate 2, expected 0..1"),
        ({"alpha": 1.5}, "alpha=1.5"),
        ({"baseline_share": 0.0}, "baseline_share=0.0"),
        ({"prior": StandardNormal(), "prior_network": keras.Sequential([keras.layers.Dense(2)])}, "only one"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        randomized(**arguments)


def test_masks_that_make_no_sense_are_refused():
    model, x = randomized(), ALL[0]
    with pytest.raises(InputError, match="conditional on what is seen"):
        model.log_prob(x)
    with pytest.raises(InputError, match="mask: shape"):
        model.complete(x, np.ones((8, 2, 3)))
    with pytest.raises(InputError, match="mask: nan"):
        model.complete(x, np.full((8, 2, 2), math.nan))
    with pytest.raises(InputError, match="mask: shape"):
        model.fit(tf.data.Dataset.from_tensors({"image": x, "mask": np.ones((8, 4), np.float32)}), verbose=0)
