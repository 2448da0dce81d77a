"""The `tfgen` command. Imports nothing heavy, so that help and mistakes are answered at once."""

import contextlib
import os
import pathlib
import shlex
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Iterator
from typing import Annotated

import typer

from tfgen.errors import InputError, RunWarning

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)

RunPath = Annotated[pathlib.Path, typer.Argument(metavar="RUN", help="Folder of a run.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]
Out = Annotated[pathlib.Path | None, typer.Option("--out", help="Where to write.")]


def main() -> None:
    """Runs the command; a mistake ends with one line on stderr and exit code 2."""
    shown = warnings.formatwarning
    warnings.formatwarning = lambda message, category, *where: (
        f"tfgen: {message}\n" if issubclass(category, RunWarning) else shown(message, category, *where)
    )
    try:
        code = app(standalone_mode=False)
    except InputError as error:
        code = _fail(str(error))
    except typer.BadParameter.__base__ as error:  # the usage errors, whose class has no public name
        code = _fail(error.format_message())
    except (KeyboardInterrupt, typer.Abort):
        code = _fail("stopped", 130)
    finally:
        warnings.formatwarning = shown
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int = 2) -> int:
    typer.echo(f"tfgen: {' '.join(message.split())}", err=True)
    return code


@app.callback(invoke_without_command=True)
def begin(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    """A zoo of deep generative models: train, sample, evaluate, export."""
    if version:
        from tfgen import __version__

        typer.echo(f"tfgen {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("list")
def list_models(
    family: Annotated[str | None, typer.Option("--family", help="Only this family.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As the table of the README, all families.")] = False,
) -> None:
    """List the models."""
    from tfgen import registry

    if markdown:
        typer.echo(registry.markdown_table())
        return
    entries = registry.list_models(family)
    width = max(len(entry.id) for entry in entries)
    for entry in entries:
        typer.echo(f"{entry.id:{width}}  {entry.family:14}  {entry.year}  {entry.title}")


@app.command()
def show(
    id: Annotated[str, typer.Argument(metavar="ID|ARTIFACT", help="Id of a model, or what an export wrote.")],
) -> None:
    """Show a model: its paper, its recipes, and what its constructor takes. Or an artifact, and how to call it."""
    from tfgen import registry

    # Where a folder has the name of a model, the model is meant; ./NAME is the folder.
    if os.sep in id or (pathlib.Path(id).exists() and all(entry.id != id for entry in registry.list_models())):
        from tfgen import export

        typer.echo(export.present(id))
        return
    from tfgen.training.arguments import constructor

    entry = registry.get_entry(id)
    typer.echo(f"{entry.id} ({entry.family})\n\n{entry.title}\n{entry.authors}, {entry.year}\n{entry.url}\n\nRecipes")
    for data, recipe in entry.recipes.items():
        settings = (f"{name}={str(value).replace(' ', '')}" for name, value in recipe["model"].items())
        model = " ".join(f"--set {shlex.quote(setting)}" for setting in settings)
        typer.echo(f"  {data}: --epochs {recipe['epochs']} --batch-size {recipe['batch_size']} {model}".rstrip())
    typer.echo("\nArguments")
    for argument in constructor(entry).values():
        default = "" if argument.default is None else f"={argument.default}"
        typer.echo(textwrap.fill(f"{argument.name}{default}: {argument.text}", 100, initial_indent="  ",
                                 subsequent_indent="      ").removesuffix(": "))  # fmt: skip


@app.command()
def train(
    context: typer.Context,
    id: Annotated[str | None, typer.Argument(metavar="ID", help="Id of a model.")] = None,
    data: Annotated[str | None, typer.Option(help="Name or path of the data.  [digits]")] = None,
    out: Annotated[pathlib.Path | None, typer.Option(help="Folder of the run.  [runs/ID_DATA]")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data.  [recipe]")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Examples in a step.  [recipe]")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Argument of the model; repeatable.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="float32, mixed_bfloat16 or mixed_float16.  [float32]")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, noise and order of the data.  [0]")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="In place of the paper's.")] = None,
    ema: Annotated[float | None, typer.Option(help="Decay of an average of the weights, in [0, 1).")] = None,
    validation: Annotated[str | None, typer.Option(help="Split to measure after each epoch.")] = None,
    conditional: Annotated[
        bool | None, typer.Option("--conditional/--no-conditional", help="Give the labels to the model.")
    ] = None,
    image_size: Annotated[str | None, typer.Option(help="32, or HEIGHTxWIDTH.")] = None,
    channels: Annotated[int | None, typer.Option(min=1, help="1 is grey, 3 is colour.")] = None,
    levels: Annotated[int | None, typer.Option(min=2, max=256, help="Levels of a channel; 2 is binary.")] = None,
    binarize: Annotated[str | None, typer.Option(help="static or dynamic, with --levels 2.")] = None,
    on_broken: Annotated[str | None, typer.Option(help="error or skip, for pictures that cannot be read.")] = None,
    labels_per_class: Annotated[
        int | None, typer.Option(min=1, help="Training examples of each class that keep their label.  [all]")
    ] = None,
    labelled: Annotated[
        int | None, typer.Option(min=1, help="Of a batch, with --labels-per-class.  [a quarter]")
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch the data if they are not here.")] = False,
    data_dir: Annotated[pathlib.Path | None, typer.Option(help="Where data sets are kept.")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Examples in an epoch's picture.  [64]")] = None,
    every: Annotated[int | None, typer.Option(min=1, help="Epochs between pictures and checkpoints.  [1]")] = None,
    doctor: Annotated[
        bool | None, typer.Option("--doctor", help="Say after each epoch what is going wrong, for adversarial models.")
    ] = None,
    keep: Annotated[int | None, typer.Option(min=1, help="Checkpoints that are kept.  [2]")] = None,
    keep_best: Annotated[
        str | None, typer.Option(metavar="METRIC", help="Keep the best epoch's too: val_loss, or nats:min.")
    ] = None,
    on_nan: Annotated[
        str | None, typer.Option(help="stop, rollback (to the last checkpoint, with half the rate) or off.  [off]")
    ] = None,
    rollbacks: Annotated[int | None, typer.Option(min=1, help="How many at most.  [3]")] = None,
    deterministic: Annotated[
        bool | None, typer.Option("--deterministic", help="The same numbers to the last bit each time; may be slower.")
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help="mirrored (GPUs share a batch), multi_worker (processes of TF_CONFIG) or none.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    force: Force = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Train a model, or go on with a training that was stopped."""
    from tfgen import training
    from tfgen.registry import get_entry
    from tfgen.training.arguments import check_arguments, parse_settings, parse_size

    if id is None and (out is None or not resume):
        raise InputError("train: say which model; `tfgen list` shows them")
    out = out or training.default_folder(id, data)
    options = {
        "image_size": parse_size(image_size), "channels": channels, "levels": levels, "binarize": binarize,
        "on_broken": on_broken, "download": download or None, "data_dir": data_dir and str(data_dir.absolute()),
        "labels_per_class": labels_per_class, "labelled": labelled,
    }  # fmt: skip
    kept = _without_none(
        {"keep_last": keep, "keep_best": keep_best, "on_nan": on_nan, "rollbacks": rollbacks, "strategy": strategy}
    )
    given = {
        "data": data, "epochs": epochs, "batch_size": batch_size, "precision": precision, "seed": seed,
        "learning_rate": learning_rate, "ema": ema, "validation": validation, "conditional": conditional,
        "samples": samples, "every": every, "doctor": doctor, "deterministic": deterministic, **kept,
        "arguments": parse_settings(settings or []) or None, "data_options": _without_none(options) or None,
    }  # fmt: skip
    given = _without_none(given)
    verbose = _verbosity(quiet)
    training.check_strategy(strategy)
    if resume:
        strategy = strategy or training.Run.open(out).record["training"].get("strategy")
    writes = not training.follows(strategy)
    if writes:
        training.check_unlocked(out)
    if resume:
        begun = training.Run.open(out)
        training.check_same(begun, id, given)
        _start(strategy, one_at_a_time=begun.record["training"].get("deterministic", False))
        with _resumable(out):
            run = training.resume(out, epochs=epochs, verbose=verbose, **kept)
    else:
        check_arguments(get_entry(id), given.get("arguments", {}))
        training.check_precision(precision)
        if writes:
            training.Run.check_free(out, force=force)
        _start(strategy, one_at_a_time=bool(deterministic))
        command = ["tfgen", *sys.argv[1:]]
        with _resumable(out):
            run = training.train(id, out=out, command=command, verbose=verbose, force=force, **given)
    if not writes:
        return
    metrics = ", ".join(f"{name} {value:.5g}" for name, value in run.record["metrics"].items())
    typer.echo(f"{run.record['model']['id']}: {run.record['training']['epochs']} epochs; {metrics}\n{run.path}")


@app.command()
def sample(
    path: RunPath,
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 64,
    seed: Annotated[int, typer.Option(help="The same seed gives the same samples.")] = 0,
    labels: Annotated[str | None, typer.Option(help="3, or 3,1,4: classes of a conditional model.")] = None,
    out: Annotated[pathlib.Path | None, typer.Option(help="File .png or .npz.  [RUN/samples_SEED.png]")] = None,
    force: Force = False,
) -> None:
    """Draw samples from a trained model."""
    from tfgen.training import Run
    from tfgen.training.arguments import parse_labels

    run = Run.open(path)
    file = out or run.path / f"samples_{seed}.png"
    if file.suffix not in (".png", ".npz"):
        raise InputError(f"--out {file}: expected a name that ends in .png or .npz")
    if out and file.exists() and not force:
        raise InputError(f"{file}: exists already; --force overwrites it")
    chosen = parse_labels(labels)
    _start()
    examples, labels = run.sample(count, seed, chosen, verbose=int(sys.stdout.isatty()))
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".npz":
        import numpy as np

        key = run.example.key
        np.savez_compressed(file, **{key: examples}, **({} if labels is None else {"label": labels}))
    else:
        from tfgen import pictures

        pictures.save(pictures.of_examples(run.example, examples), file)
    typer.echo(str(file))


@app.command()
def complete(
    path: RunPath,
    count: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 8,
    completions: Annotated[int, typer.Option(min=1, help="Of each picture.")] = 3,
    known: Annotated[float, typer.Option(help="Share of the rows that is known, from the top.")] = 0.5,
    split: Annotated[str, typer.Option(help="Split that the pictures come from.")] = "test",
    seed: Annotated[int, typer.Option(help="The same seed gives the same completions.")] = 0,
    out: Annotated[pathlib.Path | None, typer.Option(help="File .png.  [RUN/completions_SEED.png]")] = None,
    force: Force = False,
) -> None:
    """Draw the lower part of pictures given the upper; the last column shows how unsure the model is of each pixel."""
    from tfgen.training import Run

    run = Run.open(path)
    file = out or run.path / f"completions_{seed}.png"
    if file.suffix != ".png":
        raise InputError(f"--out {file}: expected a name that ends in .png")
    if out and file.exists() and not force:
        raise InputError(f"{file}: exists already; --force overwrites it")
    _start()
    from tfgen import pictures

    made = run.complete(count, completions=completions, known=known, split=split, seed=seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    pictures.save(pictures.completions(run.example, **made), file)
    typer.echo(str(file))


@app.command()
def evaluate(
    path: RunPath,
    split: Annotated[str, typer.Option(help="Split of the data.")] = "test",
    importance_samples: Annotated[
        int, typer.Option(min=0, help="k of the importance-weighted bound, for models with latent variables.")
    ] = 0,
    probe: Annotated[
        bool, typer.Option("--probe", help="Also how many classes a linear classifier of its features gets right.")
    ] = False,
) -> None:
    """Measure a trained model."""
    from tfgen.training import Run

    run = Run.open(path)
    _start()
    figures = run.evaluate(split, importance_samples=importance_samples, probe=probe)
    width = max(map(len, figures))
    typer.echo(f"{run.record['model']['id']} on {run.record['data']['name']}, {split}")
    for name, value in figures.items():
        error = figures.get(f"{name}_se")
        if not name.endswith("_se"):
            typer.echo(f"  {name:{width}}  {value:.6g}" + ("" if error is None else f" ± {error:.2g}"))


@app.command()
def export(
    path: RunPath,
    out: Out = None,
    serving: Annotated[
        pathlib.Path | None,
        typer.Option(metavar="ROOT", help="Write the next version in a root of TensorFlow Serving."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the model there, with --serving.  [its id]")] = None,
    warmup: Annotated[bool, typer.Option("--warmup/--no-warmup", help="Requests to warm up, with --serving.")] = True,
    tflite: Annotated[
        str | None, typer.Option(metavar="PRECISION", help="Write a TF-Lite file: float32, float16, dynamic or int8.")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Fixed size of its batches.  [any]")] = None,
    max_loss: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of its range that an endpoint may lose, or it stays float32."),
    ] = None,
    force: Force = False,
) -> None:
    """Export a trained model as a SavedModel or a TF-Lite file, load that back and verify it."""
    from tfgen.training import Run

    run = Run.open(path)
    if tflite is None and (batch is not None or max_loss is not None):
        raise InputError("export: --batch and --max-loss go with --tflite PRECISION")
    if tflite is not None:
        if serving is not None or name is not None or not warmup:
            raise InputError("export: --tflite writes a file; leave out --serving, --name and --no-warmup")
        where = {"out": out, "force": force, "tflite": tflite, "batch": batch, "max_loss": max_loss}
    elif serving is None:
        if name is not None or not warmup:
            raise InputError("export: --name and --no-warmup go with --serving ROOT")
        folder = out or run.path / "export"
        if folder.exists() and not force:
            raise InputError(f"{folder}: exists already; --force overwrites it")
        where = {"out": folder, "force": force}
    else:
        if out is not None or force:
            raise InputError("export: --serving writes a new version and keeps the old; leave out --out and --force")
        where = {"serving": serving, "name": name, "warmup": warmup}
    _start()
    folder, report = run.export(**where)
    typer.echo(f"{report}\n{folder}")
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def verify(
    paths: Annotated[list[pathlib.Path], typer.Argument(metavar="ARTIFACT...", help="What exports wrote.")],
) -> None:
    """Check every file of an artifact, load it and run it on the reference cases that it brings along.

    Several TF-Lite files of one model are also set side by side: size, what they lose, and the time of a call.
    """
    from tfgen import export

    for path in paths:
        export.check_files(path)  # a damaged one is told at once
    _start()
    reports = [export.verify(path) for path in paths]
    typer.echo("\n\n".join(map(str, reports)))
    if len(paths) > 1 and all(path.is_file() for path in paths):
        typer.echo(f"\n{export.side_by_side(paths, reports)}")
    if not all(report.ok for report in reports):
        raise typer.Exit(1)


@app.command()
def demo(
    out: Annotated[pathlib.Path, typer.Option(help="Where to write.")] = pathlib.Path("runs/demo"),
    quick: Annotated[bool, typer.Option("--quick", help="One epoch each, to see that it runs.")] = False,
    force: Force = False,
) -> None:
    """Train, evaluate, export and verify three models on handwritten digits."""
    from tfgen.training import Run

    Run.check_free(out, force=force)
    _start()
    from tfgen.demo import run_demo

    if not run_demo(out, quick=quick, verbose=_verbosity(False)):
        raise typer.Exit(1)


@contextlib.contextmanager
def _resumable(out: pathlib.Path) -> Iterator[None]:
    """Says how to resume when a training is interrupted."""
    from tfgen.training import Interrupted

    try:
        yield
    except Interrupted as interrupt:
        code = _fail(f"stopped {interrupt}. Resume with: tfgen train --out {shlex.quote(str(out))} --resume", 130)
        raise typer.Exit(code) from None


def _start(strategy: str | None = None, one_at_a_time: bool = False) -> None:
    """Imports TensorFlow without the lines that it writes to stderr about drivers and instruction sets.

    Arguments:
        strategy: of the training that follows.
        one_at_a_time: whether it is to run one operation at a time, which it is told before it starts.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if one_at_a_time:
        os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    sys.stderr.flush()
    stderr = os.dup(2)
    # TensorFlow writes them from C++ and before its log level counts; so the file descriptor is what has to be turned.
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), 2)
        try:
            import tensorflow as tf

            if strategy == "multi_worker":
                from tfgen.training import strategies

                strategies.make_strategy(strategy)  # workers find each other before the first tensor
            tf.zeros(())  # the first tensor looks for devices
        except BaseException:
            hidden.seek(0)
            os.write(stderr, hidden.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)


def _verbosity(quiet: bool) -> int:
    """Returns Keras' number: a bar for a person, a line per epoch for a log."""
    return 0 if quiet else 1 if sys.stdout.isatty() else 2


def _without_none(options: dict) -> dict:
    return {name: value for name, value in options.items() if value is not None}
