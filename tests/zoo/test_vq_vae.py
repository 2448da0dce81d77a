"""Proofs of vq_vae."""

import itertools
import math

import keras
import numpy as np
import pytest
import scipy.special
import sklearn.datasets
import tensorflow as tf

import tfgen
from tests.zoo.autoregressive_proofs import randomize, repeated
from tfgen.distributions import GaussianLikelihood
from tfgen.errors import InputError
from tfgen.specs import Labels

SIZES = {"codebook_size": 6, "code_size": 3, "width": 8, "halvings": 1, "blocks": 1, "prior_width": 6, "prior_depth": 2}


def small(shape=(4, 4, 1), levels=2, **arguments):
    """Returns a model that runs step by step: of the few steps here each takes less time than its graph's making."""
    model = tfgen.create("vq_vae", image_shape=shape, levels=levels, **SIZES | arguments)
    model.compile(run_eagerly=True)
    return model


def pictures(count=8, shape=(4, 4, 1), levels=2, seed=0):
    return np.random.default_rng(seed).integers(0, levels, (count, *shape)).astype(np.uint8)


def state(layers):
    return [weight.numpy() for layer in layers for weight in layer.weights]


def auto_encoder(model):
    return [model.encoder, model.quantizer, model.decoder, model.p_x]


def same(ones, others):
    return [np.array_equal(one, other) for one, other in zip(ones, others, strict=True)]


# The bound.


@pytest.mark.parametrize("label", [None, Labels(2)])
def test_the_bound_is_one_term_of_the_sum_over_all_maps(label):
    # Three codes of four: a column of the picture each.
    sides = {"padding": "valid", "kernel_initializer": keras.initializers.RandomNormal(stddev=2.0, seed=1)}
    encoder = keras.Sequential([keras.Input((2, 3, 1)), keras.layers.Conv2D(2, (2, 1), **sides)])
    decoder = keras.Sequential([keras.Input((1, 3, 2)), keras.layers.Conv2DTranspose(1, (2, 2), (2, 1), **sides)])
    decoder.add(keras.layers.Cropping2D([(0, 0), (0, 1)]))
    model = small((2, 3, 1), codebook_size=4, code_size=2, encoder=encoder, decoder=decoder, label=label)
    randomize(model.prior)
    x = np.array(list(itertools.product((0, 1), repeat=6)), np.uint8).reshape(-1, 2, 3, 1)
    every = np.array(list(itertools.product(range(4), repeat=3)), np.int32).reshape(-1, 1, 3)
    condition = {} if label is None else {"label": 1}
    log_p_k = model.prior.log_prob(every[..., None], **repeated(condition, 64)).numpy().astype(np.float64)
    assert np.exp(log_p_k).sum() == pytest.approx(1.0, abs=1e-5)
    logits = decoder(model.quantizer.codebook.numpy()[every]).numpy().reshape(64, 1, 6).astype(np.float64)
    terms = log_p_k[:, None] + scipy.special.log_expit((2.0 * x.reshape(1, -1, 6) - 1.0) * logits).sum(-1)
    exact = scipy.special.logsumexp(terms, axis=0)
    assert np.exp(exact).sum() == pytest.approx(1.0, abs=1e-5)
    k = model.encode(x).numpy()
    assert len(np.unique(k, axis=0)) > 4
    place = [np.flatnonzero((every == one).all((1, 2)))[0] for one in k]
    bound = model.log_prob(x, **repeated(condition, 64)).numpy()
    np.testing.assert_allclose(bound, terms[place, np.arange(64)], rtol=1e-4, atol=1e-4)
    assert (bound < exact).all()


