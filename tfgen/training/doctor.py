"""A callback that says what is going wrong in an adversarial training."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.data.mixtures import Mixture
from tfgen.evaluation import mode_coverage
from tfgen.models.faults import Fault
from tfgen.models.generative import GenerativeModel
from tfgen.precision import steady_sum
from tfgen.training.building import spread_labels


class Doctor(keras.callbacks.Callback):
    """Examines a model after each epoch, says in one line what is going wrong, and stops at a NaN.

    It adds to the epoch's metrics, so that the history, CSV files and TensorBoard have them if their callbacks come
    behind it:

    - `real_accuracy`, `fake_accuracy`: shares of real and generated examples that the discriminator tells; the boundary
      of a critic without one is the median of all its scores.
    - `<player>_gradient`, `<player>_<term>_gradient`: norms of the gradients of a player's loss and of each of its
      terms, with networks in inference mode.
    - `diversity`: mean distance of a sample to the nearest other one, relative to that of real examples: near 1 if
      samples spread as the data do, 0 if all are the same.
    - `modes`, `high_quality`, `reverse_kl`: see `tfgen.evaluation.mode_coverage`, where the modes are known.
    - the last two again with `ema_` before them, for averaged weights, if the model was compiled with `ema`.

    Looking changes nothing: the weights after a training with it are those of one without it. A step whose loss or
    gradients are not finite is not made; the training ends there, and `fault` tells who, which term, when, and the
    first bad tensor.

    Arguments:
        examples: real ones to compare with, as for `fit`, some hundreds.
        mixture: what the data were drawn from, as `tfgen.data.mixtures.ring()`, if that is known.
        every: number of epochs between two examinations; the last epoch always has one.
        verbose: whether the line is printed.
    """

    def __init__(self, examples, mixture: Mixture | None = None, every: int = 1, verbose: bool = True):
        super().__init__()
        self.examples, self.mixture, self.every, self.verbose = examples, mixture, every, verbose
        #: The last diagnosis.
        self.diagnosis = ""
        #: What ended the training, if anything did.
        self.fault: Fault | None = None
        self._first_gradients: dict[str, float] = {}

    def on_train_begin(self, logs=None):
        self.fault, self._first_gradients = None, {}
        self.model.watch_faults()

    def on_train_end(self, logs=None):
        self.model.watch_faults(False)

    def on_train_batch_end(self, batch, logs=None):
        self.fault = self.model.faults.first
        if self.fault is not None:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else logs
        if self.fault is not None:
            self._say(epoch, str(self.fault))
        elif (epoch + 1) % self.every == 0 or epoch + 1 == self.params["epochs"]:
            figures = self.examine()
            logs |= figures
            self._say(epoch, self.diagnose(figures))

    def _say(self, epoch: int, diagnosis: str) -> None:
        self.diagnosis = diagnosis
        if self.verbose:
            print(f"\ndoctor, epoch {epoch + 1}: {diagnosis}", flush=True)

    # What is measured.

    def examine(self) -> dict[str, float]:
        """Returns the figures of the model as it is."""
        model: GenerativeModel = self.model
        batch = model.unpack(self.examples)
        with model.averaged_weights(False):
            figures = self._balance(batch) | self._gradients(batch) | self._spread(batch)
        if model.averages:
            with model.averaged_weights():
                figures |= {f"ema_{name}": value for name, value in self._spread(batch).items()}
        return figures

    def _samples(self, count: int) -> tf.Tensor:
        labels = spread_labels(self.model, count)
        return self.model.sample(count, 0, **({} if labels is None else {"label": labels}))

    def _balance(self, batch) -> dict[str, float]:
        if "discriminate" not in self.model.endpoints():
            return {}
        real = batch[self.model.example.key]
        given = (
            {"label": batch["label"]}
            if "label" in self.model.endpoints()["discriminate"].parameters(self.model)
            else {}
        )
        scores = [self.model.discriminate(x, **given) for x in (real, self._samples(len(real)))]
        # Of a model with a score per level all levels count.
        real, fake = (np.reshape(self.model.realness(score), -1) for score in scores)
        if not self.model.has_boundary:
            boundary = np.median(np.concatenate([real, fake]))
            real, fake = real - boundary, fake - boundary
        return {"real_accuracy": _positive(real), "fake_accuracy": _positive(-fake)}

    def _gradients(self, batch) -> dict[str, float]:
        figures = {}
        for player in self.model.moving():
            variables = [variable.value for variable in player.variables]
            with self.model.aside(), tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
                tape.watch(variables)
                terms = {name: tf.cast(term, tf.float32) for name, term in player.terms(batch).items()}
                loss = steady_sum(terms.values())
            for name, term in {"": loss, **({} if len(terms) == 1 else terms)}.items():
                gradients = [one for one in tape.gradient(term, variables) if one is not None]
                norm = float(tf.linalg.global_norm(gradients)) if gradients else 0.0
                figures["_".join(filter(None, (player.name, name, "gradient")))] = norm
        return figures

    def _spread(self, batch) -> dict[str, float]:
        example = self.model.example
        real = batch[example.key]
        samples = self._samples(len(real))
        distances = [nearest_distance(example.to_network(x).numpy()) for x in (samples, real)]
        figures = {"diversity": float(distances[0] / max(distances[1], 1e-12))}
        if self.mixture is not None:
            found = mode_coverage(samples, self.mixture.modes, self.mixture.sigma)
            figures |= {
                "modes": float(found.covered),
                "high_quality": found.high_quality,
                "reverse_kl": found.reverse_kl,
            }
        return figures

    # What it means.

    def diagnose(self, figures: dict[str, float]) -> str:
        """Returns the worst of what figures tell, in a line."""
        for player in self.model.moving():
            norm = figures[f"{player.name}_gradient"]
            first = self._first_gradients.setdefault(player.name, norm)
            if norm > 100.0 * max(first, 1e-6):
                return (
                    f"the {player.name}'s gradient explodes: its norm is {norm:.3g}, {norm / max(first, 1e-6):.0f} times "
                    "that of the first epoch; lower its rate, or clip its gradients"
                )
            penalty = figures.get(f"{player.name}_penalty_gradient", 0.0)
            others = [
                value for name, value in figures.items()
                if name.startswith(f"{player.name}_") and name.endswith("_gradient") and "_penalty_" not in name
                and name != f"{player.name}_gradient"
            ]  # fmt: skip
            if others and penalty > 10.0 * max(others):
                return (
                    f"the {player.name} is busy with its penalty, whose gradient is {penalty / max(max(others), 1e-12):.0f} "
                    "times that of its other terms; lower the penalty's weight"
                )
        real, fake = figures.get("real_accuracy", 0.5), figures.get("fake_accuracy", 0.5)
        seen = f"it tells {real:.0%} of real and {fake:.0%} of generated examples"
        diversity, modes = figures["diversity"], figures.get("modes")
        few = f"{modes:.0f} of {len(self.mixture.modes)} modes, " if modes is not None else ""
        missing = modes is not None and modes < 0.7 * len(self.mixture.modes)
        near = figures.get("high_quality", 1.0)
        if diversity < 0.3 or (missing and near > 0.5):
            alike = f"{few}samples are {diversity:.2f} times as far apart as real examples"
            return f"the generator has collapsed: {alike}; {seen}"
        if real > 0.95 and fake > 0.95:
            generator = figures.get("generator_gradient")
            rest = "" if generator is None else f", and the generator's gradient is {generator:.2g}"
            return f"the discriminator wins: {seen}{rest}; slow it down, or regularise it"
        if near < 0.5:
            off = f"only {near:.0%} of the samples are near a mode"
            if real + fake < 1.1:
                return f"the discriminator is too weak: {seen}, though {off}; give it more width or steps"
            return f"the generator is not there yet: {few}{off}; {seen}"
        return f"nothing wrong: {few}diversity {diversity:.2f}; the discriminator tells {real:.0%} and {fake:.0%}"


def _positive(values: np.ndarray) -> float:
    """Returns the share of positive values; a 0 counts half."""
    return float(np.mean(values > 0) + 0.5 * np.mean(values == 0))


def nearest_distance(x: np.ndarray) -> float:
    """Returns the mean distance of an example to the nearest other one, for `(count, ...)` with at least two."""
    x = x.reshape(len(x), -1).astype(np.float64)
    squares = np.sum(x**2, 1)
    distances = squares[:, None] + squares - 2.0 * x @ x.T
    np.fill_diagonal(distances, np.inf)
    return float(np.mean(np.sqrt(np.maximum(distances.min(1), 0.0))))
