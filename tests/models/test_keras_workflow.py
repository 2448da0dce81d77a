"""Keras' own workflow on small models: a game of one player (vae) and of two (dcgan)."""

import csv
import io
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.errors import InputError
from tfgen.specs import Images

EXAMPLE = Images((8, 8, 1), 17)
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 17, (12, 8, 8, 1), np.uint8)
LABELS = RNG.integers(0, 10, 12)


def vae(**arguments):
    return tfgen.create("vae", **{"example": EXAMPLE, "latent_size": 2, "hidden": (8,)} | arguments)


def dcgan(**arguments):
    return tfgen.create("dcgan", **{"example": EXAMPLE, "latent_size": 2, "width": 4} | arguments)


def eager(model, *optimizer, **arguments):
    """Compiles a model to be computed op by op, which is quicker than a graph where few steps are taken."""
    model.compile(*optimizer, run_eagerly=True, **arguments)
    return model


def train(model, data=IMAGES, **arguments):
    return model.fit(data, **{"batch_size": 6, "shuffle": False, "verbose": 0} | arguments)


def assert_same_weights(a, b):
    assert len(a.weights) == len(b.weights) > 0
    for one, other in zip(a.weights, b.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)


def assert_same_optimizers(a, b):
    assert list(a.optimizers) == list(b.optimizers)
    for name, optimizer in a.optimizers.items():
        assert len(optimizer.variables) == len(b.optimizers[name].variables) > 2
        for one, other in zip(optimizer.variables, b.optimizers[name].variables, strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=f"{name}: {one.path}")


def copy_of(model):
    """Returns a model of the same weights that has not been trained yet."""
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy


# Data.

dataset = tf.data.Dataset.from_tensor_slices
FORMS = {
    "array": lambda: (IMAGES,),
    "array and labels": lambda: (IMAGES, LABELS),
    "pair": lambda: ((IMAGES, LABELS),),
    "tensor": lambda: (tf.constant(IMAGES),),
    "dict": lambda: ({"image": IMAGES, "label": LABELS, "more": np.zeros(12)},),
    "dataset of dicts": lambda: (dataset({"image": IMAGES, "label": LABELS}).batch(6),),
    "dataset of arrays": lambda: (dataset(IMAGES).batch(6),),
    "dataset of pairs": lambda: (dataset((IMAGES, LABELS)).batch(6),),
    "generator": lambda: (((IMAGES[at : at + 6], LABELS[at : at + 6]) for at in (0, 6)),),
}


@pytest.fixture(scope="module")
def untrained():
    return vae()


@pytest.fixture(scope="module")
def trained_on_arrays(untrained):
    model = eager(copy_of(untrained))
    train(model)
    return copy_of(model), model.evaluate(IMAGES, batch_size=6, verbose=0, return_dict=True)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_data_trains_and_measures_the_same(form, untrained, trained_on_arrays):
    expected, figures = trained_on_arrays
    model = eager(copy_of(untrained))
    size = {} if "dataset" in form or form == "generator" else {"batch_size": 6}
    model.fit(*FORMS[form](), **size, shuffle=False, verbose=0)
    assert_same_weights(model, expected)
    measured = model.evaluate(*FORMS[form](), **size, verbose=0, return_dict=True)
    assert measured == pytest.approx(figures, rel=1e-6)


def test_a_dataset_is_taken_without_a_warning_about_shuffling():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        eager(vae()).fit(dataset(IMAGES).batch(6), verbose=0)


