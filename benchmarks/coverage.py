"""Trains every adversarial model that takes points on the ring of 8 and the grid of 25, on several seeds.

    python benchmarks/coverage.py                                   # all models, three seeds
    python benchmarks/coverage.py gan wgan_gp --data ring --seeds 0 1 2 --out coverage.json

A row is a model on a data set: modes that have at least 16 % of their fair share of 5000 samples within 4 sigma, the
share of samples that near to a mode, and the reverse KL divergence of their spread over the modes (0 if equal), each
the median of the seeds with the least and the greatest; for averaged weights of the generator (decay 0.999) too.
Steps are those of the discriminator, on batches of 256; seconds are of one seed, with compilation. With --out, what is
done already is not trained again.
"""

import argparse
import json
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

import tfgen
from tfgen.data.mixtures import MIXTURES
from tfgen.evaluation import mode_coverage
from tfgen.specs import Labels, Points

BATCH = 256
STEPS = {"ring": 3000, "grid": 4000}


def adam(rate: float, beta_1: float = 0.5) -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(rate, beta_1=beta_1, beta_2=0.9)


#: Of a model: how many times the steps, its optimizer, and its arguments, as far as they differ from the defaults here.
SETTINGS = {
    "f_gan": (1, lambda: adam(3e-4), {"divergence": "jensen_shannon", "trick": False}),
    "b_gan": (1, lambda: adam(3e-4), {}),
    "geometric_gan": (1, lambda: adam(1e-3), {"generator_steps": 1}),
    "wgan": (4, lambda: keras.optimizers.RMSprop(1e-3), {"clip": 0.1}),
    "wgan_gp": (3, lambda: adam(1e-3, 0.0), {"penalty": 1.0}),
    "gogan": (
        4,
        lambda: keras.optimizers.RMSprop(5e-4, rho=0.99),
        {"generations": 2, "clip": 0.1, "same_critic": True},
    ),
    "adagan": (2, lambda: adam(1e-3), {"components": 4}),
    "bayesian_gan": (1, None, {"generator_draws": 4, "chains": 1, "data_size": 50_000}),
    "am_gan": (1, lambda: adam(1e-3), {"predefined": True}),
    "improved_gan": (
        1,
        lambda: adam(1e-3),
        {"matching": False, "minibatch_kernels": 20, "noise": 0.0, "hidden_noise": 0.0},
    ),
    "catgan": (1, lambda: adam(1e-3), {"hidden_noise": 0.0}),
}


def takes_points(id: str) -> bool:
    try:
        make(id, "ring", 0)
    except tfgen.InputError:
        return False
    return True


def make(id: str, data: str, seed: int):
    _, _, arguments = SETTINGS.get(id, (1, None, {}))
    if id == "am_gan":
        arguments = arguments | {"label": Labels(len(MIXTURES[data].modes))}
    if id == "catgan":
        arguments = arguments | {"clusters": len(MIXTURES[data].modes)}
    keras.utils.set_random_seed(seed)
    return tfgen.create(id, example=Points(2), latent_size=2, seed=seed, **arguments)


def train(id: str, data: str, seed: int) -> dict[str, float]:
    """Returns the figures of one training."""
    model, mixture = make(id, data, seed), MIXTURES[data]
    times, optimizer, _ = SETTINGS.get(id, (1, lambda: adam(1e-3), {}))
    optimizer = optimizer() if optimizer else model.default_optimizers()
    model.compile(optimizer, ema=0.999, steps_per_execution=50)
    steps = times * STEPS[data]
    stages = len(model.stages())
    points, modes = mixture.sample(BATCH * (steps // (10 * stages)), (seed,))
    batch = {"point": points} | ({"label": modes} if model.label else {})
    start = time.perf_counter()
    model.fit(batch, batch_size=BATCH, epochs=10 * stages, verbose=0)
    figures = {"seconds": time.perf_counter() - start, "steps": steps}
    for prefix, averaged in (("", False), ("ema_", True)):
        with model.averaged_weights(averaged):
            figures |= {f"{prefix}{name}": value for name, value in measure(model, mixture).items()}
    return figures


def measure(model, mixture) -> dict[str, float]:
    labels = {"label": np.arange(5000) % model.label.count} if model.label else {}
    found = mode_coverage(model.sample(5000, seed=1, **labels), mixture.modes, mixture.sigma)
    return {"modes": found.covered, "high_quality": found.high_quality, "reverse_kl": found.reverse_kl}


def spread(rows: list[dict], name: str, digits: int) -> str:
    values = [row[name] for row in rows]
    middle, low, high = np.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}..{high:.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--data", nargs="+", choices=sorted(MIXTURES), default=["ring", "grid"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()

    done = json.loads(options.out.read_text()) if options.out and options.out.exists() else {}
    ids = options.models or [entry.id for entry in tfgen.list_models(family="adversarial") if takes_points(entry.id)]
    columns = ("modes", "near", "reverse KL", "EMA: modes", "near")
    print(f"{'model':<15} {'data':<5} {'steps':>6} {'s':>5} " + " ".join(f"{c:>19}" for c in columns))
    for id in ids:
        for data in options.data:
            rows = []
            for seed in options.seeds:
                key = f"{id} {data} {seed}"
                if key not in done:
                    done[key] = train(id, data, seed)
                    if options.out:
                        options.out.write_text(json.dumps(done, indent=1))
                rows.append(done[key])
            cells = [
                spread(rows, "modes", 0), spread(rows, "high_quality", 2), spread(rows, "reverse_kl", 3),
                spread(rows, "ema_modes", 0), spread(rows, "ema_high_quality", 2),
            ]  # fmt: skip
            seconds = np.median([row["seconds"] for row in rows])
            print(
                f"{id:<15} {data:<5} {rows[0]['steps']:>6} {seconds:>5.0f} " + " ".join(f"{c:>19}" for c in cells),
                flush=True,
            )


if __name__ == "__main__":
    main()
