"""Compares what an artifact answers with what its model answers in Python, whatever runs the artifact."""

import dataclasses
import datetime
import math
from collections.abc import Callable, Iterable

import numpy as np

from tfgen.errors import InputError
from tfgen.evaluation import frechet_distance
from tfgen.export.card import jsonable

#: A float may differ by this much, times the size of the expected number where that is above 1.
FLOAT_TOLERANCE = 1e-4

#: Share of integers (levels, tokens) that may differ: a float on the edge between two levels can round either way.
INTEGER_SHARE = 1e-3


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much an answer may differ before it is a problem.

    Arguments:
        floats: by how much a float may, times the size of the expected number where that is above 1.
        integers: share of the integers that may.
    """

    floats: float = FLOAT_TOLERANCE
    integers: float = INTEGER_SHARE


#: For what computes with the same numbers.
STRICT = Limits()

#: For numbers that are kept with fewer bits: what they lose is told, and is no problem while it is finite.
LOSSY = Limits(math.inf, 1.0)

#: Examples from which on a case is a set of samples, of which a report tells how far its distribution has moved.
SAMPLES = 128

# Numbers of an example that are looked at for that.
_FEATURES = 16

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Case:
    """A signature's reference inputs, and the model's answer to them in Python; both by outer name."""

    signature: str
    inputs: Arrays
    outputs: Arrays


@dataclasses.dataclass(frozen=True)
class Row:
    """How one output of a signature compares over all cases.

    Attributes:
        signature, output: names; the output is None where the whole signature failed.
        shape, dtype: as Python gives them, in the last case.
        max_error, mean_error: absolute, the worst case's; None where nothing could be compared.
        equal: share of equal integers, the worst case's; None for floats.
        loss: mean error as a share of the range of what is expected, the worst case's; None where that is one number.
        rms_error: root of the mean square error, the worst case's.
        frechet: Fréchet distance between what is expected and what is answered, of cases of samples (see `moved`).
        chance: the same between the two halves of what is expected, which is what chance alone makes of as few.
        problem: why it is not ok, or empty.
    """

    signature: str
    output: str | None = None
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    max_error: float | None = None
    mean_error: float | None = None
    equal: float | None = None
    loss: float | None = None
    rms_error: float | None = None
    frechet: float | None = None
    chance: float | None = None
    problem: str = ""

    @property
    def ok(self) -> bool:
        return not self.problem


@dataclasses.dataclass(frozen=True)
class Report:
    """What a verification found; `str(report)` is a table.

    Attributes:
        path: of the artifact.
        rows: one per output of each signature, or per failed signature.
        limits: what was a problem.
        peak: the highest level of a picture, for the ratio of signal to noise; None if there are no pictures.
    """

    path: str
    rows: tuple[Row, ...]
    limits: Limits = STRICT
    peak: int | None = None

    @property
    def ok(self) -> bool:
        """Whether there are rows, and all of them are."""
        return bool(self.rows) and all(row.ok for row in self.rows)

    def to_dict(self) -> dict:
        """Returns the report with the types of strict JSON only; an infinite error is the text `"inf"`."""
        rows = [dataclasses.asdict(row) | {"ok": row.ok} for row in self.rows]
        limits = {"float_tolerance": self.limits.floats, "integer_share": self.limits.integers}
        return jsonable({"path": self.path, "ok": self.ok, "limits": limits, "rows": rows}, "report")

    def to_card(self) -> dict:
        """Returns what a card tells of it: `verification`, with `when` (UTC) and all of `to_dict` but the path."""
        told = {key: value for key, value in self.to_dict().items() if key != "path"}
        return {"verification": {"when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")} | told}

    def psnr(self, row: Row) -> float | None:
        """Returns the ratio of the peak signal to the noise of a row of pictures in dB, infinite where all are equal."""
        if self.peak is None or row.dtype != "uint8" or row.rms_error is None:
            return None
        return 20.0 * math.log10(self.peak / row.rms_error) if row.rms_error else math.inf

    @staticmethod
    def frechet(row: Row) -> str:
        """Returns how far samples have moved, beside what chance does to half as many; `-` where there are none."""
        return "-" if row.frechet is None else f"{row.frechet:.2g} (chance {row.chance:.2g})"

    def __str__(self) -> str:
        lines = [
            ("signature", "output", "shape", "dtype", "max error", "mean error", "equal", "loss", "PSNR", "Fréchet", "")
        ]
        for row in self.rows:
            errors = ("-" if error is None else f"{error:.1e}" for error in (row.max_error, row.mean_error))
            # Rounded down, so that only equal arrays are printed as 100%.
            equal = "-" if row.equal is None else f"{np.floor(row.equal * 1000) / 10:g}%"
            loss = "-" if row.loss is None else f"{row.loss:.1%}"
            psnr = "-" if self.psnr(row) is None else f"{self.psnr(row):.1f} dB"
            names = (row.signature, *("-" if it is None else str(it) for it in (row.output, row.shape, row.dtype)))
            lossy = (loss, psnr, self.frechet(row))
            lines.append((*names, *errors, equal, *lossy, "ok" if row.ok else f"FAILED: {row.problem}"))
        if self.limits == STRICT:
            lines = [line[:7] + line[-1:] for line in lines]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
        return "\n".join([*table, f"{self.path}: {self.verdict}"])

    @property
    def verdict(self) -> str:
        """What was found, in a few words."""
        failed = sum(not row.ok for row in self.rows)
        if failed:
            return f"{failed} of {len(self.rows)} differ from Python"
        if self.limits == STRICT:
            return "equal to Python"
        return f"loses at most {max(row.loss or 0.0 for row in self.rows):.1%} of an output's range on average"


def compare(cases: Iterable[Case], run: Callable[[str, Arrays], Arrays], limits: Limits = STRICT) -> list[Row]:
    """Compares what a runtime answers with what is expected.

    Arguments:
        cases: several per signature, in any order.
        run: signature name and inputs -> outputs; raises InputError where the artifact does not run.
        limits: what is a problem.

    Returns:
        One row per signature and output, with the worst of its cases.
    """
    found: dict[tuple[str, str | None], Row] = {}
    for case in cases:
        try:
            actual = run(case.signature, case.inputs)
        except InputError as error:
            rows = [Row(case.signature, problem=f"does not run: {error}")]
        else:
            rows = [
                _compare_output(Row(case.signature, output), case.outputs.get(output), actual.get(output), limits)
                for output in sorted(case.outputs.keys() | actual.keys())
            ]
        for row in rows:
            key = (row.signature, row.output)
            found[key] = _worst(found[key], row) if key in found else row
    return list(found.values())


def _compare_output(row: Row, expected: np.ndarray | None, actual: np.ndarray | None, limits: Limits) -> Row:
    if expected is None:
        return dataclasses.replace(row, problem="an output that Python does not give")
    row = dataclasses.replace(row, shape=expected.shape, dtype=expected.dtype.name)
    if actual is None:
        return dataclasses.replace(row, problem="missing output")
    if (actual.shape, actual.dtype) != (expected.shape, expected.dtype):
        given, wanted = (f"{array.dtype.name} {array.shape}" for array in (actual, expected))
        return dataclasses.replace(row, problem=f"gives {given}, expected {wanted}")
    integers = expected.dtype.kind in "iub"
    expected, actual = expected.astype(np.float64), actual.astype(np.float64)
    same = (expected == actual) | (np.isnan(expected) & np.isnan(actual))
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0.0, np.nan_to_num(np.abs(expected - actual), nan=np.inf, posinf=np.inf))
    # What is expected to be infinite or no number leaves no room for an error.
    size = np.where(np.isfinite(expected), np.maximum(1.0, np.abs(expected)), 0.0)
    with np.errstate(invalid="ignore"):
        differ = ~same if integers else (error > limits.floats * size) | np.isinf(error)
    share = float(differ.mean()) if differ.size else 0.0
    problem = ""
    if share > (limits.integers if integers else 0.0):
        problem = f"{share:.1%} of the numbers differ" + ("" if integers else f" by more than {limits.floats:g}")
    finite = expected[np.isfinite(expected)]
    spread = float(np.ptp(finite)) if finite.size else 0.0
    mean = float(error.mean()) if error.size else 0.0
    frechet, chance = moved(expected, actual) if len(expected.shape) > 1 and len(expected) >= SAMPLES else (None, None)
    return dataclasses.replace(
        row,
        max_error=float(error.max(initial=0.0)),
        mean_error=mean,
        equal=1.0 - share if integers else None,
        # One number has no range. Where several are expected to be the same, what differs is lost as a whole.
        loss=None if expected.size == 1 else min(mean / spread if spread else float(mean > 0.0), 1.0),
        rms_error=float(np.sqrt(np.mean(np.square(error)))) if error.size else 0.0,
        frechet=frechet,
        chance=chance,
        problem=problem,
    )


def moved(expected: np.ndarray, actual: np.ndarray) -> tuple[float, float]:
    """Returns how far a set of samples has moved as a whole, and how far chance moves half as many.

    The first is the Fréchet distance (see `tfgen.evaluation.frechet_distance`) between the two sets, the second that
    between the two halves of what is expected. Of each example 16 fixed directions are looked at, orthogonal and of unit
    length, drawn once and for all; or all of its numbers where there are no more. Both sets follow from the same noise, so
    that the first is 0 where nothing is lost, however few they are.

    It is no FID: it sees means and covariances of levels, not what a network that knows pictures would see, and figures of
    other data can not be set beside it. But its root is a metric. So from any data whatever, the root of the
    distance in these features is for the artifact at most that much larger than for the model.

    Arguments:
        expected: the model's samples, `(count, ...)`, at least four.
        actual: the artifact's, of the same shape.

    Returns:
        Both distances; infinite, and 0, where numbers are not finite.
    """
    one, other = (np.reshape(x, (len(x), -1)).astype(np.float64) for x in (expected, actual))
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return math.inf, 0.0
    size = one.shape[1]
    if size > _FEATURES:
        directions = np.linalg.qr(np.random.default_rng(0).normal(size=(size, _FEATURES)))[0]
        one, other = one @ directions, other @ directions
    half = len(one) // 2
    # Rounding can make a distance of 0 a negative one.
    return max(frechet_distance(one, other), 0.0), max(frechet_distance(one[:half], one[half:]), 0.0)


def _worst(one: Row, other: Row) -> Row:
    """Returns the second row with the larger errors, the smaller share and the first problem of both."""

    def pick(choose: Callable, name: str):
        numbers = [getattr(row, name) for row in (one, other) if getattr(row, name) is not None]
        return choose(numbers) if numbers else None

    return dataclasses.replace(
        other,
        max_error=pick(max, "max_error"),
        mean_error=pick(max, "mean_error"),
        equal=pick(min, "equal"),
        loss=pick(max, "loss"),
        rms_error=pick(max, "rms_error"),
        frechet=pick(max, "frechet"),
        chance=pick(max, "chance"),
        problem=one.problem or other.problem,
    )
