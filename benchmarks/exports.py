"""Exports every model as TF-Lite files of each precision, and tells their sizes, what they lose, and how fast they answer.

    python benchmarks/exports.py --out runs/exports                  # all models
    python benchmarks/exports.py vae dcgan --steps 1000 --out runs/exports

A model has the sizes of its recipe for 8x8 digits, and is trained for a few steps: what it loses depends on how far it has
come. A row is a file: kilobytes of the network with all of its signatures (the file has its card and reference cases besides);
how many times smaller than float32; then by the verification of all signatures: the largest mean error as a share of an
output's range, the least ratio of signal to noise of pictures, the greatest mean change of a log-likelihood in nats, the least
share of equal levels, and for samples by noise how far their distribution moved, beside what chance does; milliseconds of
a call of the sampler by one thread and by two, medians of calls in turn; seconds of the export with its verification;
which signatures have another precision, and why. Each model has a process of its own, and the folder keeps its rows, so that
a run that is stopped goes on.
"""

import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tfgen
from tfgen.registry import get_entry

#: Models of pixels that are 0 or 1.
BINARY = ("fvsbn", "made", "nade")
SAMPLERS = ("sample_from_noise", "generate", "sample")
COLUMNS = {
    "model": 21, "precision": 9, "kB": 8, "smaller": 7, "loss": 6, "PSNR": 6, "nats": 8, "equal": 6, "Fréchet": 19,
    "ms, 1": 8, "ms, 2": 8, "s": 5,
}  # fmt: skip


def measure(id: str, steps: int, out: pathlib.Path) -> list[dict]:
    """Returns a row for each file of a model."""
    import keras
    import numpy as np

    from tfgen import export
    from tfgen.data import open_source
    from tfgen.export.lite.contest import latencies
    from tfgen.export.lite.conversion import PRECISIONS
    from tfgen.export.lite.files import read_file
    from tfgen.training.building import build_model, check_match

    keras.utils.set_random_seed(0)
    recipe = get_entry(id).recipe("digits")
    source = open_source("digits", levels=2 if id in BINARY else None)
    conditional = check_match(get_entry(id), source, None)
    model = build_model(get_entry(id), source, recipe["model"], conditional=conditional, precision="float32", seed=0)
    model.compile(steps_per_execution=10)
    batches = source.dataset("train", recipe["batch_size"], drop_remainder=True, keys=tuple(model.specs))
    epochs = max(math.ceil(steps / len(list(batches))), len(model.stages()))
    model.fit(batches, epochs=epochs, verbose=0)
    rows, paths = [], []
    for precision in PRECISIONS:
        path, start = out / f"{id}_{precision}.tflite", time.perf_counter()
        try:
            export.tflite(model, path, precision=precision, data=source.arrays("train"), overwrite=True)
        except tfgen.InputError as error:
            rows.append({"model": id, "precision": precision, "told": str(error).splitlines()[0]})
            continue
        seconds, report, (network, card, _) = time.perf_counter() - start, export.verify(path), read_file(path)
        found = report.rows
        kept = {name: told for name, told in card["precisions"].items() if told != precision}
        nats = [
            row.mean_error for row in found if row.output and "log_prob" in row.signature and row.dtype == "float32"
        ]
        moved = [row for row in found if row.frechet is not None]
        rows.append(
            {
                "model": id, "precision": precision, "kB": len(network) / 1e3, "s": seconds, "ok": report.ok,
                "loss": max((row.loss or 0.0 for row in found), default=0.0),
                "PSNR": min((ratio for ratio in map(report.psnr, found) if ratio is not None), default=None),
                "nats": max(nats, default=None),
                "equal": min((row.equal for row in found if row.equal is not None), default=None),
                "Fréchet": report.frechet(max(moved, key=lambda row: row.frechet)) if moved else None,
                "signatures": list(card["signatures"]),
                "told": "; ".join(f"{name} {told}" for name, told in kept.items()),
            }
        )  # fmt: skip
        paths.append(path)
    files = [row for row in rows if "kB" in row]
    for row in files:
        row["smaller"] = files[0]["kB"] / row["kB"]
    common = (
        [name for name in files[0]["signatures"] if all(name in row["signatures"] for row in files)] if files else []
    )
    timed = next((name for name in SAMPLERS if name in common), common[0] if common else None)
    if timed:
        for row, times in zip(files, latencies(paths, timed), strict=True):
            row["timed"], row["ms, 1"], row["ms, 2"] = timed, times[1], times[2]
    for path in paths:
        path.unlink()
    return json.loads(
        json.dumps(rows, default=lambda number: number.item() if isinstance(number, np.generic) else str(number))
    )


def show(rows: list[dict]) -> None:
    digits = {"kB": 1, "smaller": 2, "loss": 3, "PSNR": 1, "nats": 3, "equal": 3, "ms, 1": 2, "ms, 2": 2, "s": 0}
    for row in rows:
        cells = []
        for name, width in COLUMNS.items():
            value = row.get(name)
            text = "-" if value is None else f"{value:.{digits[name]}f}" if name in digits else str(value)
            cells.append(text.ljust(width) if name in ("model", "precision") else text.rjust(width))
        print(*cells, "", row.get("told", ""), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="all unless given")
    parser.add_argument("--steps", type=int, default=200, help="of training")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of rows")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.one:
        [id] = options.models
        rows = measure(id, options.steps, options.out)
        (options.out / f"{id}.json").write_text(json.dumps({"steps": options.steps, "rows": rows}))
        return
    print(*(name.ljust(width) if at < 2 else name.rjust(width) for at, (name, width) in enumerate(COLUMNS.items())))
    for id in options.models or [entry.id for entry in tfgen.list_models()]:
        place = options.out / f"{id}.json"
        if not place.exists() or json.loads(place.read_text())["steps"] != options.steps:
            command = [sys.executable, __file__, id, "--one", "--steps", str(options.steps), "--out", str(options.out)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                told = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
                show([{"model": id, "told": f"failed: {told}"}])
                continue
        show(json.loads(place.read_text())["rows"])


if __name__ == "__main__":
    main()