def test_figures_are_the_bound_and_its_parts_and_before_the_second_stage_the_prior_is_uniform():
    model, x = small((6, 4, 3), 5, codebook_size=7), pictures(9, (6, 4, 3), 5)
    figures = model.evaluate(x, batch_size=5, verbose=0, return_dict=True)
    assert figures["rate"] == pytest.approx(6 * math.log(7), rel=1e-5)
    assert figures["rate_se"] == pytest.approx(0.0, abs=1e-5)
    assert figures["elbo"] == pytest.approx(-figures["rate"] - figures["distortion"], rel=1e-5)
    assert figures["bits_per_dim"] == pytest.approx(-figures["elbo"] / (72 * math.log(2.0)), rel=1e-5)
    assert figures["elbo"] == pytest.approx(model.log_prob(x).numpy().mean(), rel=1e-5)
    assert figures["auto_encoder_distortion"] == pytest.approx(figures["distortion"], rel=1e-5)
    counts = np.bincount(model.indices(x).numpy().ravel(), minlength=7) / 54
    assert figures["data_perplexity"] == pytest.approx(np.exp(-scipy.special.xlogy(counts, counts).sum()), rel=1e-4)


def test_a_density_of_dequantised_pictures_can_be_the_likelihood():
    model = small((4, 4, 1), 17, likelihood=GaussianLikelihood(scale=0.1))
    x = pictures(500, levels=17)
    figures = model.evaluate(x, batch_size=500, verbose=0, return_dict=True)
    bound = model.log_prob(x)
    assert figures["elbo"] == pytest.approx(bound.numpy().mean(), abs=4 * figures["elbo_se"])
    np.testing.assert_array_equal(bound, model.log_prob(x))
    assert any(weight is model.p_x.log_scale for weight in model.players()[0].variables)


# The loss.


@pytest.mark.parametrize("by_gradient", [False, True])
def test_the_terms_are_those_of_the_paper(by_gradient):
    model, x = small(by_gradient=by_gradient, beta=0.5), pictures()
    model.decoder.set_weights([np.zeros(weight.shape) for weight in model.decoder.weights])
    figures = model.evaluate(x, verbose=0, return_dict=True)
    # A sum over pixels; the others are sums over a code's numbers, and means over places.
    assert figures["auto_encoder_distortion"] == pytest.approx(16 * math.log(2.0), rel=1e-5)
    z = model.encoder(model.example.to_network(x)).numpy()
    squares = np.square(z[..., None, :] - model.quantizer.codebook.numpy()).sum(-1).min(-1)
    assert squares.shape == (8, 2, 2)
    assert figures["auto_encoder_commitment"] == pytest.approx(0.5 * squares.mean(), rel=1e-4)
    if by_gradient:
        assert figures["auto_encoder_codebook"] == pytest.approx(squares.mean(), rel=1e-4)
    else:
        assert "auto_encoder_codebook" not in figures


def test_beta_weighs_what_the_encoder_is_pulled_by_and_not_the_codes():
    x = pictures()
    for beta in (0.25, 2.0):
        model = small(by_gradient=True, beta=beta)
        # Without a way from the codes to the picture the reconstruction pulls nobody.
        model.decoder.set_weights([np.zeros(weight.shape) for weight in model.decoder.weights])
        bias, book = model.encoder.layers[-1].bias.value, model.quantizer.codebook.value
        with tf.GradientTape() as tape:
            loss = tf.add_n(list(model.auto_encoder_terms({"image": x}).values()))
        by_bias, by_book = tape.gradient(loss, [bias, book])
        z = model.encoder(model.example.to_network(x)).numpy()
        k = model.indices(x).numpy()
        difference = z - book.numpy()[k]
        np.testing.assert_allclose(by_bias, 2 * beta * difference.mean((0, 1, 2)), rtol=1e-3, atol=1e-5)
        expected = np.zeros((6, 3))
        np.add.at(expected, k.ravel(), -2 * difference.reshape(-1, 3) / k.size)
        np.testing.assert_allclose(tf.convert_to_tensor(by_book), expected, rtol=1e-3, atol=1e-5)


# The codebook in training.


