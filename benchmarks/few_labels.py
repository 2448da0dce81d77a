"""Learns classes of 8x8 digits from 100 labels, and compares with a support vector machine on the same labels.

    python benchmarks/few_labels.py                        # improved_gan and catgan on three seeds
    python benchmarks/few_labels.py improved_gan --seeds 0 --per-class 3

A seed splits scikit-learn's 1797 digits into 1297 and 500 to test on, and chooses ten labels of each class that are
known; the other digits are seen without. The support vector machine has a Gaussian kernel, and its C and width are
chosen by five-fold cross-validation among the known labels (three-fold for fewer than five of a class).
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

import tfgen
from tfgen.data import keep_labels, mixed_batches
from tfgen.specs import Images, Labels

EXAMPLE = Images((8, 8, 1), 17)
STEPS, UNLABELLED, LABELLED = 4000, 64, 32
ARGUMENTS = {"latent_size": 32, "hidden": (256, 128)}


def digits(seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns what to train on and what to test on."""
    image, label = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(label))
    both = {"image": image.reshape(-1, 8, 8, 1)[order].astype(np.uint8), "label": label[order].astype(np.int32)}
    return {key: array[:1297] for key, array in both.items()}, {key: array[1297:] for key, array in both.items()}


def of_model(id: str, train, label, test, seed: int) -> float:
    """Returns the accuracy of a model that was trained on all digits and the known labels."""
    keras.utils.set_random_seed(seed)
    both = train | {"label": label}
    batches = mixed_batches(both, UNLABELLED + LABELLED, LABELLED, seed=seed, drop_remainder=True)
    model = tfgen.create(id, example=EXAMPLE, label=Labels(10, partial=True), seed=seed, **ARGUMENTS)
    model.compile(keras.optimizers.Adam(1e-3, beta_1=0.5), ema=0.999, steps_per_execution=20)
    model.fit(batches.repeat().take(STEPS), verbose=0)
    return float(np.mean(np.argmax(model.classify(test["image"]), -1) == test["label"]))


def of_svm(train, label, test) -> float:
    """Returns the accuracy of a support vector machine that was trained on the known labels."""
    known = label >= 0
    folds = 5 if np.bincount(label[known]).min() >= 5 else 3
    choice = {"C": [1.0, 10.0, 100.0], "gamma": ["scale", 0.5 / 64, 2.0 / 64, 8.0 / 64]}
    machine = GridSearchCV(SVC(), choice, cv=folds)
    flat = {key: array["image"].reshape(-1, 64) / 16.0 for key, array in (("train", train), ("test", test))}
    machine.fit(flat["train"][known], label[known])
    return float(machine.score(flat["test"], test["label"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["improved_gan", "catgan"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--per-class", type=int, default=10, help="labels that are known")
    options = parser.parse_args()
    print(f"accuracy on 500 digits, {10 * options.per_class} labels, {STEPS} steps")
    print(f"{'':<13} " + " ".join(f"seed {seed:<2}" for seed in options.seeds) + f" {'mean':>7} {'seconds':>8}")
    for name in ("svm", *options.models):
        found, start = [], time.perf_counter()
        for seed in options.seeds:
            train, test = digits(seed)
            label = keep_labels(train["label"], options.per_class, seed=seed)
            found.append(of_svm(train, label, test) if name == "svm" else of_model(name, train, label, test, seed))
        seconds = (time.perf_counter() - start) / len(found)
        cells = " ".join(f"{accuracy:7.3f}" for accuracy in found)
        print(f"{name:<13} {cells} {np.mean(found):7.3f} {seconds:8.1f}", flush=True)


if __name__ == "__main__":
    main()
