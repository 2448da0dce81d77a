"""Proofs of began."""

import functools

import keras
import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf

import tfgen
from tests.zoo.adversarial_proofs import digit_generator
from tfgen.errors import InputError
from tfgen.networks import AutoEncoder, mlp, mlp_auto_encoder
from tfgen.specs import Images, Points


@functools.cache
def on_digits(gamma: float, seed: int = 0):
    """Returns a model that was trained for 3000 steps, its history of four quarters, and the digits."""
    keras.utils.set_random_seed(seed)
    x = sklearn.datasets.load_digits().images.astype(np.uint8)[..., None]
    shape = x.shape[1:]
    networks = {
        "generator": digit_generator(32),
        "discriminator": mlp_auto_encoder(shape, 16, hidden=(128,), activation="elu"),
    }
    model = tfgen.create(
        "began", example=Images(shape, 17), latent_size=32, gamma=gamma, gain=0.01, seed=seed, **networks
    )
    model.compile(keras.optimizers.Adam(5e-4, beta_1=0.5), steps_per_execution=25)
    rows = np.random.default_rng(seed).integers(len(x), size=(4, 64 * 750))
    histories = [model.fit(x[quarter], batch_size=64, verbose=0).history for quarter in rows]
    return model, {name: np.array([history[name][0] for history in histories]) for name in histories[0]}, x


@pytest.mark.slow
@pytest.mark.parametrize("gamma", [0.3, 0.7])
def test_the_losses_are_held_in_balance_and_the_measure_of_convergence_falls(gamma):
    _, history, _ = on_digits(gamma)
    ratio = history["generator_restored"][-1] / history["discriminator_real"][-1]
    assert ratio == pytest.approx(gamma, abs=0.03)
    assert (np.diff(history["convergence"]) < 0.0).all()
    assert 0.0 < history["k"][-1] < 1.0


@pytest.mark.slow
def test_a_higher_gamma_gives_more_diversity_and_a_stronger_balance():
    ks, spreads = [], []
    for gamma in (0.3, 0.7):
        model, history, x = on_digits(gamma)
        ks.append(history["k"][-1])
        spreads.append(np.std(model.sample(2000, seed=1), 0, dtype=np.float64).mean())
    assert ks == sorted(ks)
    assert spreads == sorted(spreads)
    assert spreads[-1] < np.std(x, 0, dtype=np.float64).mean()


def constant(value: float) -> keras.Model:
    """Returns a generator that gives three numbers of one value for every code."""
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(3)], name="generator")
    network.set_weights([np.zeros((1, 3)), np.full(3, value)])
    return network


def halving() -> AutoEncoder:
    """Returns an auto-encoder that gives back half of what it gets."""
    parts = []
    for scale, name in ((0.5, "encoder"), (1.0, "decoder")):
        parts.append(keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, use_bias=False)], name=name))
        parts[-1].set_weights([scale * np.eye(3)])
    return AutoEncoder(*parts)


def known(**arguments):
    networks = {"generator": constant(6.0), "discriminator": halving()}
    return tfgen.create("began", example=Points(3), latent_size=1, **networks, **arguments)


@pytest.mark.parametrize(("power", "of_real", "of_fake"), [(1.0, 1.0, 3.0), (2.0, 5.0 / 3.0, 9.0)])
def test_losses_are_means_over_what_an_example_consists_of(power, of_real, of_fake):
    model = known(power=power)
    model.k.assign(0.25)
    # Halved, the real points are off by 0, 1 and 2, the generated ones by 3 everywhere.
    batch = {"point": tf.constant([[0.0, 2.0, -4.0]] * 4)}
    with model._step_of(1):
        terms = model.discriminator_terms(batch) | model.generator_terms(batch)
    assert float(terms["real"]) == pytest.approx(of_real)
    assert float(terms["fake"]) == pytest.approx(-0.25 * of_fake)
    assert float(terms["restored"]) == pytest.approx(of_fake)
    np.testing.assert_allclose(model.discriminate(batch["point"].numpy()), [of_real] * 4, rtol=1e-6)