@pytest.mark.parametrize(
    "held_out",
    [
        {"validation_data": IMAGES},
        {"validation_data": (IMAGES, LABELS)},
        {"validation_data": {"image": IMAGES}},
        {"validation_data": dataset({"image": IMAGES}).batch(7)},
        {"validation_split": 0.5},
    ],
    ids=["array", "pair", "dict", "dataset", "split"],
)
def test_validation_reports_every_term_and_figure(held_out):
    history = train(eager(vae()), **held_out).history
    terms = {"loss", "rate", "distortion"}
    figures = {"elbo", "elbo_se", "bits_per_dim", "bits_per_dim_se", "kl", "kl_se", "active_units"}
    assert set(history) == terms | {f"val_{name}" for name in terms | figures}
    assert all(len(values) == 1 and np.isfinite(values).all() for values in history.values())
    np.testing.assert_allclose(np.add(history["val_rate"], history["val_distortion"]), history["val_loss"], rtol=1e-5)


def test_validation_measures_what_evaluate_measures_afterwards():
    model = eager(vae())
    history = train(model, validation_data=IMAGES).history
    measured = model.evaluate(IMAGES, batch_size=6, verbose=0, return_dict=True)
    assert {name: values[0] for name, values in history.items() if name.startswith("val_")} == pytest.approx(
        {f"val_{name}": value for name, value in measured.items()}
    )


def test_two_players_report_their_terms_side_by_side():
    history = train(eager(dcgan()), validation_data=IMAGES).history
    discriminator = {"discriminator_loss", "discriminator_real", "discriminator_fake"}
    generator = {"generator_loss", "generator_fooling"}
    assert set(history) == {"loss"} | {
        f"{before}{name}" for before in ("", "val_") for name in discriminator | generator
    }
    for before in ("", "val_"):
        parts = np.add(history[f"{before}discriminator_real"], history[f"{before}discriminator_fake"])
        np.testing.assert_allclose(parts, history[f"{before}discriminator_loss"], rtol=1e-5)


def test_one_batch_is_trained_and_measured_as_in_keras():
    model = eager(vae())
    assert set(model.train_on_batch(IMAGES[:4], return_dict=True)) == {"loss", "rate", "distortion"}
    assert len(model.train_on_batch(IMAGES[:4], LABELS[:4])) == 3
    assert "elbo" in model.test_on_batch(IMAGES[:4], return_dict=True)


# Evaluation.


def test_evaluate_compiles_itself_and_gives_the_same_figures_each_time():
    model = vae()
    first = model.evaluate(IMAGES, batch_size=5, verbose=0, return_dict=True)
    assert model.evaluate(IMAGES, batch_size=5, verbose=0, return_dict=True) == first
    # As a list: the metrics in the order of model.metrics.
    listed = model.evaluate(IMAGES, batch_size=5, verbose=0)
    assert listed == pytest.approx([first[metric.name] for metric in model.metrics])
    train(model)
    assert model.evaluate(IMAGES, batch_size=5, verbose=0, return_dict=True) != first


# Callbacks.


def test_early_stopping_ends_training_and_brings_the_best_weights_back():
    model = eager(vae(), keras.optimizers.SGD(0.0))
    train(model)  # its decoder begins at the average of the first batch
    best = copy_of(model)
    stop = keras.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True, min_delta=1e-3)
    history = train(model, epochs=9, validation_data=IMAGES, callbacks=[stop]).history
    assert len(history["loss"]) == 2
    for network in ("encoder", "decoder"):
        assert_same_weights(getattr(model, network), getattr(best, network))


def test_model_checkpoint_writes_whole_models_and_weights(tmp_path):
    model = eager(vae(), ema=0.5)
    whole = keras.callbacks.ModelCheckpoint(
        tmp_path / "best.keras", monitor="val_elbo", mode="max", save_best_only=True
    )
    weights = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.weights.h5", save_weights_only=True)
    train(model, epochs=2, validation_data=IMAGES, callbacks=[whole, weights])
    loaded = tfgen.load_model(tmp_path / "best.keras")
    assert loaded.evaluate(IMAGES, verbose=0, return_dict=True)["elbo"] <= 0
    other = eager(vae(), ema=0.5)
    other.load_weights(tmp_path / "2.weights.h5")
    assert_same_weights(other, model)
    assert_same_optimizers(other, model)


