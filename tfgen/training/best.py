"""Which epoch of a training was the best."""

import dataclasses
import math

from tfgen.errors import InputError

# Parts of names of what is better when it is larger; all else is, like a loss, better when it is smaller.
_LARGER = {
    "accuracy", "coverage", "diversity", "elbo", "likelihood", "modes", "precision", "prob", "quality", "recall",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Goal:
    """What the best epoch is the best at.

    Arguments:
        metric: name of a metric of the epoch, as `val_loss`.
        largest: whether the largest value is the best.
    """

    metric: str
    largest: bool

    @classmethod
    def parse(cls, text: str) -> "Goal":
        """Returns a goal from `val_loss`, whose direction the name says, or `nats:min`, `score:max`.

        Raises:
            InputError: no name, or another direction.
        """
        metric, colon, direction = text.partition(":")
        if not metric or (colon and direction not in ("min", "max")):
            raise InputError(
                f"keep_best: {text!r}, expected a metric as val_loss, or with its direction as val_loss:min"
            )
        return cls(metric, direction == "max" if colon else bool(_LARGER & set(metric.split("_"))))

    def is_better(self, value: float, best: dict | None) -> bool:
        """Returns whether a value is better than that of the best epoch so far, `best["value"]`; a NaN never is."""
        if not math.isfinite(value):
            return False
        if best is None:
            return True
        return value > best["value"] if self.largest else value < best["value"]
