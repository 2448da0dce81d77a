"""The doctor: every fault is provoked, and named."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.zoo.adversarial_proofs import RING, line
from tfgen.callbacks import Doctor, HistoryLog, ScalarLog, read_history
from tfgen.data.mixtures import ring
from tfgen.models import AdversarialModel
from tfgen.networks import mlp
from tfgen.specs import Points
from tfgen.training.doctor import nearest_distance

NORMAL = np.random.default_rng(0).normal(size=(512, 1)).astype(np.float32)
POINTS = RING.sample(512, (0,))[0]
STILL = {"discriminator": keras.optimizers.SGD(0.0), "generator": keras.optimizers.SGD(0.0)}


def treat(model, doctor: Doctor, x, *, optimizers=None, epochs: int = 1, callbacks=(), **compile_arguments):
    """Trains, and returns the history."""
    model.compile(STILL if optimizers is None else optimizers, **compile_arguments)
    return model.fit(x, batch_size=64, epochs=epochs, verbose=0, callbacks=[*callbacks, doctor]).history


def plane(weight: float, bias: float) -> keras.Model:
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    network.set_weights([np.full((1, 1), weight), np.full(1, bias)])
    return network


def test_a_healthy_game_has_nothing_wrong(capsys):
    model = tfgen.create(
        "gan", example=Points(1), latent_size=1, generator=line(0.0, 1.0), discriminator=plane(0.0, 0.0)
    )
    doctor = Doctor(NORMAL)
    history = treat(model, doctor, NORMAL)
    assert doctor.diagnosis.startswith("nothing wrong")
    assert "doctor, epoch 1: nothing wrong" in capsys.readouterr().out
    assert history["diversity"][0] == pytest.approx(1.0, abs=0.3)
    # A discriminator that says 0 to everything tells nothing.
    assert (history["real_accuracy"], history["fake_accuracy"]) == ([0.5], [0.5])


def test_a_winning_discriminator_is_named():
    # q = N(20, 1), and D has its boundary at 10.
    model = tfgen.create(
        "gan", example=Points(1), latent_size=1, generator=line(20.0, 1.0), discriminator=plane(-1.0, 10.0)
    )
    doctor = Doctor(NORMAL)
    history = treat(model, doctor, NORMAL)
    assert doctor.diagnosis.startswith("the discriminator wins: it tells 100% of real and 100% of generated")
    # Where D is sure, the gradient of -log D is that of -logit = x - 10: 1 for the shift, the mean of z for the scale.
    assert history["generator_gradient"][0] == pytest.approx(1.0, rel=0.05)


def test_a_critic_without_a_boundary_is_judged_by_the_median():
    networks = {"generator": line(20.0, 1.0), "discriminator": plane(-1.0, 1000.0)}
    model = tfgen.create("wgan", example=Points(1), latent_size=1, discriminator_steps=1, clip=1e9, **networks)
    history = treat(model, Doctor(NORMAL), NORMAL)
    assert (history["real_accuracy"], history["fake_accuracy"]) == ([1.0], [1.0])


def test_a_collapsed_generator_is_named_by_how_alike_its_samples_are():
    model = tfgen.create(
        "gan", example=Points(1), latent_size=1, generator=line(0.0, 1e-3), discriminator=plane(0.0, 0.0)
    )
    doctor = Doctor(NORMAL)
    treat(model, doctor, NORMAL)
    assert doctor.diagnosis.startswith("the generator has collapsed: samples are 0.00 times as far apart")


def on_modes(count: int) -> keras.Model:
    """Returns a generator of the ring's first modes, chosen by the first number of a code."""
    ends = np.linspace(-1.0, 1.0, count + 1)[1:-1]

    def place(z):
        number = tf.reduce_sum(tf.cast(z[:, :1] > tf.constant(ends, tf.float32), tf.int32), 1)
        return tf.gather(tf.constant(RING.modes), number) + RING.sigma * z[:, 1:]

    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Lambda(place), keras.layers.Dense(2, "linear", False, "identity")]
    )


def test_missing_modes_are_counted():
    model = tfgen.create("gan", example=Points(2), latent_size=3, generator=on_modes(3))
    doctor = Doctor(POINTS, mixture=ring())
    history = treat(model, doctor, POINTS)
    assert doctor.diagnosis.startswith("the generator has collapsed: 3 of 8 modes")
    assert history["modes"] == [3.0]
    assert history["high_quality"][0] > 0.99