def test_csv_logger_writes_a_row_per_epoch(tmp_path):
    history = train(eager(dcgan()), epochs=2, callbacks=[keras.callbacks.CSVLogger(tmp_path / "log.csv")]).history
    rows = list(csv.DictReader(io.StringIO((tmp_path / "log.csv").read_text())))
    assert [float(row["generator_fooling"]) for row in rows] == pytest.approx(history["generator_fooling"])


@pytest.mark.parametrize("make", [vae, dcgan])
def test_tensorboard_writes_metrics_learning_rates_and_histograms(make, tmp_path):
    model = make()
    callback = keras.callbacks.TensorBoard(tmp_path, histogram_freq=1, write_steps_per_second=True, update_freq="batch")
    train(model, epochs=2, validation_data=IMAGES, callbacks=[callback])
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*tfevents*"))
    for name in ["epoch_loss", "epoch_steps_per_second", "epoch_learning_rate"]:
        assert name.encode() in written
    for name in model.optimizers if make is dcgan else []:
        assert f"epoch_learning_rate_{name}".encode() in written


@pytest.mark.parametrize("make", [vae, dcgan])
def test_terminate_on_nan_stops_every_kind_of_game(make):
    model = make()
    eager(model)
    model.players()[-1].networks[0].trainable_weights[0].assign_add(
        tf.fill(model.players()[-1].networks[0].trainable_weights[0].shape, float("nan"))
    )
    history = train(model, epochs=5, callbacks=[keras.callbacks.TerminateOnNaN()]).history
    assert len(history["loss"]) == 1
    assert np.isnan(history["loss"])


@pytest.mark.parametrize("make", [vae, dcgan])
def test_the_learning_rates_of_all_players_follow_a_scheduler(make):
    model = eager(make(), "sgd")
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.5 * rate)
    history = train(model, epochs=2, callbacks=[schedule]).history
    assert [float(o.learning_rate) for o in model.optimizers.values()] == pytest.approx(
        [0.0025] * len(model.optimizers)
    )
    logged = [f"learning_rate_{name}" for name in model.optimizers] if make is dcgan else ["learning_rate"]
    for name in logged:
        assert history[name] == pytest.approx([0.005, 0.0025])


@pytest.mark.parametrize("make", [vae, dcgan])
def test_the_learning_rates_of_all_players_fall_on_a_plateau(make):
    optimizers = {name: keras.optimizers.SGD(0.1 * 2**-i) for i, name in enumerate(make().default_optimizers())}
    model = eager(make(), optimizers)
    callback = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    train(model, epochs=3, callbacks=[callback])
    # The first epoch sets the best; each of the others halves, and the ratio between the players stays.
    expected = [0.025 * 2**-i for i in range(len(optimizers))]
    assert [float(o.learning_rate) for o in model.optimizers.values()] == pytest.approx(expected)


# Ways to compute.


@pytest.mark.parametrize(("make", "how"), [(vae, {"run_eagerly": True}), (dcgan, {"jit_compile": True})])
def test_ways_to_compute_train_alike(make, how):
    plain = make()
    other = copy_of(plain)
    plain.compile(keras.optimizers.SGD(0.01))
    other.compile(keras.optimizers.SGD(0.01), **how)
    histories = [train(model, epochs=2).history for model in (plain, other)]
    assert set(histories[0]) == set(histories[1])
    tolerance = 2e-2 if "jit_compile" in how else 1e-4  # tfp draws other numbers under XLA
    for name, values in histories[0].items():
        np.testing.assert_allclose(values, histories[1][name], rtol=tolerance)


def test_training_does_not_trace_again_after_the_first_epoch():
    model = vae()
    traced = []
    terms = type(model).terms
    model.terms = lambda batch: traced.append(batch["image"].shape) or terms(model, batch)
    model.compile()
    batches = dataset({"image": IMAGES, "label": LABELS}).batch(5)  # the last batch has two
    model.fit(batches, validation_data=batches, verbose=0)
    first = len(traced)
    assert first <= 4  # training and testing, a full batch and the last
    model.fit(batches, validation_data=batches, epochs=3, verbose=0)
    model.fit(batches.take(1), verbose=0)
    model.evaluate(batches, verbose=0)
    assert len(traced) == first
    assert all(shape[1:] == EXAMPLE.shape for shape in traced)