@pytest.mark.parametrize("by_gradient", [False, True])
def test_codes_begin_as_what_the_encoder_gives_for_the_first_batch(by_gradient):
    model = small(by_gradient=by_gradient)
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    x = pictures(8)
    model.fit(x, batch_size=8, epochs=1, total_epochs=2, verbose=0)
    z = model.encoder(model.example.to_network(x)).numpy().reshape(-1, 3)
    nearest = np.square(model.quantizer.codebook.numpy()[:, None] - z).sum(-1).min(1)
    # Averages have moved by a hundredth already.
    assert nearest.max() < (1e-10 if by_gradient else 1e-2 * z.var(0).sum())


def test_codes_follow_the_encoder_in_training_and_nothing_moves_in_use():
    model, x = small(), pictures(8)
    model.fit(x, batch_size=8, epochs=1, total_epochs=8, verbose=0)
    before = state([model.quantizer])
    model.evaluate(x, verbose=0)
    model.sample(2), model.log_prob(x)
    assert all(same(state([model.quantizer]), before))
    x = pictures(8, seed=1)
    history = model.fit(x, batch_size=8, initial_epoch=1, epochs=2, total_epochs=8, verbose=0).history
    codebook, usage, sums, begun = same(state([model.quantizer]), before)
    assert not codebook and not usage and not sums and begun
    assert history["perplexity"][-1] == pytest.approx(float(model.quantizer.perplexity()))


# Stages.


@pytest.mark.parametrize("by_gradient", [False, True])
def test_each_stage_moves_its_own_weights_and_no_code_moves_under_the_prior(by_gradient):
    model, x = small(by_gradient=by_gradient), pictures(8)
    first, prior = state(auto_encoder(model)), state(model.prior.networks())
    model.fit(x, batch_size=8, epochs=2, total_epochs=4, verbose=0)
    assert model.stage == 0
    assert not any(same(first, state(auto_encoder(model)))[:2])
    assert all(same(prior, state(model.prior.networks())))
    first = state(auto_encoder(model))
    history = model.fit(x, batch_size=8, initial_epoch=2, epochs=4, verbose=0).history
    assert model.stage == 1
    assert set(history) == {"prior_loss", "prior_rate", "loss"}
    assert all(same(first, state(auto_encoder(model))))
    assert not any(same(prior, state(model.prior.networks())))


@pytest.mark.slow
def test_a_training_that_is_resumed_is_the_whole_one(tmp_path):
    x, labels = pictures(8), np.arange(8, dtype=np.int32) % 3
    whole, model = small(labels=3, seed=5), small(labels=3, seed=5)
    model.set_weights(whole.get_weights())
    whole.fit(x, labels, batch_size=4, epochs=4, shuffle=False, verbose=0)
    model.fit(x, labels, batch_size=4, epochs=1, total_epochs=4, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    model = tfgen.load_model(tmp_path / "model.keras")
    assert model.stage == 0
    model.fit(x, labels, batch_size=4, initial_epoch=1, epochs=4, shuffle=False, verbose=0)
    assert model.stage == whole.stage == 1
    assert all(same(whole.get_weights(), model.get_weights()))


def test_the_prior_is_of_the_codes_that_averaged_weights_give():
    model, x = small(), pictures(8)
    model.compile({"auto_encoder": "sgd", "prior": "sgd"}, ema=0.9, run_eagerly=True)
    model.fit(x, batch_size=2, epochs=1, total_epochs=8, verbose=0)
    with model.averaged_weights():
        averaged = state(auto_encoder(model))
    raw = state(auto_encoder(model))
    assert not all(same(averaged, raw))
    model.enter_stage(1, list)
    assert all(same(state(auto_encoder(model)), averaged))
    with model.averaged_weights():
        assert all(same(state(auto_encoder(model)), averaged))


# Pictures of all sizes, and what is refused.


@pytest.mark.parametrize(
    ("shape", "halvings", "map"), [((28, 28, 1), 2, (7, 7)), ((9, 7, 3), 2, (3, 2)), ((5, 6, 1), 1, (3, 3))]
)
def test_any_size_is_encoded_and_comes_back(shape, halvings, map):
    model, x = small(shape, 5, halvings=halvings), pictures(3, shape, 5)
    codes = model.encode(x)
    assert codes.shape == (3, *map) and codes.dtype == tf.int32
    assert model.reconstruct(x).shape == (3, *shape)
    np.testing.assert_array_equal(model.decode(codes), model.reconstruct(x))


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="codebook_size=1,.* expected 2 codes or more"):
        small(codebook_size=1)
    with pytest.raises(InputError, match="halvings=0"):
        small(halvings=0)
    with pytest.raises(InputError, match="prior_share=0"):
        small(prior_share=0.0)
    flat = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(InputError, match=r"the encoder gives shape \(3,\), expected \(height, width, code_size=3\)"):
        small(encoder=flat)
    with pytest.raises(InputError, match=r"the decoder gives shape \(2, 2, 1\), expected \(4, 4, 1\)"):
        small(decoder=keras.Sequential([keras.Input((2, 2, 3)), keras.layers.Conv2D(1, 1)]))
    with pytest.raises(InputError, match="values 0..6, expected 0..5"):
        small().decode([[[0, 1], [2, 6]]])


