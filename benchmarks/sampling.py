"""Times the incremental samplers against one teacher-forced forward pass, and against naive sampling.

    python benchmarks/sampling.py                       # all models, both sizes, batches 1, 16 and 64
    python benchmarks/sampling.py gated_pixel_cnn --sizes 28x28x1 --batches 64
    python benchmarks/sampling.py --tfp                 # also tfd.PixelCNN of tensorflow-probability

All columns of a row are measured in turn within one run, and each is the least of several repeats. Naive sampling
makes a forward pass per draw; some draws are timed, and the rest is extrapolated. The first call of a sampler
compiles, and is reported apart.
"""

import argparse
import math
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

import tfgen

# Networks of about the size of the prototype in the literature's small settings: 7 layers or blocks of 32 features.
ARGUMENTS = {
    "pixel_cnn": {"width": 32, "blocks": 7},
    "gated_pixel_cnn": {"width": 32, "depth": 7},
    "pixel_cnn_pp": {"width": 32, "blocks": 2, "mixtures": 5, "dropout": 0.0},
    "pixel_rnn_row": {"width": 16, "layers": 3},
    "pixel_rnn_diagonal": {"width": 16, "layers": 3},
    "pixel_rnn_multiscale": {"width": 16, "layers": 3},
    "nade": {"hidden": 500},
    "made": {"hidden": (500,)},
}
# Of binary pictures only; naive sampling of a vector makes a pass per pixel too.
FLAT = ("nade", "made")
NAIVE_DRAWS = 8


def least(repeats: int, *functions) -> list[float]:
    """Returns the least wall time of several calls of each function, in seconds, behind a first that is not counted.

    They are called in turn, so that a slow spell of the machine meets all of them.
    """
    for function in functions:
        function()
    times = [math.inf] * len(functions)
    for _ in range(repeats):
        for index, function in enumerate(functions):
            start = time.perf_counter()
            function()
            times[index] = min(times[index], time.perf_counter() - start)
    return times


def parse_size(text: str) -> tuple[int, int, int]:
    height, width, channels = (int(part) for part in text.split("x"))
    return height, width, channels


def fitting(id: str, shape: tuple[int, int, int]) -> dict:
    """Returns the model's arguments: where features belong to the colours, as many for each as a grey picture has."""
    sizes = dict(ARGUMENTS[id])
    if id not in ("pixel_cnn_pp", *FLAT):
        sizes |= {"width": shape[2] * sizes["width"], "head_width": shape[2] * 32}
    return sizes


def measure(id: str, shape: tuple[int, int, int], batch: int, repeats: int) -> str:
    # Mixtures of logistics are for grey levels; the softmax models are stated on binary pictures.
    levels = 256 if shape[2] == 3 or id == "pixel_cnn_pp" else 2
    model = tfgen.create(id, image_shape=shape, levels=levels, **fitting(id, shape))
    images = tf.constant(np.random.default_rng(0).integers(0, levels, (batch, *shape), np.uint8))
    forward = tf.function(model.conditionals, autograph=False)
    start = time.perf_counter()
    model.sample(batch, seed=0)
    first = time.perf_counter() - start
    pass_time, sample_time = least(repeats, lambda: forward(images), lambda: model.sample(batch, seed=0))
    draws = shape[0] * shape[1] * model.draws
    naive_time = least(1, lambda: [forward(images) for _ in range(NAIVE_DRAWS)])[0] * draws / NAIVE_DRAWS
    return (
        f"{id:20} {'x'.join(map(str, shape)):9} {batch:5d} {pass_time:10.4f} {sample_time:12.4f} "
        f"{sample_time / pass_time:7.2f} {naive_time:10.1f} {naive_time / pass_time:8.0f} {first:8.1f}"
    )


def measure_tfp(shape: tuple[int, int, int], batch: int, repeats: int) -> str:
    """Times tfp's PixelCNN++, whose sampler makes a forward pass per pixel, at 32 features and 2 resnets per level."""
    import tensorflow_probability as tfp

    network = tfp.distributions.PixelCNN(
        image_shape=shape, num_resnet=2, num_hierarchies=3, num_filters=32, num_logistic_mix=5, dropout_p=0.0
    )
    images = tf.zeros((batch, *shape))
    forward = tf.function(lambda x: network.log_prob(x, training=False))
    (pass_time,) = least(repeats, lambda: forward(images))
    sample = tf.function(lambda: network.sample(batch, seed=0))
    start = time.perf_counter()
    sample()
    first = time.perf_counter() - start
    start = time.perf_counter()
    sample()
    sample_time = time.perf_counter() - start
    return (
        f"{'tfd.PixelCNN':20} {'x'.join(map(str, shape)):9} {batch:5d} {pass_time:10.4f} {sample_time:12.4f} "
        f"{sample_time / pass_time:7.2f} {'':10} {'':8} {first:8.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [id for id in ARGUMENTS if id in {entry.id for entry in tfgen.list_models()}]
    parser.add_argument("models", nargs="*", default=known, help=f"of {', '.join(known)}")
    parser.add_argument("--sizes", nargs="+", type=parse_size, default=[(28, 28, 1), (32, 32, 3)])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16, 64])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tfp", action="store_true", help="also time tfd.PixelCNN (slow)")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, TensorFlow {tf.__version__}; seconds; ratios are to one forward pass")
    print(
        f"{'model':20} {'size':9} {'batch':>5} {'forward':>10} {'incremental':>12} {'ratio':>7} "
        f"{'naive':>10} {'ratio':>8} {'first':>8}"
    )
    for shape in options.sizes:
        for batch in options.batches:
            for id in options.models:
                if id in FLAT and shape[2] == 3:
                    continue
                print(measure(id, shape, batch, options.repeats), flush=True)
            if options.tfp:
                print(measure_tfp(shape, batch, options.repeats), flush=True)


if __name__ == "__main__":
    main()