def test_k_grows_while_generated_examples_are_restored_too_well_and_stays_within_0_and_1():
    model = known(gamma=0.5, gain=0.1)
    discriminator, generator = model.players()
    for real, restored, expected in [
        (2.0, 0.5, 0.05),  # 0.1 (0.5 * 2 - 0.5)
        (4.0, 0.0, 0.25),
        (1.0, 1.5, 0.15),
        (1.0, 9.0, 0.0),
        (30.0, 0.0, 1.0),
    ]:
        before = float(model.k.numpy())
        model.after_move(discriminator, {"real": tf.constant(real), "fake": tf.constant(-77.0)})
        assert float(model.k.numpy()) == before
        model.after_move(generator, {"restored": tf.constant(restored)})
        assert float(model.k.numpy()) == pytest.approx(expected, abs=1e-6)


def test_a_step_reports_k_and_the_measure_of_convergence():
    model = known(gamma=0.5, gain=0.01)
    # Real points are off by 2 on average, generated ones by 3.
    x = np.full((8, 3), 4.0, np.float32)
    model.compile({"discriminator": keras.optimizers.SGD(0.0), "generator": keras.optimizers.SGD(0.0)})
    model.k.assign(0.5)
    history = model.fit(x, batch_size=8, verbose=0).history
    assert history["discriminator_real"] == [2.0]
    assert history["generator_restored"] == [3.0]
    assert history["convergence"] == [2.0 + abs(0.5 * 2.0 - 3.0)]
    assert history["k"] == pytest.approx([0.5 + 0.01 * (0.5 * 2.0 - 3.0)])
    figures = model.evaluate(2.0 * x, verbose=0, return_dict=True)
    assert figures["convergence"] == 4.0 + abs(0.5 * 4.0 - 3.0)
    assert figures["k"] == pytest.approx(history["k"][0])


def test_the_generator_has_the_shape_of_the_decoder_and_weights_of_its_own():
    model = tfgen.create("began", example=Images((16, 16, 1)), latent_size=5, width=4)
    ours, theirs = model.generator.weights, model.discriminator.decoder.weights
    assert [weight.shape for weight in ours] == [weight.shape for weight in theirs]
    assert not {id(weight) for weight in ours} & {id(weight) for weight in theirs}


def test_examples_are_encoded_and_restored_by_the_discriminator():
    model = tfgen.create("began", example=Images((8, 8, 1), 17), latent_size=4, width=4, code_size=3)
    x = np.random.default_rng(0).integers(0, 17, (5, 8, 8, 1)).astype(np.uint8)
    seen = model.example.to_network(x)
    assert model.encode(x).shape == (5, 3)
    np.testing.assert_allclose(model.encode(x), model.discriminator.encoder(seen), atol=1e-5)
    np.testing.assert_array_equal(model.reconstruct(x), model.example.from_network(model.discriminator(seen)))


def test_codes_are_uniform():
    z = known().latent_prior().sample(4000, seed=(0, 1)).numpy()
    assert -1.0 <= z.min() < -0.99 and 0.99 < z.max() <= 1.0


@pytest.mark.parametrize(
    ("discriminator", "message"),
    [
        (mlp((3,), (3,), hidden=(4,), name="discriminator"), "pass tfgen.networks.AutoEncoder"),
        (mlp_auto_encoder((4,), 1, hidden=(4,)), "does not take inputs of shape"),
        (AutoEncoder(mlp((3,), (1,), hidden=(), name="e"), mlp((1,), (2,), hidden=(), name="d")), "gives shape"),
        (AutoEncoder(mlp((3,), (1,), hidden=(), name="e"), mlp((2,), (3,), hidden=(), name="d")), "does not take"),
    ],
)
def test_a_discriminator_that_is_no_auto_encoder_of_examples_is_refused(discriminator, message):
    with pytest.raises(InputError, match=message):
        tfgen.create("began", example=Points(3), latent_size=1, discriminator=discriminator)
