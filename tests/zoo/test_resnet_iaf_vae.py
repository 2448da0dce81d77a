"""Proofs of resnet_iaf_vae; those of its layers are in tests/layers/test_normalized_conv.py, of one way down for all in
tests/distributions/test_top_down.py."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfgen
from tfgen.distributions import AutoregressiveNormal
from tfgen.layers.shifted_conv import WeightNormalized
from tfgen.networks.bidirectional import AutoregressiveStep, BidirectionalBlock

tfd = tfp.distributions

RNG = np.random.default_rng(0)
X = RNG.integers(0, 5, (4, 8, 8, 1)).astype(np.uint8)


def small(shape=(8, 8, 1), levels=5, **arguments):
    arguments = {"width": 5, "latent_maps": 2, "resolutions": 2, "blocks": 1, "seed": 0} | arguments
    return tfgen.create("resnet_iaf_vae", image_shape=shape, levels=levels, **arguments)


def shaken(model, seed=0):
    """The model with weights that say something: all that it gives is small at first."""
    rng = np.random.default_rng(seed)
    for layer in model.network._flatten_layers():
        if isinstance(layer, WeightNormalized):
            layer.g.assign(rng.uniform(0.5, 1.5, layer.g.shape))
            layer.bias.assign(rng.normal(size=layer.bias.shape) * 0.3)
    return model


@pytest.fixture
def step(float64):
    """An autoregressive step over maps of two rows, three columns and three maps, and a context for it."""
    step = AutoregressiveStep(3, 7)
    step.build()
    rng = np.random.default_rng(0)
    for weight in step.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    # What m and s are scaled by would hide in the eigenvalues.
    step.answer.g.assign(step.answer.g * 10.0)
    return step, tf.constant(rng.normal(size=(1, 2, 3, 7)))


def test_the_jacobian_of_a_step_is_triangular_in_the_order_and_s_is_its_log_determinant(step):
    step, context = step
    z0 = tf.constant(RNG.normal(size=(1, 2, 3, 3)))
    bent = AutoregressiveNormal(tfd.Normal(tf.zeros_like(z0), 1.0), lambda z: step(z, context))
    with tf.GradientTape() as tape:
        tape.watch(z0)
        z, s = bent.bend(z0)
    # Rows, columns, maps: the order in which a picture is read.
    jacobian = tape.jacobian(z, z0).numpy().reshape(18, 18)
    np.testing.assert_array_equal(np.triu(jacobian, 1), 0.0)
    assert (np.abs(np.diag(jacobian, -1)) > 0.0).mean() > 0.8
    sign, log_det = np.linalg.slogdet(jacobian)
    assert sign == 1.0
    assert abs(log_det) > 0.1
    np.testing.assert_allclose(-tf.reduce_sum(s), log_det, atol=1e-10)


def test_every_number_of_a_step_sees_the_context_of_its_own_pixel(step):
    step, context = step
    z0 = tf.constant(RNG.normal(size=(1, 2, 3, 3)))
    with tf.GradientTape() as tape:
        tape.watch(context)
        answers = tf.concat(step(z0, context), 0)
    jacobian = np.abs(tape.jacobian(answers, context).numpy()[..., 0, :, :, :]).max(-1)
    for y, x in np.ndindex(2, 3):
        assert (jacobian[:, y, x, :, y, x] > 0.0).all()


def given_layer_by_layer(model, x, z):
    """log q and log p of each block's map, `(batch, blocks * maps)`, by a walk of the test's own.

    z_0 of each number is found from those before it, one after the other, which the model never does.
    """
    network, h = model.network, model.network.start(len(x))
    said = network.up(model.example.to_network(x))
    sizes = [int(np.prod(shape)) for shape in network.sizes]
    parts, found = tf.split(z, sizes, -1), {"q": [], "p": []}
    for block, shape, of_block, part in list(zip(network.blocks, network.sizes, said, parts, strict=True))[::-1]:
        code = tf.reshape(part, (-1, *shape))
        (mean, log_scale), of_q, told = block.expect(h)
        found["p"].append(scipy.stats.norm.logpdf(code, mean, np.exp(log_scale)).sum((1, 2)))
        mean, log_scale = (one.numpy() + two.numpy() for one, two in zip(of_q[:2], of_block[:2], strict=True))
        start, s = code, tf.zeros_like(code)
        if block.step:
            context = of_q.context + of_block.context
            for _ in range(int(np.prod(shape))):
                m, s = block.step(start, context)
                start = code * tf.exp(s) + m
        found["q"].append((scipy.stats.norm.logpdf(start, mean, np.exp(log_scale)) + s.numpy()).sum((1, 2)))
        h = block.down(h, code, told)
    return [np.concatenate(found[which][::-1], -1) for which in ("q", "p")]


@pytest.mark.parametrize("arguments", [{}, {"blocks": 2, "latent_maps": 3}, {"shape": (8, 4, 3)}, {"iaf": False}])
def test_log_q_and_rates_of_draws_are_those_of_a_walk_that_inverts_the_flow(float64, arguments):
    model = shaken(small(**arguments))
    x = RNG.integers(0, 5, (3, *model.example.shape)).astype(np.uint8)
    q, p = model.posterior(x), model.prior()
    with model.descents.open():
        z, log_q = q.experimental_sample_and_log_prob(seed=(0, 1))
        rates = model.rates(q, p, z, log_q).numpy()
        log_p = p.log_prob(z)
    of_q, of_p = given_layer_by_layer(model, x, z)
    np.testing.assert_allclose(log_q, of_q.sum(-1), rtol=1e-9)
    np.testing.assert_allclose(log_p, of_p.sum(-1), rtol=1e-9)
    assert rates.shape == (3, len(model.network.blocks) * model.network.blocks[0].maps)
    if model.network.blocks[0].step:
        np.testing.assert_allclose(rates, of_q - of_p, rtol=1e-9, atol=1e-9)
    # Each of several draws is of the example in whose column it stands.
    z, log_q = q.experimental_sample_and_log_prob(2, seed=(0, 1))
    for draw in range(2):
        np.testing.assert_allclose(log_q[draw], given_layer_by_layer(model, x, z[draw])[0].sum(-1), rtol=1e-9)


def test_without_a_step_the_posterior_of_a_block_is_normal_and_its_rate_in_closed_form():
    model = shaken(small(resolutions=1, iaf=False))
    assert not any("step" in weight.path for weight in model.network.weights)
    (block,) = model.network.blocks
    (p_mean, p_log_scale), of_q, _ = block.expect(model.network.start(4))
    (said,) = model.network.up(model.example.to_network(X))
    p = tfd.MultivariateNormalDiag(tf.reshape(p_mean, (4, -1)), tf.exp(tf.reshape(p_log_scale, (4, -1))))
    mean, log_scale = (tf.reshape(one + two, (4, -1)) for one, two in zip(of_q[:2], said[:2], strict=True))
    q = tfd.MultivariateNormalDiag(mean, tf.exp(log_scale))
    with model._step_of(1):
        rate, _ = model.rate_distortion({"image": tf.constant(X)})
    np.testing.assert_allclose(rate, tfd.kl_divergence(q, p), rtol=1e-4)
    np.testing.assert_allclose(model.encode(X)["mean"], mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.encode(X)["scale"], tf.exp(log_scale), rtol=1e-4)


def test_the_importance_weighted_bound_rises_with_k():
    model = shaken(small())
    bounds = {
        k: np.array([model.log_prob(X, importance_samples=k, seed=seed) for seed in range(20)]).mean()
        for k in (1, 8, 64)
    }
    assert bounds[1] < bounds[8] - 0.1
    assert bounds[8] < bounds[64] - 0.1


def test_training_and_sampling_go_down_once(monkeypatch):
    model, calls = small(), []
    expect = BidirectionalBlock.expect
    monkeypatch.setattr(
        BidirectionalBlock, "expect", lambda *args, **kwargs: calls.append(0) or expect(*args, **kwargs)
    )
    # What stands for an example is looked at by `evaluate` only, and is no part of a compiled step.
    monkeypatch.setattr(type(model), "centre", lambda self, q: None)
    model.terms({"image": X})
    assert len(calls) == len(model.network.blocks)
    calls.clear()
    tf.function(lambda: model.sample(2, tf.constant([0, 1]))).get_concrete_function()
    assert len(calls) == len(model.network.blocks)


@pytest.mark.slow
def test_free_bits_are_of_each_map_of_each_block_and_no_part_of_the_reported_bound():
    model, same = shaken(small(free_bits=1e4)), shaken(small(free_bits=0.0))
    same.set_weights(model.get_weights())
    same.compile(), model.compile()
    figures, others = (one.evaluate({"image": X}, verbose=0, return_dict=True) for one in (model, same))
    # Two blocks of two maps, none of which has that many nats.
    assert figures["rate"] == pytest.approx(4e4)
    assert others["rate"] == pytest.approx(others["kl"], rel=1e-5)
    for name in ("elbo", "kl", "distortion", "bits_per_dim", "kl_1", "kl_2"):
        assert figures[name] == pytest.approx(others[name], rel=1e-6), name
    assert figures["kl"] == pytest.approx(figures["kl_1"] + figures["kl_2"], rel=1e-5)
    assert figures["elbo"] == pytest.approx(-figures["kl"] - figures["distortion"], rel=1e-5)


def test_free_bits_that_no_picture_needs_leave_the_weights_to_the_distortion():
    model = shaken(small(free_bits=1e4))
    weights = [weight.value for weight in model.trainable_weights]
    with tf.GradientTape() as tape:
        rate = model.terms({"image": X})["rate"]
    gradients = tape.gradient(rate, weights, unconnected_gradients="zero")
    assert all(np.abs(gradient).max() == 0.0 for gradient in gradients)


def test_the_first_batch_that_is_trained_on_gives_every_convolution_its_deviation(monkeypatch):
    model, outputs = small((8, 8, 3), 256, blocks=2, width=9), {}
    x = {"image": RNG.integers(0, 256, (64, 8, 8, 3)).astype(np.uint8)}
    original = WeightNormalized._initialize

    def record(layer, inputs):
        outputs[layer.path] = original(layer, inputs).numpy()
        return tf.constant(outputs[layer.path])

    monkeypatch.setattr(WeightNormalized, "_initialize", record)
    model._initialize(x)
    convolutions = [layer for layer in model.network._flatten_layers() if isinstance(layer, WeightNormalized)]
    # The top block's first one on the way down sees a constant.
    constant = model.network.blocks[-1].down_in.path
    assert set(outputs) == {layer.path for layer in convolutions} - {constant}
    for path, output in outputs.items():
        np.testing.assert_allclose(output.mean((0, 1, 2)), 0.0, atol=1e-4, err_msg=path)
        np.testing.assert_allclose(output.std((0, 1, 2)), 0.1, rtol=1e-2, err_msg=path)
    assert bool(model.initialized.value)
    # What a pass gives is now what was fitted.
    monkeypatch.undo()
    numbers = model.network.up(model.example.to_network(x["image"]))
    for number in (numbers[0].mean, numbers[-1].log_scale):
        np.testing.assert_allclose(tf.math.reduce_std(number, (0, 1, 2)), 0.1, rtol=1e-2)


@pytest.mark.slow
def test_only_the_first_step_fits_the_weights_and_averages_begin_there():
    model = small(averaging=0.5)
    model.compile("sgd")
    assert model.averages["model"].decay == 0.5
    model.optimizers["model"].learning_rate.assign(0.0)
    model.fit({"image": X}, batch_size=4, verbose=0)
    lengths = model.network.first.g.numpy()
    assert np.abs(lengths - 1.0).min() > 0.0
    for weight, (_, average) in zip(model.network.weights, model.averages["model"]._pairs, strict=False):
        np.testing.assert_array_equal(weight, average)
    model.fit({"image": X // 2}, batch_size=4, verbose=0)  # of less contrast
    np.testing.assert_array_equal(model.network.first.g, lengths)


@pytest.mark.slow
def test_it_learns_digits_beyond_what_pixels_say_alone():
    source = tfgen.data.open_source("digits")
    model = tfgen.create(
        "resnet_iaf_vae", example=source.example, width=16, latent_maps=4, resolutions=2, blocks=1, averaging=0.98,
        learning_rate=2e-2, seed=0,
    )  # fmt: skip
    model.compile(steps_per_execution=20)
    model.fit(source.dataset("train", batch_size=64), epochs=25, verbose=0)
    figures = model.evaluate(source.dataset("test", batch_size=360), importance_samples=16, verbose=0, return_dict=True)
    # The best model of pixels that know nothing of each other has 107.9.
    assert figures["nats"] < -figures["elbo"] < 104.0
    assert figures["kl"] > 3.0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"width": 0}, "resnet_iaf_vae: width=0, expected at least 1"),
        ({"latent_maps": 0}, "latent_maps=0"),
        ({"resolutions": 0}, "resolutions=0"),
        ({"blocks": -1}, "blocks=-1"),
        ({"shape": (12, 8, 1), "resolutions": 3}, "12x8 with codes at 3 resolutions; pad the sides to multiples of 8"),
        ({"free_bits": -1.0}, "free_bits=-1.0"),
    ],
)
def test_sizes_that_do_not_fit_are_named(wrong, message):
    with pytest.raises(tfgen.InputError, match=message):
        small(**wrong)
