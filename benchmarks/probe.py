"""Tells classes of 8x8 digits by a logistic regression of what models encode, beside that of raw pixels.

    python benchmarks/probe.py                                   # four models by their recipes, on three seeds
    python benchmarks/probe.py vae --seeds 0
    python benchmarks/probe.py --runs runs/vae_digits runs/vq_vae_digits

A seed is that of weights, noise, order of the data, and of the folds by which the penalty is chosen; the split of 1437 digits
to train on and 360 to test is always the same. Classes are seen by the logistic regression alone.
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

import tfgen
from tfgen import latents
from tfgen.data import open_source
from tfgen.evaluation import Probe, linear_probe
from tfgen.registry import get_entry
from tfgen.training import Run


def trained(id: str, source, seed: int):
    """Returns a model that was trained by its recipe for digits."""
    keras.utils.set_random_seed(seed)
    recipe = get_entry(id).recipe("digits")
    model = tfgen.create(id, example=source.example, seed=seed, **recipe["model"])
    model.compile(steps_per_execution=10)
    keys = tuple(model.specs)
    batches = source.dataset("train", recipe["batch_size"], seed=seed, drop_remainder=True, keys=keys)
    model.fit(batches, epochs=recipe["epochs"], verbose=0)
    return model


def probe(source, seed: int, model=None) -> Probe:
    """Returns what is measured of a model's features, or of pixels."""
    parts = []
    for part in (source.arrays("train"), source.arrays("test")):
        features = part["image"] if model is None else latents.features(model, part["image"])
        parts.append((features, part["label"]))
    return linear_probe(*parts, seed=seed)


def row(name: str, found: list[Probe], seconds: float) -> None:
    accuracies = [one.accuracy for one in found]
    cells = " ".join(f"{accuracy:7.3f}" for accuracy in accuracies)
    chosen = ", ".join(f"{one.C:g}" for one in found)
    print(
        f"{name:<14} {found[0].features:8d} {cells} {np.mean(accuracies):7.3f} {found[0].standard_error:6.3f} {seconds:8.1f}"
        f"  {chosen}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["vae", "beta_vae", "conv_vae", "ladder_vae"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--runs", nargs="+", type=pathlib.Path, help="folders of runs on digits, in place of training")
    options = parser.parse_args()
    source = open_source("digits")
    seeds = options.seeds if options.runs is None else [0]
    heads = " ".join(f"seed {seed:<2}" for seed in seeds) if options.runs is None else f"{'test':>7}"
    print(f"{'':<14} {'features':>8} {heads} {'mean':>7} {'se':>6} {'seconds':>8}  C")
    start = time.perf_counter()
    found = [probe(source, seed) for seed in seeds]
    row("pixels", found, (time.perf_counter() - start) / len(found))
    for one in options.models if options.runs is None else options.runs:
        start, found = time.perf_counter(), []
        for seed in seeds:
            model = trained(one, source, seed) if options.runs is None else Run.open(one).model
            found.append(probe(source, seed, model))
        name = one if options.runs is None else Run.open(one).record["model"]["id"]
        row(name, found, (time.perf_counter() - start) / len(found))


if __name__ == "__main__":
    main()
