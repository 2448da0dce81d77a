"""Proofs of ladder_vae; those of the merge are in tests/distributions/test_hierarchy.py."""

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.specs import Images, Points


def small(**arguments):
    return tfgen.create("ladder_vae", example=Points(3), rungs=((8, 3), (6, 2), (5, 1)), seed=0, **arguments)


X = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


def test_the_rates_in_closed_form_are_on_average_those_of_the_draws():
    model = small()
    # Messages that say something: weights are small at first.
    for network in (*model.messages, *model.down):
        network.set_weights([3.0 * weight for weight in network.get_weights()])
    x = np.repeat(X[:1], 20_000, 0)
    q, p = model.posterior(x), model.prior()
    z, log_q = q.experimental_sample_and_log_prob(seed=(0, 1))
    by_draws = (log_q - p.log_prob(z)).numpy()
    closed = model.rates(q, p, z, log_q).numpy().sum(-1)
    difference = by_draws - closed
    assert abs(difference.mean()) < 5.0 * difference.std() / np.sqrt(len(x))
    assert closed.mean() > 0.1


@pytest.mark.slow
def test_a_message_that_knows_nothing_costs_nothing():
    model = small()
    *_, bias = model.messages[1].get_weights()
    bias[2:] = 1e7
    model.messages[1].set_weights([*model.messages[1].get_weights()[:-1], bias])
    model.compile()
    figures = model.evaluate({"point": X}, verbose=0, return_dict=True)
    assert figures["kl_2"] == pytest.approx(0.0, abs=1e-5)
    assert min(figures["kl_1"], figures["kl_3"]) > 1e-4
    assert figures["kl"] == pytest.approx(figures["kl_1"] + figures["kl_2"] + figures["kl_3"], rel=1e-5)


def test_only_the_lowest_layer_speaks_to_the_picture_and_each_only_to_the_one_below():
    model = small()
    z = np.random.default_rng(1).normal(size=(4, 6)).astype(np.float32)
    changed = z.copy()
    changed[:, 3:] += 1.0
    np.testing.assert_array_equal(model.decode(z), model.decode(changed))
    p = [layer.mean().numpy() for layer in model.prior().given(tf.constant(z))]
    other = [layer.mean().numpy() for layer in model.prior().given(tf.constant(changed))]
    assert np.abs(p[0] - other[0]).max() > 0.0
    changed = z.copy()
    changed[:, :3] += 1.0
    other = [layer.mean().numpy() for layer in model.prior().given(tf.constant(changed))]
    for one, two in zip(p, other, strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_weight_of_the_divergence_grows_with_the_steps():
    model = small(warm_up=10)
    batch = {"point": X}
    model._steps.assign(4)
    expected = 0.4 * np.mean(model.rate_distortion(batch)[0])
    model._random_count.assign([0, 0])  # the same draws
    assert float(model.terms(batch)["rate"]) == pytest.approx(expected, rel=1e-5)
    model._steps.assign(0)
    assert float(model.terms(batch)["rate"]) == 0.0


@pytest.mark.slow
def test_it_learns_digits_beyond_what_pixels_say_alone():
    source = tfgen.data.open_source("digits")
    model = tfgen.create("ladder_vae", example=source.example, rungs=((128, 8), (64, 4)), warm_up=200, seed=0)
    model.compile(steps_per_execution=20)
    model.fit(source.dataset("train", batch_size=64), epochs=40, verbose=0)
    figures = model.evaluate(source.dataset("test", batch_size=360), importance_samples=64, verbose=0, return_dict=True)
    # The best model of pixels that know nothing of each other has 107.9.
    assert figures["nats"] < -figures["elbo"] < 95.0
    assert figures["kl_1"] > 1.0


@pytest.mark.parametrize("rungs", [(), ((8,),), ((8, 0),)])
def test_rungs_that_are_none_are_named(rungs):
    with pytest.raises(tfgen.InputError, match="ladder_vae: rungs="):
        tfgen.create("ladder_vae", example=Images((4, 4, 1), 2), rungs=rungs)
