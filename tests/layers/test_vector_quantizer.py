"""Proofs of the codebook: whose gradient goes where, and that its averages are k-means."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.layers import VectorQuantizer

SEED = (0, 1)


def quantizer(codes, **options):
    """Returns a layer whose codes are given, as if each had been the code of one vector."""
    codes = np.asarray(codes, np.float32)
    layer = VectorQuantizer(*codes.shape, **options)
    layer.codebook.assign(codes)
    if not layer.by_gradient:
        layer.sums.assign(codes)
    return layer


def vectors(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def nearest(z, codes):
    """Returns the nearest code of each vector, in float64 from the differences."""
    z, codes = np.asarray(z, np.float64), np.asarray(codes, np.float64)
    return np.square(z[..., None, :] - codes).sum(-1).argmin(-1)


@pytest.mark.parametrize("offset", [0.0, 3000.0])
def test_a_vector_gets_its_nearest_code_however_far_the_codes_are_from_zero(offset):
    z, codes = vectors(5, 4, 3, 6) + np.float32(offset), vectors(40, 6, seed=1) + np.float32(offset)
    layer = quantizer(codes)
    k = layer.nearest(z)
    assert k.dtype == tf.int32
    np.testing.assert_array_equal(k, nearest(z, codes))
    np.testing.assert_array_equal(layer(z), codes[k])
    np.testing.assert_array_equal(layer.lookup(k), codes[k])


def test_half_precision_does_not_reach_the_distances():
    codes = np.float32([[1.0], [1.001], [1.002], [1.003]])  # all the same in bfloat16
    layer = quantizer(codes, dtype="mixed_bfloat16")
    z = tf.constant([[3.0], [-3.0]], tf.bfloat16)
    np.testing.assert_array_equal(layer.nearest(z), [3, 0])
    assert layer(z).dtype == layer.codebook.value.dtype == tf.float32
    np.testing.assert_array_equal(layer(z), codes[[3, 0]])


@pytest.mark.parametrize("by_gradient", [False, True])
def test_each_loss_moves_what_it_is_for(by_gradient):
    codes, z = np.float32([[0.0, 0.0], [4.0, 0.0], [0.0, 9.0]]), tf.constant([[1.0, 1.0], [3.0, -1.0], [0.5, 0.0]])
    layer, used = quantizer(codes, by_gradient=by_gradient), np.array([0, 1, 0])
    into = vectors(3, 2, seed=3)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([z, layer.codebook.value])
        k = layer.nearest(z)
        rec = tf.reduce_sum(into * tf.tanh(layer.straight_through(z, k)))
        codebook, commitment = (tf.reduce_sum(loss(z, k)) for loss in (layer.codebook_loss, layer.commitment))
    np.testing.assert_array_equal(k, used)
    e, book = codes[used], layer.codebook.value
    # The reconstruction: as if z were z_q, and nothing to the codes.
    np.testing.assert_allclose(tape.gradient(rec, z), into * (1 - np.tanh(e) ** 2), atol=1e-6)
    assert tape.gradient(rec, book) is None
    assert tape.gradient(codebook, z) is None
    expected = np.zeros_like(codes)
    np.add.at(expected, used, 2 * (e - z.numpy()))
    np.testing.assert_allclose(tf.convert_to_tensor(tape.gradient(codebook, book)), expected, rtol=1e-6)
    assert not expected[2].any()
    assert tape.gradient(commitment, book) is None
    np.testing.assert_allclose(tape.gradient(commitment, z), 2 * (z.numpy() - e), rtol=1e-6)
    np.testing.assert_allclose(layer.commitment(z, k), layer.codebook_loss(z, k))
    assert bool(layer.trainable_weights) == by_gradient


def test_without_memory_the_averages_are_a_step_of_k_means():
    z, codes = vectors(200, 3), vectors(4, 3, seed=1)
    layer = quantizer(codes, decay=0.0, restart=0.0)
    k = nearest(z, codes)
    layer.update(z.reshape(10, 20, 3), k.reshape(10, 20).astype(np.int32), SEED)
    expected = np.stack([z[k == j].mean(0) for j in range(4)])
    np.testing.assert_allclose(layer.codebook, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.usage, np.bincount(k, minlength=4))


def test_the_averages_are_those_of_the_paper():
    decay, epsilon, K = 0.9, 0.1, 3
    codes = vectors(K, 2, seed=5)
    layer = quantizer(codes, decay=decay, epsilon=epsilon, restart=0.0)
    count, sums = np.ones(K), codes.astype(np.float64)
    for step in range(3):
        z = vectors(6, 2, seed=10 + step)
        k = nearest(z, layer.codebook)
        layer.update(z, k.astype(np.int32), SEED)
        count = decay * count + (1 - decay) * np.bincount(k, minlength=K)
        near = np.zeros((K, 2))
        np.add.at(near, k, z)
        sums = decay * sums + (1 - decay) * near
        total = count.sum()
        smoothed = (count + epsilon) / (total + K * epsilon) * total
        np.testing.assert_allclose(layer.codebook, sums / smoothed[:, None], rtol=1e-5)
        np.testing.assert_allclose(layer.usage, count, rtol=1e-6)


def blobs(seed=0):
    means = np.float32([[10.0, 0.0], [-10.0, 0.0], [0.0, 10.0], [0.0, -10.0]])
    of = np.random.default_rng(seed).integers(0, 4, 400)
    z = means[of] + 0.1 * vectors(400, 2, seed=seed)
    return z, np.stack([z[of == j].mean(0) for j in range(4)])


@pytest.mark.parametrize("by_gradient", [False, True])
def test_codes_converge_to_the_means_of_clusters(by_gradient):
    z, means = blobs()
    layer = quantizer(0.4 * means + vectors(4, 2), by_gradient=by_gradient, decay=0.9)
    optimizer = keras.optimizers.SGD(0.2)
    for step in range(150):
        with tf.GradientTape() as tape:
            k = layer.nearest(z)
            loss = tf.reduce_mean(layer.codebook_loss(z, k))
        if by_gradient:
            optimizer.apply(tape.gradient(loss, [layer.codebook.value]), [layer.codebook])
        layer.update(z, k, (0, step))
    found = layer.codebook.numpy()[nearest(means, layer.codebook)]
    np.testing.assert_allclose(found, means, atol=1e-2)


def test_codes_begin_as_vectors_of_the_first_batch():
    z, layer = vectors(10, 3, 2), VectorQuantizer(7, 2)
    layer.initialize(z, SEED)
    codebook = layer.codebook.numpy()
    distances = np.abs(codebook[:, None] - z.reshape(-1, 2)).sum(-1)
    assert (distances.min(1) == 0).all()
    assert len(set(distances.argmin(1))) == 7
    np.testing.assert_array_equal(layer.usage, np.bincount(nearest(z, codebook).ravel(), minlength=7))
    np.testing.assert_allclose(layer.sums, layer.usage.numpy()[:, None] * codebook)
    layer.initialize(vectors(10, 3, 2, seed=4), (5, 5))
    np.testing.assert_array_equal(layer.codebook, codebook)


@pytest.mark.parametrize("by_gradient", [False, True])
def test_more_codes_than_vectors_begin_as_all_of_them(by_gradient):
    z, layer = vectors(3, 2), VectorQuantizer(8, 2, by_gradient=by_gradient)
    layer.initialize(z, SEED)
    assert {tuple(code) for code in layer.codebook.numpy()} == {tuple(vector) for vector in z}


@pytest.mark.parametrize("by_gradient", [False, True])
def test_a_code_out_of_use_is_put_onto_a_vector_and_the_others_stay(by_gradient):
    codes = np.float32([[0.0, 0.0], [1.0, 1.0], [500.0, 500.0]])
    z = np.concatenate([0.01 * vectors(30, 2), 1.0 + 0.01 * vectors(30, 2, seed=1)])
    layer = quantizer(codes, by_gradient=by_gradient, decay=0.5, restart=0.1)
    before, steps = layer.codebook.numpy(), 0
    while layer.codebook.numpy()[2, 0] > 400.0:
        former = layer.usage.numpy()
        layer.update(z, layer.nearest(z), (0, steps))
        steps += 1
        assert steps < 20
    usage = 0.5 * former + 0.5 * np.array([30, 30, 0])
    assert usage[2] < 0.1 * usage.mean()
    assert steps == 1 or former[2] >= 0.1 * former.mean()
    assert (np.abs(z - layer.codebook.numpy()[2]).max(1) < 1e-4).any()
    np.testing.assert_allclose(layer.codebook.numpy()[:2], before[:2], atol=0.05)
    assert layer.usage.numpy()[2] == pytest.approx(usage.mean(), rel=1e-5)
    # What its average is of does not pull it back.
    layer.update(z, layer.nearest(z), (0, 99))
    assert np.abs(layer.codebook.numpy()[2]).max() < 1.1


def test_a_code_out_of_use_can_also_stay_where_it_is():
    layer = quantizer([[0.0, 0.0], [5.0, 3.0]], decay=0.5, restart=0.0)
    z = vectors(20, 2)
    for step in range(60):
        layer.update(z, np.zeros(20, np.int32), (0, step))
    # Down to the count that is smoothed away it is the ratio of two averages that fall alike.
    np.testing.assert_allclose(layer.codebook.numpy()[1], [5.0, 3.0], rtol=0.6)
    assert layer.usage.numpy()[1] < 1e-6


def test_perplexity_is_the_number_of_codes_that_are_used_alike():
    layer = VectorQuantizer(8, 2)
    for usage, expected in ((np.ones(8), 8.0), (np.eye(8)[3], 1.0), (np.repeat([5.0, 0.0], 4), 4.0)):
        layer.usage.assign(usage)
        assert float(layer.perplexity()) == pytest.approx(expected, rel=1e-6)
    layer.usage.assign([1.0, 3.0, 0, 0, 0, 0, 0, 0])
    entropy = -0.25 * np.log(0.25) - 0.75 * np.log(0.75)
    assert float(layer.perplexity()) == pytest.approx(np.exp(entropy), rel=1e-6)


def test_use_changes_nothing_and_all_is_saved(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 3)), VectorQuantizer(6, 3, decay=0.8, epsilon=1e-3, restart=0.1)])
    layer, z = model.layers[0], vectors(2, 4, 4, 3)
    layer.initialize(z, SEED)
    layer.update(z, layer.nearest(z), SEED)
    state = [weight.numpy() for weight in layer.weights]
    answer = model(z, training=True)
    for weight, before in zip(layer.weights, state, strict=True):
        np.testing.assert_array_equal(weight, before)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].get_config() == layer.get_config()
    for weight, before in zip(loaded.layers[0].weights, state, strict=True):
        np.testing.assert_array_equal(weight, before)
    np.testing.assert_array_equal(loaded(z), answer)
    loaded.layers[0].initialize(vectors(2, 4, 4, 3, seed=9), SEED)  # it has begun already
    np.testing.assert_array_equal(loaded.layers[0].codebook, layer.codebook)


def test_a_graph_of_any_batch_size_updates_as_python_does():
    layers = [VectorQuantizer(5, 2, decay=0.5, restart=0.2) for _ in range(2)]
    layers[1].codebook.assign(layers[0].codebook)

    def step(layer, z):
        layer.initialize(z, SEED)
        layer.update(z, layer.nearest(z), SEED)

    compiled = tf.function(lambda z: step(layers[1], z), input_signature=[tf.TensorSpec((None, 2))], autograph=False)
    for count in (4, 9):
        step(layers[0], vectors(count, 2, seed=count))
        compiled(vectors(count, 2, seed=count))
        for one, other in zip(layers[0].weights, layers[1].weights, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, err_msg=one.path)


def test_sizes_that_make_no_codebook_are_refused():
    with pytest.raises(InputError, match="0 codes of 2 numbers"):
        VectorQuantizer(0, 2)
    with pytest.raises(InputError, match="decay 1.0"):
        VectorQuantizer(2, 2, decay=1.0)
