"""What training descends for the rate."""

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.errors import InputError
from tfgen.models import RateWeight
from tfgen.specs import Points

RATES = tf.constant([[0.2, 3.0], [0.4, 1.0]])  # means 0.3 and 2


@pytest.mark.parametrize(
    ("arguments", "step", "expected"),
    [
        ({}, 1, 2.3),
        ({"beta": 4.0}, 1, 9.2),
        ({"warm_up": 10}, 1, 0.23),
        ({"warm_up": 10, "beta": 2.0}, 5, 2.3),
        ({"warm_up": 10}, 10, 2.3),
        ({"warm_up": 10}, 25, 2.3),
        ({"free_bits": 0.5}, 1, 2.5),
        ({"free_bits": 5.0}, 1, 10.0),
        ({"capacity": 3.0, "gain": 10.0}, 1, 7.0),
        ({"capacity": 2.0, "gain": 10.0, "warm_up": 4}, 2, 13.0),
    ],
)
def test_the_rate_weighs_what_the_papers_say(arguments, step, expected):
    assert float(RateWeight(**arguments)(RATES, tf.constant(step))) == pytest.approx(expected, rel=1e-6)


def test_free_bits_are_of_the_batchs_mean_and_leave_no_gradient_below():
    with tf.GradientTape() as tape:
        tape.watch(RATES)
        loss = RateWeight(free_bits=0.35)(RATES, tf.constant(1))
    # The first latent's mean is below although one example is above.
    np.testing.assert_allclose(tape.gradient(loss, RATES), [[0.0, 0.5], [0.0, 0.5]])


def test_latents_are_groups_of_their_own_where_that_matters():
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    sums, weights = [], None
    for rate in (RateWeight(), RateWeight(free_bits=0.1)):
        model = tfgen.create("vae", example=Points(3), latent_size=4, hidden=(6,), rate=rate, seed=1)
        weights = weights or model.get_weights()
        model.set_weights(weights)
        rates, _, _ = model._parts({"point": tf.constant(x)})
        assert rates.shape == (5, 4 if rate.free_bits else 1)
        sums.append(np.sum(rates, 1))
    np.testing.assert_allclose(*sums, rtol=1e-5)


def test_the_weight_grows_with_the_steps_of_training_and_is_saved_with_the_model(tmp_path):
    x = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    model = tfgen.create("vae", example=Points(3), latent_size=2, hidden=(4,), rate=RateWeight(warm_up=8))
    model.compile("sgd")
    model.fit(x, batch_size=2, verbose=0)
    model.save(tmp_path / "model.keras")
    for one in (model, tfgen.load_model(tmp_path / "model.keras")):
        figures = one.evaluate(x, verbose=0, return_dict=True)
        assert figures["rate"] == pytest.approx(0.5 * figures["kl"], rel=1e-5)  # 4 steps of 8
        assert figures["elbo"] == pytest.approx(-figures["kl"] - figures["distortion"], rel=1e-5)


def test_negative_numbers_are_mistakes():
    with pytest.raises(InputError, match="beta=-1"):
        RateWeight(beta=-1.0)
    with pytest.raises(InputError, match="free_bits=nan"):
        RateWeight(free_bits=float("nan"))