def test_a_learning_rate_schedule_is_followed_and_saved(tmp_path):
    model = eager(vae(), keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.5, 2, 0.5, staircase=True)))
    train(model, epochs=2)  # four steps
    assert float(model.optimizer.learning_rate) == 0.125
    model.save(tmp_path / "model.keras")
    loaded = tfgen.load_model(tmp_path / "model.keras")
    assert float(loaded.optimizer.learning_rate) == 0.125
    train(loaded)
    assert float(loaded.optimizer.learning_rate) == 0.0625


# What a user sees.


@pytest.mark.parametrize("make", [vae, dcgan])
def test_summary_lists_networks_with_their_parameters(make):
    model = make()
    model.compile("adam")
    lines = []
    model.summary(print_fn=lambda text, **_: lines.append(text))
    text = "\n".join(lines)
    networks = [network for player in model.players() for network in player.networks if network.weights]
    for network in networks:
        assert network.name in text
        assert f"{network.count_params():,}" in text
    trainable = sum(network.count_params() for network in networks) - sum(
        int(np.prod(weight.shape)) for network in networks for weight in network.non_trainable_weights
    )
    assert f"Trainable params: {trainable:,}" in text
    # Adam keeps two numbers per weight, and its iterations and learning rate.
    assert f"Optimizer params: {2 * trainable + 2 * len(model.optimizers):,}" in text


def test_a_model_is_not_one_function():
    model = vae()
    for call in (model, model.predict):
        with pytest.raises(TypeError, match="vae.* is not one function; it offers .*reconstruct"):
            call(IMAGES)


# Networks of a user's own.


def own_networks():
    """A functional encoder with dropout and batch normalisation, and a sequential decoder."""
    x = inputs = keras.Input(EXAMPLE.shape)
    x = keras.layers.Conv2D(3, 3, 2, "same")(x)
    x = keras.layers.BatchNormalization(momentum=0.5)(x)
    x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(x))
    encoder = keras.Model(inputs, keras.layers.Dense(4)(x), name="own_encoder")
    decoder = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(16, "relu"),
            keras.layers.GaussianNoise(0.1),
            keras.layers.Dense(128),
            keras.layers.Reshape((8, 8, 2)),
        ]
    )
    return {"encoder": encoder, "decoder": decoder}


@pytest.fixture(scope="module")
def resumed_and_not(tmp_path_factory):
    """A model trained for two epochs, another for one and saved in two ways, and the folder of the files."""
    folder = tmp_path_factory.mktemp("resumed")
    made = []
    for _ in range(2):
        keras.utils.set_random_seed(0)  # of the weights, and of dropout and noise
        made.append(vae(**own_networks(), seed=3))
        made[-1].compile(ema=0.9)
    whole, half = made
    train(whole, epochs=2)
    train(half)
    half.save(folder / "half.keras")
    half.save_weights(folder / "half.weights.h5")
    return whole, half, folder


def test_training_uses_dropout_and_noise_and_sampling_does_not(resumed_and_not):
    whole, half, _ = resumed_and_not
    np.testing.assert_array_equal(whole.reconstruct(IMAGES), whole.reconstruct(IMAGES))
    moving = [weight for weight in half.encoder.weights if "moving" in weight.path]
    assert len(moving) == 2
    assert all(np.any(weight.numpy() != (1.0 if "variance" in weight.path else 0.0)) for weight in moving)