def test_precision_reaches_the_networks_and_ends_at_the_codes():
    model, x = small(levels=17, dtype="mixed_bfloat16"), pictures(8, levels=17)
    assert model.encoder.layers[1].compute_dtype == model.prior.head_in.compute_dtype == "bfloat16"
    model.fit(x, batch_size=8, epochs=2, verbose=0)
    assert model.prior.conditionals(model.indices(x)[..., None]).dtype == tf.float32
    assert model.log_prob(x).dtype == model.quantizer.codebook.value.dtype == tf.float32
    assert np.isfinite(model.log_prob(x)).all()


# Trained.


@pytest.mark.slow
def test_four_pictures_become_four_codes_and_their_classes_draw_them():
    # Bars at four places, each of a class; classes 0 and 1 share one half of the pictures.
    x = np.zeros((4, 4, 4, 1), np.uint8)
    for index in range(4):
        x[index, index] = 1
    model = small(codebook_size=4, halvings=2, labels=2, prior_share=1.0, width=16)
    model.compile(keras.optimizers.Adam(1e-2), steps_per_execution=50)
    data = tf.data.Dataset.from_tensors({"image": np.tile(x, (4, 1, 1, 1)), "label": np.tile([0, 0, 1, 1], 4)})
    model.fit(data.repeat(200), epochs=2, shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.reconstruct(x), x)
    assert len(np.unique(model.encode(x))) == 4
    figures = model.evaluate({"image": x, "label": np.array([0, 0, 1, 1])}, verbose=0, return_dict=True)
    # All that is left to say is which of the class's two pictures it is.
    assert figures["rate"] == pytest.approx(math.log(2.0), abs=0.02)
    assert figures["distortion"] < 0.25
    assert figures["data_perplexity"] == pytest.approx(4.0, abs=1e-3)
    for label in range(2):
        drawn = model.sample(200, seed=label, label=np.full(200, label)).numpy()
        of_class = [(drawn == x[index]).all((1, 2, 3)).mean() for index in (2 * label, 2 * label + 1)]
        assert sum(of_class) > 0.8 and min(of_class) > 0.3


@pytest.mark.slow
def test_on_digits_codes_carry_the_picture_and_the_prior_knows_them():
    x = sklearn.datasets.load_digits().images.astype(np.uint8)[..., None]
    train, test = x[:1437], x[1437:]
    model = small((8, 8, 1), 17, codebook_size=32, code_size=16, width=24, prior_width=16, prior_share=0.5)
    model.compile(steps_per_execution=22)
    history = model.fit(train, batch_size=64, epochs=12, verbose=0).history
    figures = model.evaluate(test, batch_size=360, verbose=0, return_dict=True)
    assert figures["rate"] < 16 * math.log(32) - 5.0
    assert figures["data_perplexity"] > 4.0 and history["perplexity"][-1] > 4.0
    error = np.mean((model.reconstruct(test).numpy().astype(float) - test) ** 2)
    assert error < 0.5 * np.mean((train.mean(0) - test) ** 2)
