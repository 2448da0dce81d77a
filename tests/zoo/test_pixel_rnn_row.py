"""Proofs of pixel_rnn_row."""

import keras
import numpy as np
import pytest
import sklearn.datasets
import sklearn.linear_model
import tensorflow as tf

import tfgen
from tests.zoo.autoregressive_proofs import (
    assert_completions_are_the_naive_ones,
    assert_samples_are_the_naive_ones,
    dependencies,
    randomize,
    total_probability,
)


def small(shape, levels=2, **arguments):
    sizes = {"width": 6, "layers": 2, "kernel_size": 3, "head_width": 6} | arguments
    model = tfgen.create("pixel_rnn_row", image_shape=shape, levels=levels, **sizes)
    randomize(model, 0.4)
    return model


@pytest.mark.parametrize(("shape", "levels"), [((5, 7, 1), 2), ((4, 3, 3), 4)])
def test_no_draw_depends_on_itself_or_on_later_channels(float64, shape, levels):
    found = dependencies(small(shape, levels, width=12, head_width=24))
    assert not np.triu(found).any()
    # Not vacuous: all depend on the draw before, but at the start of a row it is far away.
    height, width, channels = shape
    follows = np.diag(found, -1)[np.arange(1, height * width * channels) % (width * channels) != 0]
    assert follows.mean() > 0.8


def test_one_layer_sees_a_triangle_that_opens_by_one_pixel_per_row(float64):
    height, width = 5, 9
    found = dependencies(small((height, width, 1), layers=1, head_width=32)).reshape(height, width, height, width)
    for y, x, v, u in np.ndindex(found.shape):
        up = y - v
        # Up the LSTM goes to the side by one per row. On the left two kernels reach one further along the row.
        triangle = up > 0 and x - up - 2 <= u <= x + up
        at_left = up == 0 and x - 2 <= u < x
        assert found[y, x, v, u] == (triangle or at_left), (y, x, v, u)


@pytest.mark.parametrize("shape", [(2, 2, 3), (4, 4, 1), (3, 4, 1)])
def test_probabilities_of_all_pictures_sum_to_one(shape):
    assert total_probability(small(shape)) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(("shape", "levels"), [((5, 7, 1), 2), ((8, 8, 1), 17), ((5, 7, 3), 4)])
def test_the_cached_sampler_draws_what_the_naive_one_draws(float64, shape, levels):
    assert_samples_are_the_naive_ones(small(shape, levels))


def test_completion_keeps_known_pixels_wherever_they_are(float64):
    assert_completions_are_the_naive_ones(small((5, 7, 3), 4))


def test_a_layer_whose_last_weights_are_zero_is_the_identity():
    # The residual is added at 2h, around the LSTM and what brings it back to 2h.
    model = small((4, 4, 1))
    x = tf.constant(np.random.default_rng(0).integers(0, 2, (2, 4, 4, 1)), tf.uint8)
    for weight in model.ups[1].trainable_weights:
        weight.assign(tf.zeros_like(weight))
    with_layer = model.conditionals(x)
    model.lstms.pop(), model.ups.pop()
    np.testing.assert_allclose(with_layer, model.conditionals(x), atol=1e-6)


@pytest.mark.slow
def test_it_is_better_than_a_logistic_regression_for_each_pixel():
    # Without hidden units a network of the earlier pixels is that: a fully visible sigmoid belief network.
    images = (sklearn.datasets.load_digits().images > 7).astype(np.uint8)[..., None]
    train, test = images[:1437], images[1437:]
    flat_train, flat_test = train.reshape(-1, 64), test.reshape(-1, 64)
    baseline = 0.0
    for pixel in range(64):
        mean = (flat_train[:, pixel].sum() + 0.5) / (len(train) + 1)
        if pixel and 0 < flat_train[:, pixel].sum() < len(train):
            regression = sklearn.linear_model.LogisticRegression(C=0.3, max_iter=1000)
            regression.fit(flat_train[:, :pixel], flat_train[:, pixel])
            mean = regression.predict_proba(flat_test[:, :pixel])[:, 1]
        baseline -= np.mean(np.log(np.where(flat_test[:, pixel], mean, 1.0 - mean)))
    model = tfgen.create("pixel_rnn_row", image_shape=(8, 8, 1), levels=2, width=16, layers=2, kernel_size=5)
    rate = keras.optimizers.schedules.CosineDecay(4e-3, 10 * 45)
    model.compile(keras.optimizers.Adam(rate), steps_per_execution=15)
    model.fit(train, batch_size=32, epochs=10, verbose=0)
    nats = model.evaluate(test, return_dict=True, verbose=0)["nats"]
    assert nats < baseline
