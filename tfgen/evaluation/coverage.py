"""Whether a model's samples cover all classes of the data, or only some modes."""

import dataclasses

import numpy as np

from tfgen.errors import InputError


@dataclasses.dataclass(frozen=True)
class Coverage:
    """How samples spread over classes.

    Attributes:
        shares: of each class among the samples, `(classes,)`; their sum is 1.
        covered: number of classes whose share is at least `threshold` times that of equally frequent classes.
        threshold: in (0, 1].
    """

    shares: np.ndarray
    covered: int
    threshold: float

    @property
    def smallest(self) -> float:
        """Share of the rarest class."""
        return float(self.shares.min())

    @property
    def entropy(self) -> float:
        """Entropy of the shares in nats: log(classes) if all are equal, 0 if only one is left."""
        positive = self.shares[self.shares > 0]
        return float(-np.sum(positive * np.log(positive)))


def label_coverage(labels, classes: int, threshold: float = 0.1) -> Coverage:
    """Returns how samples spread over classes, by the labels that a classifier gave them.

    The classifier must not have been trained on the model's samples. A classifier gives every picture some label,
    good or not; so this measures modes that are missing, and not how good the pictures are.

    Arguments:
        labels: integers 0..classes-1, `(count,)`.
        classes: number of classes.
        threshold: share that counts as covered, relative to `1 / classes`; in (0, 1].

    Raises:
        InputError: no labels, or labels that are no classes.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not labels.size:
        raise InputError(f"coverage: {labels.dtype} of shape {labels.shape}, expected one integer per sample")
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(f"coverage: labels {labels.min()}..{labels.max()}, expected 0..{classes - 1}")
    if not 0.0 < threshold <= 1.0:
        raise InputError(f"coverage: threshold {threshold} is not in (0, 1]")
    counts = np.bincount(labels, minlength=classes)
    # Whole numbers on both sides, so that a share on the threshold is not lost to rounding.
    covered = int(np.sum(counts * classes >= threshold * labels.size))
    return Coverage(counts / labels.size, covered, threshold)


@dataclasses.dataclass(frozen=True)
class ModeCoverage:
    """How samples spread over known modes.

    Attributes:
        covered: number of modes with at least `threshold` times their fair share of samples near them.
        high_quality: share of the samples that lie near a mode.
        reverse_kl: divergence of the near samples' spread over the modes from an equal one, in nats: 0 if equal,
            log(modes) if only one is left, nan if no sample is near any.
    """

    covered: int
    high_quality: float
    reverse_kl: float


def mode_coverage(points, centres, sigma: float, *, within: float = 4.0, threshold: float = 0.16) -> ModeCoverage:
    """Returns how samples of a mixture of equal Gaussians spread over its modes.

    Of exact samples of the plane a share of 1 - exp(-within**2 / 2) is near: 98.9 % for 3, 99.97 % for 4.

    Arguments:
        points: samples, `(count, size)`.
        centres: of the modes, `(modes, size)`.
        sigma: standard deviation of a mode.
        within: how many sigma from its centre a sample may lie.
        threshold: share that counts as covered, relative to `1 / modes`.

    Raises:
        InputError: no samples, or samples and centres of different sizes.
    """
    points, centres = np.asarray(points, np.float64), np.asarray(centres, np.float64)
    if points.ndim != 2 or not len(points) or points.shape[1:] != centres.shape[1:]:
        raise InputError(f"mode coverage: points {points.shape} and centres {centres.shape}, expected (count, size)")
    squares = ((points[:, None] - centres) ** 2).sum(-1)
    nearest = squares.argmin(1)
    near = squares[np.arange(len(points)), nearest] <= (within * sigma) ** 2
    counts, modes = np.bincount(nearest[near], minlength=len(centres)), len(centres)
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return ModeCoverage(
        covered=int(np.sum(counts * modes >= threshold * len(points))),
        high_quality=float(near.mean()),
        reverse_kl=float(np.sum(shares * np.log(modes * shares))) if len(shares) else float("nan"),
    )
