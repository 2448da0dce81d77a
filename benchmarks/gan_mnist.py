"""Trains adversarial models on handwritten digits, and measures their samples by a classifier that none of them saw.

    python benchmarks/gan_mnist.py mnist_t10k.npz --out runs/gan_mnist                  # all five, 20 minutes each
    python benchmarks/gan_mnist.py mnist_t10k.npz --out runs/gan_mnist --models dcgan --minutes 5 --seed 1

The file has `image`, uint8 `(10000, 28, 28)`, and `label`. A seed of their own splits them into 8000, on which models
and the classifier are trained, and 2000 on which the classifier is tested and with which samples are compared. The
classifier is a convolutional network of 64 features; the Fréchet distance is that of these features of 2000 samples
from the 2000 digits, beside which stands that of 2000 digits of the 8000. A label is covered if it has at least a
tenth of its fair share of samples. Averaged weights have the decay 0.999. Minutes are of processor time, so that
other work on the machine costs a model nothing. A run that is stopped goes on with the epoch where it stood when it is
started again with the same --out; grids of samples lie there too.
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
from tfgen import pictures
from tfgen.evaluation import am_score, frechet_distance, label_coverage
from tfgen.specs import Images

SAMPLES = 2000
EXAMPLE = Images((28, 28, 1))
#: Of a model: its batch size, the rate of its Adam unless the default, and its arguments, which are widths for a CPU.
SETTINGS = {
    "dcgan": (64, None, {"width": 32}),
    "wgan_gp": (64, None, {"width": 32}),
    "lsgan": (64, None, {"width": 32}),
    # Perceptrons and a quicker control of k: with the paper's, all samples were one picture after 4500 steps.
    "began": (64, 5e-4, {"hidden": (512,), "latent_size": 32, "gain": 0.01, "gamma": 0.9}),
    "improved_gan": (64, None, {"width": 32, "matching": False, "minibatch_kernels": 50}),
}


def split(path: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns pictures and labels to train on, and pictures and labels to test with."""
    with np.load(path) as file:
        image, label = file["image"].reshape(-1, *EXAMPLE.shape), file["label"].astype(np.int32)
    order = np.random.default_rng(0).permutation(len(label))
    image, label = image[order], label[order]
    return image[:8000], label[:8000], image[8000:], label[8000:]


class Classifier:
    """A convolutional network, kept in a file so that all models are measured by the same one."""

    def __init__(self, path: pathlib.Path, image, label):
        if path.exists():
            self.network = keras.models.load_model(path)
        else:
            keras.utils.set_random_seed(0)
            self.network = keras.Sequential(
                [
                    keras.Input(EXAMPLE.shape),
                    keras.layers.Rescaling(1 / 255),
                    keras.layers.Conv2D(32, 5, strides=2, padding="same", activation="relu"),
                    keras.layers.Conv2D(64, 5, strides=2, padding="same", activation="relu"),
                    keras.layers.Flatten(),
                    keras.layers.Dropout(0.3),
                    keras.layers.Dense(64, activation="relu"),
                    keras.layers.Dense(10, activation="softmax"),
                ]
            )
            self.network.compile("adam", "sparse_categorical_crossentropy")
            self.network.fit(image, label, batch_size=64, epochs=12, verbose=0)
            self.network.save(path)
        self.features = keras.Model(self.network.inputs, self.network.layers[-2].output)

    def measure(self, train, test, samples) -> dict[str, float]:
        probability = self.network.predict(samples, verbose=0)
        spread = label_coverage(probability.argmax(-1), 10)
        of_train = self.network.predict(train, verbose=0)
        features = [self.features.predict(x, verbose=0) for x in (test, samples)]
        return {
            "labels": spread.covered,
            "rarest": spread.smallest,
            "am_score": am_score(of_train, probability),
            "frechet": frechet_distance(*features),
        }


def train(id: str, image, folder: pathlib.Path, minutes: float, seed: int):
    """Returns the model, its epochs and the seconds they took."""
    batch_size, rate, arguments = SETTINGS[id]
    saved, log = folder / f"{id}_{seed}.keras", folder / f"{id}_{seed}.json"
    state = {"epochs": 0, "seconds": 0.0}
    if saved.exists():
        model, state = tfgen.load_model(saved), json.loads(log.read_text())
    else:
        keras.utils.set_random_seed(seed)
        model = tfgen.create(id, example=EXAMPLE, seed=seed, **arguments)
        model.compile(keras.optimizers.Adam(rate, beta_1=0.5) if rate else None, ema=0.999)
    while state["seconds"] < 60 * minutes:
        start = time.process_time()
        order = np.random.default_rng((seed, state["epochs"])).permutation(len(image))
        model.fit(image[order], batch_size=batch_size, shuffle=False, verbose=0)
        state = {"epochs": state["epochs"] + 1, "seconds": state["seconds"] + time.process_time() - start}
        # Beside, then in place: a run that is killed while it saves has the epoch before.
        model.save(folder / "next.keras")
        os.replace(folder / "next.keras", saved)
        log.write_text(json.dumps(state))
    return model, state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="path of the .npz")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--models", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--minutes", type=float, default=20.0, help="of processor time, for each model")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    options.out.mkdir(parents=True, exist_ok=True)
    image, label, test, test_label = split(options.data)
    classifier = Classifier(options.out / "classifier.keras", image, label)
    accuracy = np.mean(classifier.network.predict(test, verbose=0).argmax(-1) == test_label)
    print(f"classifier: accuracy {accuracy:.4f} on {len(test)} digits; {SAMPLES} samples, seed {options.seed}")
    print(
        f"{'model':<13} {'weights':<9} {'epochs':>6} {'minutes':>7} {'labels':>6} {'rarest':>7} {'AM':>6} {'Frechet':>8}"
    )
    print_row("digits", "", {"epochs": 0, "seconds": 0.0}, classifier.measure(image, test, image[:SAMPLES]))
    for id in options.models:
        model, state = train(id, image, options.out, options.minutes, options.seed)
        for weights in ("last", "averaged"):
            with model.averaged_weights(weights == "averaged"):
                samples = model.sample(SAMPLES, seed=1).numpy()
            pictures.save(pictures.grid(samples[:64]), options.out / f"{id}_{options.seed}_{weights}.png")
            print_row(id, weights, state, classifier.measure(image, test, samples))


def print_row(name: str, weights: str, state: dict, figures: dict[str, float]) -> None:
    print(
        f"{name:<13} {weights:<9} {state['epochs']:6d} {state['seconds'] / 60:7.1f} {figures['labels']:6d} "
        f"{figures['rarest']:7.1%} {figures['am_score']:6.3f} {figures['frechet']:8.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
