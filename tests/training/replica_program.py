"""Trains small models as one, or as replicas; a program, since a process has its devices and workers from the start.

    python replica_program.py one|mirrored|workers FILE.npz MODEL ...

It writes the weights, the history and the evaluation of each model. `workers` is what TF_CONFIG says.
"""

import contextlib
import sys

import keras
import numpy as np
import tensorflow as tf

import tfgen
from tfgen.specs import Images, Points

STEPS_PER_EPOCH, BATCH = 5, 8

# Of each family those whose noise is drawn in the ways that there are; none has statistics of the batch.
MODELS = {
    "vae": {"hidden": (8,), "latent_size": 3},
    "iwae": {"hidden": (8,), "latent_size": 3, "samples": 4},
    "nade": {"example": Images((8, 8, 1), 2), "hidden": 8, "order_agnostic": True},
    "vq_vae": {"width": 4, "blocks": 1, "codebook_size": 6, "code_size": 3, "prior_width": 4, "prior_depth": 1},
    "wgan_gp": {"width": 8, "latent_size": 3, "discriminator_steps": 2, "example": Points(2)},
}


def batches(example) -> tf.data.Dataset:
    """Returns the data, whose last batch has no example for the second of two replicas."""
    rng = np.random.default_rng(0)
    count = BATCH * (STEPS_PER_EPOCH - 1) + 1
    if isinstance(example, Points):
        data = rng.normal(size=(count, 2)).astype(np.float32)
    else:
        data = rng.integers(0, example.levels, (count, *example.shape)).astype(np.uint8)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return tf.data.Dataset.from_tensor_slices({example.key: data}).batch(BATCH).with_options(options)


def train(id: str, scope) -> dict[str, np.ndarray]:
    """Returns what is known of a model after 20 steps."""
    arguments = {"example": Images((8, 8, 1), 5), "seed": 3} | MODELS[id]
    keras.utils.set_random_seed(1)
    with scope:
        model = tfgen.create(id, **arguments)
        model.compile({player.name: keras.optimizers.SGD(0.01) for player in model.players()}, ema=0.9)
    model.watch_faults()
    data = batches(model.example)
    history = model.fit(data, epochs=4, verbose=0).history
    found = {f"weight {index}": np.array(weight.numpy()) for index, weight in enumerate(model.weights)}
    found |= {f"history {name}": np.array(values) for name, values in history.items()}
    figures = model.evaluate(data, return_dict=True, verbose=0)
    return found | {f"evaluation {name}": np.array(value) for name, value in figures.items()}


def main(kind: str, path: str, *ids: str) -> None:
    if kind == "mirrored":
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
    make = {"mirrored": lambda: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
            "workers": tf.distribute.MultiWorkerMirroredStrategy}.get(kind)  # fmt: skip
    strategy = make() if make else None
    found = {}
    for id in ids:
        scope = strategy.scope() if strategy else contextlib.nullcontext()
        found |= {f"{id} {name}": value for name, value in train(id, scope).items()}
    np.savez(path, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
