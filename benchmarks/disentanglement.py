"""How far the latents of beta_vae stand for the factors of `shapes`, by MIG, SAP and DCI, for several beta and seeds.

    python benchmarks/disentanglement.py --out runs/disentanglement
    python benchmarks/disentanglement.py --betas 4 --seeds 0 --epochs 10 --out runs/quick

The pictures are drawn shapes of 32x32 whose channels are 0 or 1, which tells their six colours apart; the networks are
convolutional. Codes are the means of q(z|x) of test pictures, factors are shape, colour, size, row and column. The ELBO has
beta 1. The folder keeps a row for each training, so that a run that is stopped goes on, and a picture of the traversals of the
model with the greatest MIG of each beta.
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
from tfgen import latents, pictures
from tfgen.data import open_source
from tfgen.data.shapes import CLASSES
from tfgen.data.source import ArraySource
from tfgen.evaluation import dci, mutual_information_gap, separated_attribute_predictability
from tfgen.networks import conv_decoder, conv_encoder
from tfgen.specs import Images

FIGURES = ("elbo", "kl", "active", "mig", "sap", "disentanglement", "completeness", "informativeness")


def shapes(side: int) -> ArraySource:
    """Returns drawn shapes with all that is known of them, the nearer of 0 and 1 for each channel."""
    source = open_source("shapes", image_size=side)
    parts = {split: dict(source.arrays(split)) for split in ("train", "test")}
    for part in parts.values():
        part["image"] = (part["image"] > 127).astype(np.uint8)
    return ArraySource("shapes", source.specs | {"image": Images(source.example.shape, 2)}, parts)


def trained(source, beta: float, seed: int, options):
    """Returns a beta_vae with convolutional networks, trained on the source."""
    keras.utils.set_random_seed(seed)
    shape, size = source.example.shape, options.latent_size
    model = tfgen.create(
        "beta_vae",
        example=source.example,
        latent_size=size,
        beta=beta,
        encoder=conv_encoder(shape, 2 * size, width=options.width),
        decoder=conv_decoder(size, shape, width=options.width),
        seed=seed,
    )
    model.compile(steps_per_execution=10)
    model.fit(source.dataset("train", 64, seed=seed, drop_remainder=True), epochs=options.epochs, verbose=0)
    return model


def measured(model, source) -> dict[str, float]:
    """Returns the model's bound and what its codes say of the factors, by name."""
    test = source.arrays("test")
    found = model.evaluate(source.dataset("test", 200), verbose=0, return_dict=True)
    codes, factors = latents.features(model, test["image"]), {name: test[name] for name in CLASSES}
    trees = dci(codes, factors)
    values = {"elbo": found["elbo"], "kl": found["kl"], "active": found["active_units"]}
    values["mig"] = mutual_information_gap(codes, factors)
    values["sap"] = separated_attribute_predictability(codes, factors)
    values |= {name: getattr(trees, name) for name in FIGURES[-3:]}
    return {name: float(value) for name, value in values.items()}


def row(name: str, found: dict[str, float], seconds: str = "") -> None:
    cells = " ".join(f"{found[name]:{max(7, len(name))}.{1 if abs(found[name]) > 1.5 else 3}f}" for name in FIGURES)
    print(f"{name:<16} {cells} {seconds:>8}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--betas", nargs="+", type=float, default=[1.0, 4.0, 16.0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--latent-size", type=int, default=10)
    parser.add_argument("--width", type=int, default=16, help="of the convolutions")
    parser.add_argument("--side", type=int, default=32, help="of the pictures, in pixels")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of rows and pictures")
    options = parser.parse_args()
    source = shapes(options.side)
    options.out.mkdir(parents=True, exist_ok=True)
    asked = {name: getattr(options, name) for name in ("epochs", "latent_size", "width", "side")}
    print(f"{'':<16} {' '.join(f'{name:>7}' for name in FIGURES)} {'seconds':>8}")
    for beta in options.betas:
        rows, best = [], -1.0
        for seed in options.seeds:
            name = f"beta {beta:g}, seed {seed}"
            place = options.out / f"{name.replace(' ', '_').replace(',', '')}.json"
            kept = json.loads(place.read_text()) if place.exists() else {}
            if kept.get("options") != asked:
                start = time.perf_counter()
                model = trained(source, beta, seed, options)
                kept = {"options": asked, "figures": measured(model, source)}
                kept["seconds"] = time.perf_counter() - start
                if kept["figures"]["mig"] > best:
                    image = source.arrays("test")["image"][:1]
                    found = latents.traverse(model, image)
                    examples = found.reshape(-1, *source.example.shape)
                    panel = pictures.of_examples(source.example, examples, columns=found.shape[2])
                    pictures.save(panel, options.out / f"beta_{beta:g}.png")
                place.write_text(json.dumps(kept))
            best = max(best, kept["figures"]["mig"])
            rows.append(kept["figures"])
            row(name, kept["figures"], f"{kept['seconds']:.0f}")
        for what, of in {"mean": np.mean, "deviation": lambda values: np.std(values, ddof=1)}.items():
            if len(rows) > 1:
                row(f"beta {beta:g}, {what}", {name: float(of([one[name] for one in rows])) for name in FIGURES})


if __name__ == "__main__":
    main()