def test_a_discriminator_that_is_too_weak_is_named():
    # Points everywhere between the modes, and a discriminator that cannot see.
    wide = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(2, "linear", False, "identity"), keras.layers.Rescaling(2.0)]
    )
    blind = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model = tfgen.create("gan", example=Points(2), latent_size=2, generator=wide, discriminator=blind)
    doctor = Doctor(POINTS, mixture=ring(sigma=0.1))
    treat(model, doctor, POINTS)
    assert doctor.diagnosis.startswith("the discriminator is too weak: it tells 50% of real and 50% of generated")


def test_samples_that_a_good_discriminator_sees_off_the_modes_are_named():
    far = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, "linear", False, "identity")])
    plane = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    model = tfgen.create("gan", example=Points(2), latent_size=2, generator=far, discriminator=plane)
    doctor = Doctor(POINTS, mixture=ring())
    figures = {"real_accuracy": 0.8, "fake_accuracy": 0.8, "diversity": 1.0, "modes": 0.0, "high_quality": 0.01}
    doctor.set_model(model)
    gradients = {"discriminator_gradient": 1.0, "generator_gradient": 1.0}
    assert doctor.diagnose(figures | gradients).startswith("the generator is not there yet: 0 of 8 modes, only 1% of")


def test_an_exploding_gradient_is_named():
    model = tfgen.create(
        "lsgan", example=Points(1), latent_size=1, generator=line(0.0, 1.0), discriminator=plane(0.1, 0.0)
    )

    def blow_up(epoch, logs):
        if epoch == 1:
            model.discriminator.set_weights([np.full((1, 1), 1e4), np.zeros(1)])

    doctor = Doctor(NORMAL)
    treat(model, doctor, NORMAL, epochs=2, callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=blow_up)])
    assert doctor.diagnosis.startswith("the discriminator's gradient explodes: its norm is")


def test_a_penalty_that_drowns_the_rest_is_named():
    model = tfgen.create(
        "wgan_gp", example=Points(1), latent_size=1, generator=line(0.5, 1.0), penalty=1e5, discriminator_steps=1
    )
    doctor = Doctor(NORMAL)
    history = treat(model, doctor, NORMAL)
    assert doctor.diagnosis.startswith("the discriminator is busy with its penalty")
    assert history["discriminator_penalty_gradient"][0] > 100.0 * history["discriminator_wasserstein_gradient"][0]


# NaN.


def batches(*values: float) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(np.array(values, np.float32)[:, None, None]).repeat(1)


def test_a_nan_in_the_data_is_found_at_its_step_and_moves_nothing():
    model = tfgen.create(
        "gan", example=Points(1), latent_size=1, generator=line(0.0, 1.0), discriminator=plane(1.0, 0.0)
    )
    doctor = Doctor(NORMAL)
    treat(model, doctor, batches(0.0, 1.0, np.nan, 2.0), optimizers="sgd")
    assert (doctor.fault.step, doctor.fault.player, doctor.fault.term) == (3, "discriminator", "real")
    assert doctor.fault.tensor == "'point' of the batch"
    assert "step 3: 'real' of the discriminator is no longer finite" in doctor.diagnosis
    assert np.isfinite(np.concatenate([np.ravel(w) for w in model.get_weights()])).all()


@keras.saving.register_keras_serializable("tests")
class Rooted(AdversarialModel):
    """Its generator's second term is finite, but its gradient is not where the mean of the batch is 0."""

    def __init__(self, *, generator, discriminator, **kwargs):
        networks = {"generator": generator, "discriminator": discriminator}
        super().__init__(example=Points(1), latent_size=1, **networks, **kwargs)

    def discriminator_terms(self, batch):
        return {"score": tf.reduce_mean(self.score(self.real(batch)))}

    def generator_terms(self, batch):
        fake = self.fake(batch)
        return {"first": tf.reduce_mean(fake), "root": tf.sqrt(tf.reduce_mean(batch["point"]) * tf.reduce_sum(fake**2))}

    def default_optimizers(self):
        return STILL


def test_the_term_with_a_bad_gradient_is_named_with_its_variable():
    model = Rooted(generator=line(0.0, 1.0), discriminator=plane(1.0, 0.0))
    doctor = Doctor(np.abs(NORMAL))
    treat(model, doctor, batches(1.0, 2.0, 0.0, 1.0), optimizers="sgd")
    assert (doctor.fault.step, doctor.fault.player, doctor.fault.term) == (3, "generator", "root")
    assert doctor.fault.tensor.startswith("the gradient of 'root' for ")
    assert np.isfinite(np.concatenate([np.ravel(w) for w in model.get_weights()])).all()


