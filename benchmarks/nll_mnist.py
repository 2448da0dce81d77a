"""Trains a likelihood model on binarized MNIST, and prints nats on the validation and test sets after each epoch.

    python benchmarks/nll_mnist.py pixel_cnn binarized_mnist.npz --out runs/nll_pixel_cnn --epochs 20
    python benchmarks/nll_mnist.py made binarized_mnist.npz --out runs/nll_made --set hidden=(500,500)

The file has `train`, `valid` and `test`, uint8 in {0, 1}, `(count, 28, 28)`. A run that is stopped goes on where it
stood when it is started again with the same --out. The rate falls from --rate to a tenth of it along a cosine over all
epochs; averaged weights are measured.
"""

import argparse
import ast
import json
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras

import tfgen
from tfgen.optimizers import Adam

# Sizes for a CPU.
ARGUMENTS = {
    "pixel_cnn": {"width": 32, "blocks": 7},
    "gated_pixel_cnn": {"width": 32, "depth": 7},
    "nade": {"hidden": 500},
    "made": {"hidden": (500, 500)},
    "vae": {"latent_size": 50, "hidden": (200, 200)},
    "iwae": {"latent_size": 50, "hidden": (200, 200), "samples": 50},
    "vampprior": {"latent_size": 40, "hidden": (300, 300), "components": 500},
    "iaf_vae": {"latent_size": 32, "width": 16, "maps": 4, "units": (320,)},
    "pixel_vae": {"latent_size": 16, "width": 16, "map_features": 8, "pixel_width": 16, "depth": 7, "warm_up": 2000},
}


def parse_setting(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    return name, ast.literal_eval(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data", help="path of the .npz")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--ema", type=float, default=0.999)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", type=parse_setting, default=[], help="arguments of the model, name=value")
    parser.add_argument(
        "--importance-samples", type=int, default=0, help="k of the last test bound, for models with codes"
    )
    parser.add_argument("--bound-examples", type=int, help="how many test pictures that bound is of; all unless given")
    options = parser.parse_args()

    source = tfgen.data.open_source(options.data)
    options.out.mkdir(parents=True, exist_ok=True)
    saved, log = options.out / "model.keras", options.out / "log.json"
    if saved.exists():
        model, rows = tfgen.load_model(saved), json.loads(log.read_text())
    else:
        keras.utils.set_random_seed(options.seed)
        arguments = ARGUMENTS.get(options.model, {}) | dict(options.set)
        model, rows = tfgen.create(options.model, example=source.example, seed=options.seed, **arguments), []
        steps = options.epochs * (source.sizes["train"] // options.batch_size)
        schedule = keras.optimizers.schedules.CosineDecay(options.rate, steps, alpha=0.1)
        model.compile(Adam(schedule), ema=options.ema, steps_per_execution=20)
    print(f"{options.model}: {model.count_params():,} parameters, seed {options.seed}")
    print(f"{'epoch':>5} {'train':>8} {'valid':>8} {'test':>8} {'se':>6} {'seconds':>8}")
    for row in rows:
        print_row(row)
    valid, test = (source.dataset(split, 200) for split in ("valid", "test"))
    for epoch in range(len(rows), options.epochs):
        start = time.perf_counter()
        train = source.dataset("train", options.batch_size, seed=options.seed, epoch=epoch, drop_remainder=True)
        history = model.fit(train, verbose=0).history
        seconds = time.perf_counter() - start
        figures = [model.evaluate(data, verbose=0, return_dict=True) for data in (valid, test)]
        name = "nats" if "nats" in figures[0] else "elbo"
        rows.append(
            {
                "epoch": epoch + 1,
                "train": float(history["loss"][-1]),
                "valid": abs(float(figures[0][name])),
                "test": abs(float(figures[1][name])),
                "se": float(figures[1][f"{name}_se"]),
                "seconds": seconds,
            }
        )
        # Beside, then in place: a run that is killed while it saves has the epoch before.
        model.save(options.out / "next.keras")
        os.replace(options.out / "next.keras", saved)
        log.write_text(json.dumps(rows))
        print_row(rows[-1])
    if options.importance_samples:
        count = options.bound_examples or source.sizes["test"]
        start = time.perf_counter()
        figures = model.evaluate(
            source.dataset(f"test[:{count}]", 50, shuffle=False), verbose=0, return_dict=True,
            importance_samples=options.importance_samples,
        )  # fmt: skip
        print(
            f"L_{options.importance_samples} on {count} test pictures: {figures['nats']:.2f} +- {figures['nats_se']:.2f}, "
            f"ELBO {figures['elbo']:.2f}, effective sample size {figures['effective_sample_size']:.0f}, "
            f"active units {figures['active_units']:.0f}, {time.perf_counter() - start:.0f} s",
            flush=True,
        )


def print_row(row: dict) -> None:
    print(
        f"{row['epoch']:5d} {row['train']:8.2f} {row['valid']:8.2f} {row['test']:8.2f} {row['se']:6.2f} {row['seconds']:8.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
