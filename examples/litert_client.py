"""Draws from a TF-Lite file that `tfgen export RUN --tflite PRECISION` wrote. Needs NumPy and LiteRT only.

    pip install numpy ai-edge-litert
    python litert_client.py pixel_cnn.tflite --count 16 --seed 0 --out samples.png

TF-Lite has no random numbers, so that a sampler takes them as inputs; the card in the file tells which. Copy `png.py` too.
"""

import argparse
import json
import sys
import zipfile

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from png import write_png

# What the card calls random numbers -> how NumPy draws them.
DRAW = {
    "normal": lambda rng, shape: rng.standard_normal(shape, np.float32),
    "uniform": lambda rng, shape: rng.random(shape, np.float32),
    "uniform in [-1, 1]": lambda rng, shape: 2.0 * rng.random(shape, np.float32) - 1.0,
}


def draw(path: str, count: int, seed: int, label: int | None, given: dict[str, np.ndarray]) -> tuple[np.ndarray, dict]:
    """Returns what a file's sampler answers, `(count, ...)`, and the file's card.

    Arguments:
        path: of the file.
        count: how many examples.
        seed: what NumPy's generator begins with.
        label: class of all examples, where the model wants one.
        given: inputs that are not drawn, by name.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # it stands behind the model
            card = json.loads(archive.read("card.json"))
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError("no card in it, so it is not written by tfgen, or damaged") from error
    if not card["noise"]:
        raise ValueError(f"no sampler in it, only {', '.join(card['signatures'])}")
    if card["batch"] not in (None, count):
        raise ValueError(f"draws {card['batch']} at a time; pass --count {card['batch']}")
    signature, kinds = next(iter(card["noise"].items()))
    rng, inputs = np.random.default_rng(seed), {}
    # In the card's order: the same seed then gives the same numbers.
    for name in [*kinds, *(card["signatures"][signature]["inputs"].keys() - kinds.keys())]:
        told = card["signatures"][signature]["inputs"][name]
        shape = [count if size is None else size for size in told["shape"]]
        if name in given:
            inputs[name] = given[name]
        elif name in kinds:
            inputs[name] = DRAW[kinds[name]](rng, shape)
        elif name == "label" and label is not None:
            inputs[name] = np.full(shape, label, np.int32)
        else:
            option = "--label" if name == "label" else "--inputs"
            raise ValueError(f"{signature} takes {name}, {told['dtype']} {told['shape']}, too; pass {option}")
    # A new interpreter: one that has run on fewer examples can answer wrongly on more of them (LiteRT 2.3).
    answers = Interpreter(path).get_signature_runner(signature)(**inputs)
    return next(iter(answers.values())), card


def main() -> None:
    """Reads the arguments, draws and writes."""
    parser = argparse.ArgumentParser(description="Draws from a TF-Lite file of tfgen.")
    parser.add_argument("model", help="the .tflite file")
    parser.add_argument("--count", type=int, default=16, help="how many [16]")
    parser.add_argument("--seed", type=int, default=0, help="the same gives the same pictures [0]")
    parser.add_argument("--label", type=int, help="class of all of them, for a conditional model")
    parser.add_argument("--inputs", metavar="FILE.npz", help="inputs by name, in place of drawn ones")
    parser.add_argument("--out", default="samples.png", help="a .png file of pictures, or .npy of anything")
    options = parser.parse_args()
    try:
        given = dict(np.load(options.inputs)) if options.inputs else {}
        answer, card = draw(options.model, options.count, options.seed, options.label, given)
        if options.out.endswith(".npy"):
            np.save(options.out, answer)
        else:
            write_png(options.out, answer, next(iter(card["specs"].values())).get("levels", 256))
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"{options.model}: {str(error).splitlines()[0]}")


if __name__ == "__main__":
    main()
