import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import tfgen

PROGRAM = pathlib.Path(__file__).with_name("replica_program.py")


def start(*arguments, **environment):
    # One thread each: the same sums on each run, and two workers on two cores.
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)], env=os.environ | threads | environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def finish(*processes):
    told = [process.communicate(timeout=1500)[0] for process in processes]
    for process, text in zip(processes, told, strict=True):
        assert process.returncode == 0, text[-3000:]


def assert_equal_after_20_steps(path, other):
    """Compares what two of the program's calls have written, weights to 1e-6."""
    one, two = np.load(path), np.load(other)
    assert one.files == two.files
    for name in one.files:
        tolerance = {"atol": 1e-6, "rtol": 0.0} if " weight " in name else {"rtol": 1e-5, "atol": 1e-6}
        np.testing.assert_allclose(one[name], two[name], **tolerance, err_msg=name)


def test_two_mirrored_replicas_with_half_the_batch_equal_one_with_the_whole_batch(tmp_path):
    finish(*(start(PROGRAM, kind, tmp_path / f"{kind}.npz", "vae") for kind in ("one", "mirrored")))
    assert_equal_after_20_steps(tmp_path / "one.npz", tmp_path / "mirrored.npz")


@pytest.mark.slow
@pytest.mark.parametrize("id", ["iwae", "nade", "wgan_gp", "vq_vae"])
def test_a_model_of_each_family_and_kind_of_noise_is_the_same_on_two_mirrored_replicas(id, tmp_path):
    finish(*(start(PROGRAM, kind, tmp_path / f"{kind}.npz", id) for kind in ("one", "mirrored")))
    assert_equal_after_20_steps(tmp_path / "one.npz", tmp_path / "mirrored.npz")


EVERY_MODEL = """
import sys

import keras
import numpy as np
import tensorflow as tf

two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
sys.path.insert(0, sys.argv[1])

import conftest
from tfgen.endpoints import Example, Label
from tfgen.registry import get_class

# One for all: a second one counts its collective operations from the beginning, and meets those of the first.
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for id in sys.argv[2:]:
    print(id, flush=True)
    cls = get_class(id)
    arguments = conftest.small_arguments(cls)
    with strategy.scope():
        model = cls(**arguments)
        model.compile(ema=0.5)
    data = {model.example.key: Example().reference(model, 11, 0)}
    data |= {"label": Label().reference(model, 11, 0)} if model.label else {}
    logs = model.fit(data, batch_size=4, epochs=len(model.stages()), verbose=0).history
    figures = model.evaluate(data, batch_size=4, return_dict=True, verbose=0)
    numbers = [*figures.values(), *(value for values in logs.values() for value in values)]
    assert np.all(np.isfinite(numbers)), (id, logs, figures)
    for weight in model.weights:
        copies = [np.asarray(copy) for copy in getattr(weight.value, "values", [weight.value])]
        for copy in copies[1:]:
            np.testing.assert_array_equal(copy, copies[0], err_msg=f"{id}: {weight.path}")
"""


@pytest.mark.slow
@pytest.mark.parametrize("family", ["autoregressive", "variational", "adversarial"])
def test_every_model_trains_on_two_mirrored_replicas_whose_weights_stay_the_same(family):
    ids = [entry.id for entry in tfgen.list_models(family=family)]
    finish(start("-c", EVERY_MODEL, PROGRAM.parents[1] / "contract", *ids))


STATISTICS = """
import keras
import numpy as np
import tensorflow as tf

two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)

from tfgen import replicas

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope(), replicas.variables():
    norm = keras.layers.BatchNormalization(momentum=0.9)
    norm.build((None, 3))
x = np.random.default_rng(0).normal(size=(2, 2, 8, 3)).astype(np.float32)  # of calls and replicas

@tf.function
def step():
    def one():
        own = tf.constant(x)[:, tf.distribute.get_replica_context().replica_id_in_sync_group]
        norm(own[0], training=True)
        norm(own[1], training=True)
        replicas.level(norm.weights)
    strategy.run(one)

step()
expected = [0.09 * m[0].mean(0) + 0.1 * m[1].mean(0) for m in (x.mean(2), x.var(2))]
expected[1] += 0.81  # it begins at one
for weight, value in zip((norm.moving_mean, norm.moving_variance), expected):
    for copy in weight.value.values:
        np.testing.assert_allclose(copy.numpy(), value, rtol=1e-5)
"""


def test_statistics_of_batches_are_the_mean_of_those_of_the_replicas():
    finish(start("-c", STATISTICS))


FLOAT16 = """
import keras
import numpy as np
import tensorflow as tf

two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)

import tfgen
from tfgen.specs import Images
from tfgen.training.building import precision_policy

# The first two of each four are the first replica's: of these there are steps that only the other has to skip.
images = np.zeros((128, 8, 8, 1), np.uint8).reshape(-1, 4, 8, 8, 1)
images[:, 2:] = np.random.default_rng(0).integers(0, 5, images[:, 2:].shape)
images = images.reshape(-1, 8, 8, 1)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
keras.utils.set_random_seed(1)
with strategy.scope(), precision_policy("mixed_float16"):
    model = tfgen.create("vae", example=Images((8, 8, 1), 5), hidden=(8,), latent_size=2, seed=3)
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), initial_scale=2.0**30, dynamic_growth_steps=2)
    model.compile(optimizer, ema=0.9)
skipped = sum(model.fit(images, batch_size=4, epochs=4, shuffle=False, verbose=0).history["skipped_steps"])
[optimizer] = model.optimizers.values()
assert 5 < skipped < 120, skipped
assert optimizer.iterations.numpy() + skipped == 128
assert 1.0 < optimizer.dynamic_scale.numpy() < 2.0**30
for weight in model.weights + optimizer.variables:
    copies = [np.asarray(copy) for copy in getattr(weight.value, "values", [weight.value])]
    assert np.isfinite(copies[0]).all()
    for copy in copies[1:]:
        np.testing.assert_array_equal(copy, copies[0], err_msg=weight.path)
"""


@pytest.mark.slow
def test_replicas_in_float16_skip_the_same_steps_and_scale_alike():
    finish(start("-c", FLOAT16))


RUN = """
import sys

import tensorflow as tf

two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)

from tfgen import training

for out, strategy in zip(sys.argv[1:], ("mirrored", "none")):
    training.train(
        "vae", out=out, epochs=2, batch_size=400, arguments={"hidden": (8,), "latent_size": 2}, samples=4, verbose=0,
        strategy=strategy, on_nan="stop", validation="test",
    )
training.resume(sys.argv[1], epochs=3, verbose=0)
training.resume(sys.argv[2], epochs=3, verbose=0, strategy="mirrored")
"""


@pytest.mark.slow
def test_a_run_is_the_same_on_mirrored_replicas_and_may_go_on_on_them(tmp_path):
    finish(start("-c", RUN, tmp_path / "mirrored", tmp_path / "one"))
    mirrored, one = (tfgen.training.Run.open(tmp_path / name) for name in ("mirrored", "one"))
    assert mirrored.record["training"]["strategy"] == one.record["training"]["strategy"] == "mirrored"
    assert mirrored.record["metrics"] == pytest.approx(one.record["metrics"], rel=1e-4)
    assert len(list((mirrored.path / "samples").iterdir())) == 3
