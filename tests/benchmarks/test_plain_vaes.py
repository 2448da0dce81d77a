"""The columns of benchmarks/training.py compute the same numbers, or their times could not be compared."""

import importlib
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from benchmarks import plain_vaes
from tfgen.specs import Images

# Two features to a group of the norms, so that a wrong order of features would show.
WIDTH, BATCH = 16, 3
LEVELS = np.random.default_rng(0).integers(0, 2, (BATCH, *plain_vaes.SHAPE), np.uint8)


@pytest.fixture(params=["vae", "conv_vae"])
def id(request):
    return request.param


@pytest.fixture
def ours(id):
    model = tfgen.create(
        id, example=Images(plain_vaes.SHAPE, plain_vaes.LEVELS), **plain_vaes.arguments(id, WIDTH), seed=3
    )
    # Zeros and ones, as biases and scales begin, would hide one that is left out or stands at another place.
    draws = np.random.default_rng(1)
    for weight in (*model.encoder.weights, *model.decoder.weights):
        weight.assign_add(draws.normal(size=weight.shape, scale=0.05))
    return model


def answers(model, epsilon=None):
    """Returns rate and distortion, and the norms of the gradients of their sum, of each weight."""
    weights = [weight.value for weight in (*model.encoder.trainable_weights, *model.decoder.trainable_weights)]
    with tf.GradientTape() as tape:
        if epsilon is None:
            rate, distortion = model.terms({"image": tf.constant(LEVELS)}).values()
        else:
            rate, distortion = model.terms(LEVELS, epsilon)
        loss = rate + distortion
    return [rate.numpy(), distortion.numpy()], [np.linalg.norm(gradient) for gradient in tape.gradient(loss, weights)]


def noise_of(model, monkeypatch):
    """Holds the model's seed, and returns the standard normal noise that it makes of it."""
    monkeypatch.setattr(model, "seed", lambda: tf.constant([5, 6]))
    of_z = tf.random.split(model.seed(), 2, alg="philox")[0]
    q = model.posterior(tf.constant(LEVELS))
    return (q.sample(seed=of_z) - q.mean()) / q.stddev()


def check(theirs, ours):
    (losses, norms), (of_ours, norms_of_ours) = theirs, ours
    np.testing.assert_allclose(losses, of_ours, rtol=1e-5)
    # A bias before a norm over all of its pixels would have a gradient of 0, but for rounding.
    np.testing.assert_allclose(norms, norms_of_ours, rtol=1e-4, atol=1e-5 * max(norms_of_ours))


def test_plain_keras_has_the_loss_and_the_gradients_of_tfgen_for_the_same_weights_and_noise(id, ours, monkeypatch):
    plain = plain_vaes.plain_keras(id, WIDTH)
    for role in plain_vaes.NETWORKS:
        getattr(plain, role).set_weights(getattr(ours, role).get_weights())
    check(answers(plain, noise_of(ours, monkeypatch)), answers(ours))


def test_torch_has_the_loss_and_the_gradients_of_tfgen_for_the_same_weights_and_noise(id, ours, monkeypatch):
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    plain = plain_vaes.plain_torch(id, WIDTH)
    torch.set_num_threads(threads)
    for role in plain_vaes.NETWORKS:
        for weight, array in zip(getattr(plain, role).parameters(), laid_out(getattr(ours, role)), strict=True):
            weight.data.copy_(torch.from_numpy(np.ascontiguousarray(array)))
    parts = plain.terms(LEVELS, torch.from_numpy(noise_of(ours, monkeypatch).numpy()))
    sum(parts).backward()
    weights = [*plain.encoder.parameters(), *plain.decoder.parameters()]
    norms = [weight.grad.norm().item() for weight in weights]
    check(([part.item() for part in parts], norms), answers(ours))


def test_networks_of_other_sizes_are_refused(capsys, monkeypatch):
    # As a script it finds its neighbours beside it.
    monkeypatch.syspath_prepend(str(pathlib.Path(plain_vaes.__file__).parent))
    training = importlib.import_module("benchmarks.training")
    equal = {name: plain_vaes.plain_keras("vae", None) for name in ("tfgen", "Keras")}
    training.check_networks("vae", equal)
    assert capsys.readouterr().out.count("217,300") == 2
    other = keras.Sequential([keras.Input((784,)), keras.layers.Dense(300), keras.layers.Dense(100)])
    equal["Keras"].encoder = other
    with pytest.raises(SystemExit, match="differ in the encoder"):
        training.check_networks("vae", equal)


def laid_out(network):
    """Returns the weights of a Keras network with their axes as torch has them."""
    arrays = [weight.numpy() for weight in network.trainable_weights]
    convolutional = any(array.ndim == 4 for array in arrays)
    for index, array in enumerate(arrays):
        # Flat pictures of 4x4 stand as (height, width, features) in Keras, and as (features, height, width) in torch.
        if array.ndim == 2 and convolutional and network.name == "encoder":
            array = array.reshape(4, 4, -1, array.shape[1]).transpose(2, 0, 1, 3).reshape(array.shape)
        elif array.ndim == 2 and convolutional:
            array = array.reshape(len(array), 4, 4, -1).transpose(0, 3, 1, 2).reshape(array.shape)
            arrays[index + 1] = arrays[index + 1].reshape(4, 4, -1).transpose(2, 0, 1).ravel()
        if array.ndim > 1:
            arrays[index] = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
    return arrays
