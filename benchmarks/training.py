"""Training throughput beside the same networks in a plain Keras `train_step`, and in torch.

    python benchmarks/training.py                        # all models, pictures of 28x28x1
    python benchmarks/training.py --models dcgan vae --width 32 --torch

The networks, losses, optimizers and batches are the same in each column; the networks are compared weight by weight in
size before anything is timed. The plain loops (`plain_gans.py`, `plain_vaes.py`) are what keras.io's examples write.
dcgan and wgan_gp have DCGAN's networks, 8-bit pictures and batches of 64; vae and conv_vae have binary pictures and
batches of 128, vae a perceptron of 200 and 200 units with 50 latents, conv_vae its convolutions and 128 latents.

Columns are measured in turn, there and back, `--repeats` times `--steps` steps each, and the least time of each counts:
many short spells, since what slows a shared machine down comes in spells too. Compilation is not in it; what `fit`
does once per call is. A step is one of each player; images count once per step, five critic steps of wgan_gp as five
steps. `--torch` wants `pip install torch`.
"""

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import plain_gans
import plain_vaes
import tensorflow as tf

import tfgen
from tfgen.specs import Images

FAMILIES = {"dcgan": plain_gans, "wgan_gp": plain_gans, "vae": plain_vaes, "conv_vae": plain_vaes}


def make_columns(id: str, width: int | None, torch: bool) -> dict:
    """Returns the model in each column, by the column's name."""
    family = FAMILIES[id]
    model = tfgen.create(id, example=Images(family.SHAPE, family.LEVELS), **family.arguments(id, width))
    model.compile()
    columns = {"tfgen": model, "Keras": family.plain_keras(id, width)}
    return columns | ({"torch": family.plain_torch(id, width)} if torch else {})


def weight_sizes(network) -> list[int]:
    """Returns the size of each trained weight of a network of Keras or torch, in the order of its layers."""
    if isinstance(network, keras.Model):
        return [int(np.prod(weight.shape)) for weight in network.trainable_weights]
    return [weight.numel() for weight in network.parameters()]


def check_networks(id: str, columns: dict) -> None:
    """Prints how many parameters the networks of each column have, and exits if they are not the same networks."""
    for role in FAMILIES[id].NETWORKS:
        sizes = {name: weight_sizes(getattr(model, role)) for name, model in columns.items()}
        print(f"{id:<10} {role:<14}" + "".join(f" {sum(each):>11,}" for each in sizes.values()), flush=True)
        if any(each != sizes["tfgen"] for each in sizes.values()):
            raise SystemExit(f"{id}: the columns differ in the {role}; sizes of its weights: {sizes}")


def runner(id: str, name: str, model, arrays: list[np.ndarray]) -> Callable[[], object]:
    """Returns a function that makes a step of a column on each batch."""
    if name == "torch":
        return lambda: [model.step(array) for array in arrays]
    # Batches as they are: no column pays for putting them together.
    batches = tf.data.Dataset.from_tensor_slices({"image": np.stack(arrays)} if name == "tfgen" else np.stack(arrays))
    return lambda: model.fit(batches, shuffle=False, verbose=0)


def measure(runs: dict[str, Callable], repeats: int) -> dict[str, float]:
    """Returns the least time of each run in seconds, all in turn."""
    for run in runs.values():
        run()
    times = dict.fromkeys(runs, float("inf"))
    for repeat in range(repeats):
        for name in list(runs)[:: 1 if repeat % 2 else -1]:
            start = time.perf_counter()
            runs[name]()
            times[name] = min(times[name], time.perf_counter() - start)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(FAMILIES), choices=list(FAMILIES), metavar="MODEL")
    parser.add_argument("--width", type=int, help="of the convolutions; 32 for dcgan and wgan_gp, 64 for conv_vae")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--torch", action="store_true")
    options = parser.parse_args()
    if options.torch and plain_gans.torch is None:
        raise SystemExit("--torch: torch is not installed; pip install torch")

    models = {id: make_columns(id, options.width, options.torch) for id in options.models}
    names = ["tfgen", "Keras", *(["torch"] if options.torch else [])]
    print(f"{'parameters':<25}" + "".join(f" {name:>11}" for name in names))
    for id, columns in models.items():
        check_networks(id, columns)

    print(f"\n{os.cpu_count()} cores, TensorFlow {tf.__version__}; images per second")
    titles = [*names, *(f"to {name}" for name in names[1:])]
    print(f"{'model':<10} {'batch':>6}" + "".join(f" {title:>9}" for title in titles))
    for id, columns in models.items():
        family = FAMILIES[id]
        size = (options.steps, family.BATCH, *family.SHAPE)
        arrays = list(np.random.default_rng(0).integers(0, family.LEVELS, size, np.uint8))
        runs = {name: runner(id, name, model, arrays) for name, model in columns.items()}
        times = measure(runs, options.repeats)
        speed = {name: options.steps * family.BATCH / seconds for name, seconds in times.items()}
        ratios = [speed["tfgen"] / speed[name] for name in names[1:]]
        row = [f" {speed[name]:>9.0f}" for name in names] + [f" {ratio:>9.2f}" for ratio in ratios]
        print(f"{id:<10} {family.BATCH:>6}" + "".join(row), flush=True)


if __name__ == "__main__":
    main()