def test_own_networks_come_back_from_a_file(resumed_and_not):
    _, half, folder = resumed_and_not
    loaded = tfgen.load_model(folder / "half.keras")
    assert isinstance(loaded.encoder, keras.Model)
    assert isinstance(loaded.decoder, keras.Sequential)
    assert loaded.encoder.name == "own_encoder"
    assert [type(layer) for layer in loaded.decoder.layers] == [type(layer) for layer in half.decoder.layers]
    assert_same_weights(loaded, half)
    assert_same_optimizers(loaded, half)
    np.testing.assert_array_equal(loaded.sample(3, seed=1), half.sample(3, seed=1))


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(resumed_and_not):
    whole, _, folder = resumed_and_not
    keras.utils.set_random_seed(1)
    resumed = tfgen.load_model(folder / "half.keras")
    train(resumed, epochs=2, initial_epoch=1)
    assert_same_weights(resumed, whole)
    assert_same_optimizers(resumed, whole)
    np.testing.assert_array_equal(resumed.sample(3, seed=1), whole.sample(3, seed=1))


def test_a_run_resumed_from_weights_equals_an_uninterrupted_one_bit_for_bit(resumed_and_not):
    whole, _, folder = resumed_and_not
    keras.utils.set_random_seed(1)
    resumed = vae(**own_networks(), seed=3)
    resumed.compile(ema=0.9)
    resumed.load_weights(folder / "half.weights.h5")
    train(resumed, epochs=2, initial_epoch=1)
    assert_same_weights(resumed, whole)
    assert_same_optimizers(resumed, whole)


class Interruption(Exception):
    pass


class InterruptSecondEpoch(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations.numpy() == 3:
            raise Interruption


@pytest.mark.parametrize("make", [vae, dcgan])
def test_backup_and_restore_goes_on_bit_for_bit(make, tmp_path):
    whole = make()
    interrupted, restarted = copy_of(whole), copy_of(whole)
    for model in (whole, interrupted, restarted):
        eager(model)
    train(whole, epochs=2)
    with pytest.raises(Interruption):
        train(interrupted, epochs=2, callbacks=[keras.callbacks.BackupAndRestore(tmp_path), InterruptSecondEpoch()])
    history = train(restarted, epochs=2, callbacks=[keras.callbacks.BackupAndRestore(tmp_path)])
    assert history.epoch == [1]
    assert_same_weights(restarted, whole)
    assert_same_optimizers(restarted, whole)


def test_two_players_with_an_average_resume_bit_for_bit(tmp_path):
    whole = dcgan()
    half = copy_of(whole)
    for model in (whole, half):
        eager(model, {"discriminator": "sgd", "generator": keras.optimizers.Adam(0.01)}, ema={"generator": 0.5})
    train(whole, epochs=2)
    train(half)
    half.save(tmp_path / "half.keras")
    resumed = tfgen.load_model(tmp_path / "half.keras")
    assert resumed.run_eagerly
    assert list(resumed.averages) == ["generator"]
    train(resumed)
    assert_same_weights(resumed, whole)
    np.testing.assert_array_equal(resumed.sample(3, seed=1), whole.sample(3, seed=1))


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        ({"encoder": keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])},
         r"vae: the encoder gives shape \(3,\), expected \(4,\)"),
        ({"encoder": keras.Sequential([keras.Input((9, 9, 1)), keras.layers.Flatten(), keras.layers.Dense(4)])},
         r"vae: the encoder does not take inputs of shape \(8, 8, 1\)"),
        ({"decoder": keras.Sequential([keras.Input((2,)), keras.layers.Dense(128)])},
         r"vae: the decoder gives shape \(128,\), expected \(8, 8, 2\)"),
    ],
)  # fmt: skip
def test_a_network_of_another_shape_is_refused(networks, message):
    with pytest.raises(InputError, match=message):
        vae(**networks)


def test_a_network_that_is_not_trainable_stays_as_it_is():
    model = vae()
    model.encoder.trainable = False
    before = copy_of(model)
    train(eager(model))
    assert_same_weights(model.encoder, before.encoder)
    with pytest.raises(AssertionError):
        assert_same_weights(model.decoder, before.decoder)
