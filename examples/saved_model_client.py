"""Draws from a SavedModel that `tfgen export RUN` wrote. Needs TensorFlow only.

    pip install tensorflow
    python saved_model_client.py runs/vae/export --count 16 --seed 0 --out samples.png

Ask `tfgen verify` first whether a SavedModel of somebody else can do more than compute. Copy `png.py` too.
"""

import argparse
import json
import pathlib
import sys

import numpy as np
import tensorflow as tf
from png import write_png


def draw(path: str, count: int, seed: int, label: int | None) -> np.ndarray:
    """Returns what a SavedModel's `sample` answers, `(count, ...)`.

    Arguments:
        path: of the folder.
        count: how many examples.
        seed: what they follow from: in [0, 2^31), as `model.sample(count, seed)` takes it in Python.
        label: class of all examples, where the model wants one.
    """
    sample = tf.saved_model.load(path).signatures["sample"]
    inputs = {"count": tf.constant(count), "seed": tf.constant([seed, 0]), "label": tf.fill((count,), label or 0)}
    taken = sample.structured_input_signature[1]
    if "label" in taken and label is None:
        raise ValueError("the model draws by class; pass --label")
    if unknown := sorted(taken.keys() - inputs.keys()):
        raise ValueError(f"sample takes {', '.join(unknown)}, too; this program has only numbers and classes")
    return next(iter(sample(**{name: inputs[name] for name in taken}).values())).numpy()


def main() -> None:
    """Reads the arguments, draws and writes."""
    parser = argparse.ArgumentParser(description="Draws from a SavedModel of tfgen.")
    parser.add_argument("model", help="the folder")
    parser.add_argument("--count", type=int, default=16, help="how many [16]")
    parser.add_argument("--seed", type=int, default=0, help="the same gives the same pictures [0]")
    parser.add_argument("--label", type=int, help="class of all of them, for a conditional model")
    parser.add_argument("--out", default="samples.png", help="a .png file of pictures, or .npy of anything")
    options = parser.parse_args()
    try:
        card = json.loads(pathlib.Path(options.model, "card.json").read_bytes())
        answer = draw(options.model, options.count, options.seed, options.label)
        if options.out.endswith(".npy"):
            np.save(options.out, answer)
        else:
            write_png(options.out, answer, next(iter(card["specs"].values())).get("levels", 256))
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        sys.exit(f"{options.model}: {str(error).splitlines()[0]}")


if __name__ == "__main__":
    main()