def test_a_bad_weight_is_named():
    model = tfgen.create(
        "gan", example=Points(1), latent_size=1, generator=line(0.0, 1.0), discriminator=plane(1.0, 0.0)
    )

    def spoil(batch, logs):
        if batch == 1:
            model.discriminator.layers[-1].bias.assign([np.inf])

    doctor = Doctor(NORMAL)
    spoiler = keras.callbacks.LambdaCallback(on_train_batch_begin=spoil)
    treat(model, doctor, batches(1.0, 2.0, 3.0), optimizers="sgd", callbacks=[spoiler])
    assert doctor.fault.step == 2
    assert doctor.fault.tensor == f"the weight {model.discriminator.layers[-1].bias.path}"


def test_the_first_fault_of_several_steps_in_one_execution_is_the_one_that_is_told():
    model = tfgen.create(
        "gan", example=Points(1), latent_size=1, generator=line(0.0, 1.0), discriminator=plane(1.0, 0.0)
    )
    doctor = Doctor(NORMAL)
    treat(model, doctor, batches(0.0, np.nan, np.inf, 2.0), optimizers="sgd", steps_per_execution=4)
    assert doctor.fault.step == 2


def test_overflow_that_the_loss_scale_is_for_is_no_fault():
    dtype = "mixed_float16"
    networks = {
        "generator": mlp((1,), (1,), hidden=(4,), name="generator", dtype=dtype),
        "discriminator": mlp((1,), (1,), hidden=(4,), name="discriminator", dtype=dtype),
    }
    model = tfgen.create("gan", example=Points(1), latent_size=1, dtype=dtype, **networks)
    doctor = Doctor(NORMAL)
    model.compile("sgd")
    # Far too high: the first steps overflow until the scale has been halved often enough.
    for optimizer in model.optimizers.values():
        optimizer.dynamic_scale.assign(2.0**30)
    model.fit(NORMAL, batch_size=64, verbose=0, callbacks=[doctor])
    assert doctor.fault is None


# What it leaves alone, and where it writes.


def test_looking_changes_nothing():
    def weights(callbacks):
        keras.utils.set_random_seed(0)
        model = tfgen.create("wgan_gp", example=Points(2), latent_size=2, width=8, seed=3)
        model.compile(ema=0.9)
        model.fit(POINTS, batch_size=64, epochs=2, verbose=0, callbacks=callbacks)
        return model.get_weights()

    for one, other in zip(weights([]), weights([Doctor(POINTS, ring())]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_figures_go_to_the_history_to_csv_and_to_tensorboard(tmp_path):
    model = tfgen.create("gan", example=Points(2), latent_size=2, width=8)
    model.compile(ema=0.5)
    doctor = Doctor(POINTS, ring(), verbose=False)
    logs = [HistoryLog(tmp_path / "history.csv"), ScalarLog(tmp_path / "board")]
    history = model.fit(POINTS, batch_size=64, epochs=2, verbose=0, callbacks=[doctor, *logs]).history
    names = {"real_accuracy", "diversity", "modes", "ema_modes", "ema_diversity", "generator_gradient"}
    assert names <= set(history)
    assert names <= set(read_history(tmp_path / "history.csv")[-1])
    events = [
        event for path in (tmp_path / "board").iterdir() for event in tf.compat.v1.train.summary_iterator(str(path))
    ]
    assert names <= {value.tag for event in events for value in event.summary.value}


def test_figures_of_averaged_weights_stand_beside_those_of_the_last_step():
    model = tfgen.create("gan", example=Points(2), latent_size=2, width=8)
    model.compile(ema=0.9)
    doctor = Doctor(POINTS, ring(), verbose=False)
    doctor.set_model(model)
    for network in (model.generator, model.discriminator):
        for weight in network.weights:
            weight.assign(tf.zeros_like(weight.value))
    figures = doctor.examine()
    assert figures["diversity"] == 0.0  # all samples are the same
    assert figures["ema_diversity"] > 0.1
    assert figures["real_accuracy"] == 0.5  # all scores are 0


def test_the_nearest_distance_of_known_points():
    x = np.array([[0.0, 0.0], [0.0, 3.0], [4.0, 0.0]])
    assert nearest_distance(x) == pytest.approx((3.0 + 3.0 + 4.0) / 3.0)
    assert nearest_distance(np.zeros((3, 2, 2))) == 0.0
