"""Sets TF-Lite files of one model side by side: size, speed, and what they lose."""

import pathlib
import statistics
import time
from collections.abc import Sequence

from tfgen.export.comparison import Report
from tfgen.export.lite.files import read_file
from tfgen.export.lite.running import Interpreter

#: Threads that each file is timed with.
THREADS = (1, 2)


def side_by_side(paths: Sequence, reports: Sequence[Report], repeats: int = 21) -> str:
    """Returns a table: for each signature, and each file that has it, the size of the file, what it loses, and its time.

    All files are called in turn on the largest reference case of the signature that all have, so that what else the
    machine does burdens them alike; the median of the calls is told, in milliseconds.

    Arguments:
        paths: of TF-Lite files.
        reports: of their verification.
        repeats: calls of each.

    Raises:
        InputError: a file is damaged.
    """
    files = [read_file(path) for path in paths]
    runners = [{threads: Interpreter(data, threads) for threads in THREADS} for data, *_ in files]
    times_of = [f"ms, {n} thread{'s' * (n > 1)}" for n in THREADS]
    lines = [("signature", "file", "kB", "precision", "loss", "PSNR", "Fréchet", *times_of)]
    for name in dict.fromkeys(signature for _, card, _ in files for signature in card["signatures"]):
        having = [at for at, (_, card, _) in enumerate(files) if name in card["signatures"]]
        times = _times(name, {at: runners[at] for at in having}, {at: files[at][2] for at in having}, repeats)
        for at in having:
            data, card, _ = files[at]
            rows = [row for row in reports[at].rows if row.signature == name]
            ratios = [ratio for ratio in map(reports[at].psnr, rows) if ratio is not None]
            lines.append((
                name, pathlib.Path(paths[at]).name, f"{len(data) / 1e3:.1f}", card["precisions"][name].partition(":")[0],
                f"{max((row.loss or 0.0 for row in rows), default=0.0):.1%}",
                f"{min(ratios):.1f} dB" if ratios else "-",
                next((told for row in rows if (told := reports[at].frechet(row)) != "-"), "-"),
                *(f"{times[at, n]:.3f}" for n in THREADS),
            ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def latencies(paths: Sequence, signature: str, repeats: int = 21) -> list[dict[int, float]]:
    """Returns for each file milliseconds of a call by the number of threads, medians of calls in turn.

    Arguments:
        paths: of TF-Lite files that all have the signature.
        signature: its name.
        repeats: calls of each.
    """
    files = [read_file(path) for path in paths]
    runners = {at: {threads: Interpreter(data, threads) for threads in THREADS} for at, (data, *_) in enumerate(files)}
    times = _times(signature, runners, {at: cases for at, (*_, cases) in enumerate(files)}, repeats)
    return [{threads: times[at, threads] for threads in THREADS} for at in runners]


def _times(name: str, runners: dict, references: dict, repeats: int) -> dict[tuple[int, int], float]:
    """Returns the median time of a call in milliseconds, by file and number of threads."""
    inputs = {
        at: {tuple(v.shape for v in case.inputs.values()): case.inputs for case in cases if case.signature == name}
        for at, cases in references.items()
    }
    # All are asked the same; those of fixed shapes have nothing in common with others, and get what they take.
    common = set.intersection(*(set(own) for own in inputs.values()))
    inputs = {
        at: max(
            (given for shapes, given in own.items() if not common or shapes in common),
            key=lambda one: sum(v.size for v in one.values()),
        )
        for at, own in inputs.items()
    }
    found: dict[tuple[int, int], list[float]] = {}
    for repeat in range(-2, repeats):  # the first calls prepare
        for at, by_threads in runners.items():
            for threads, runner in by_threads.items():
                begin = time.perf_counter()
                runner.run(name, inputs[at])
                if repeat >= 0:
                    found.setdefault((at, threads), []).append(1e3 * (time.perf_counter() - begin))
    return {key: statistics.median(values) for key, values in found.items()}
