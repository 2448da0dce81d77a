"""Trains a model of the registry in a run folder, and goes on where a run was stopped."""

import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

from tfgen.errors import InputError, unknown
from tfgen.registry import get_entry
from tfgen.training import lock
from tfgen.training.arguments import check_arguments
from tfgen.training.best import Goal
from tfgen.training.checkpoints import Place, read_place, save_model
from tfgen.training.mishaps import Diverged, explain, lower_rates, roll_back
from tfgen.training.run import FORMAT, Interrupted, Run
from tfgen.training.strategies import check_batch_size, check_strategy, follows, scope, scratch

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
ON_NAN = ("off", "stop", "rollback")

# What of the training may be said anew when it is resumed, and what it is in records that are older than it.
_CHANGEABLE = {"keep_last": 2, "keep_best": None, "on_nan": "off", "rollbacks": 3, "strategy": "none"}


def train(
    id: str,
    *,
    data: str = "digits",
    out: str | os.PathLike | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    arguments: Mapping | None = None,
    data_options: Mapping | None = None,
    conditional: bool | None = None,
    precision: str = "float32",
    seed: int = 0,
    learning_rate: float | None = None,
    ema: float | None = None,
    validation: str | None = None,
    samples: int = 64,
    every: int = 1,
    doctor: bool = False,
    keep_last: int = 2,
    keep_best: str | None = None,
    on_nan: str = "off",
    rollbacks: int = 3,
    deterministic: bool = False,
    strategy: str = "none",
    callbacks: Sequence = (),
    verbose: int | str = "auto",
    command: Sequence[str] | None = None,
    force: bool = False,
) -> Run:
    """Trains a model and returns its run, a folder that `resume` can go on with.

    What is not given comes from the model's recipe for the data. The same arguments give the same numbers, whether
    or not the run was interrupted and resumed; but for their last bits, unless they are asked for by `deterministic`.

    Arguments:
        id: of the registry.
        data: name or path of the source.
        out: folder of the run, empty or new; `runs/<id>_<data>` unless given.
        epochs: passes over the data, at least 1.
        batch_size: examples in a step, at least 1.
        arguments: of the model's constructor, which go before the recipe's.
        data_options: of `tfgen.data.open_source`.
        conditional: whether the model is given the labels, where it can do with or without.
        precision: `float32`, `mixed_bfloat16` or `mixed_float16`.
        seed: of weights, noise and the order of the data.
        learning_rate: of all players, in place of the paper's.
        ema: decay of the average of the weights, in [0, 1).
        validation: split to measure after each epoch, as `test`.
        samples: number of examples in an epoch's picture.
        every: number of epochs between two pictures and between two checkpoints; the last has both.
        doctor: whether a `tfgen.callbacks.Doctor` looks at the training, for adversarial models.
        keep_last: number of checkpoints that are kept.
        keep_best: a metric, as `val_loss`, whose best epoch's checkpoint is kept too, as `checkpoints/best.keras`. The
            smallest value is the best unless the name says otherwise, as `val_elbo` does, or `val_score:max`.
        on_nan: what is done when a term or a gradient is no longer finite: `stop`; `rollback`, which returns to the last
            checkpoint and halves all players' learning rates; or `off`, which does not look. Looking costs about 1 % of a
            step of `dcgan` and 5 % of one of a perceptron `vae` on a CPU, and a second or two before the first step. A
            `doctor` looks anyway, and stops.
        rollbacks: how often at most.
        deterministic: whether the same arguments give the same numbers to their last bit on the same machine. TensorFlow
            then runs one operation at a time, which has to be asked for before its first.
        strategy: `mirrored` shares each batch among the GPUs of this machine; `multi_worker` among the processes of
            TF_CONFIG, each of which is called with the same arguments and reads the same data, and of which the first
            writes the run.
        callbacks: of Keras, beside the run's own; with `multi_worker` in each process.
        verbose: of Keras: 0 is silent, 1 a progress bar, 2 a line per epoch.
        command: what the user typed, for the record.
        force: overwrites a former run in `out`.

    Raises:
        InputError: something cannot be used, found before any training; or the training met with a mishap, behind which
            `resume` goes on.
        Interrupted: the user pressed Ctrl-C; the state is saved.
    """
    entry = get_entry(id)
    check_arguments(entry, arguments or {})
    check_precision(precision)
    check_strategy(strategy)
    recipe = entry.recipe(data)
    training = {
        "epochs": recipe["epochs"] if epochs is None else epochs,
        "batch_size": recipe["batch_size"] if batch_size is None else batch_size,
        "seed": seed, "precision": precision, "learning_rate": learning_rate, "ema": ema, "validation": validation,
        "samples": samples, "every": every, "doctor": doctor, "keep_last": keep_last, "keep_best": keep_best,
        "on_nan": on_nan, "rollbacks": rollbacks, "deterministic": deterministic, "strategy": strategy,
    }  # fmt: skip
    _check_numbers(training)
    out = scratch() if follows(strategy) else out or default_folder(id, data)
    lock.check_free(out)
    Run.check_free(out, force=force)
    if deterministic:
        _one_at_a_time()
    check_batch_size(strategy, training["batch_size"])  # of the strategy, which has to be there before any tensor

    from tfgen.data import names, open_source
    from tfgen.models import AdversarialModel
    from tfgen.training import building

    if data not in names() and pathlib.Path(data).expanduser().exists():
        data = str(pathlib.Path(data).expanduser().absolute())  # a run may be resumed from elsewhere
    source = open_source(data, **(data_options or {}))
    conditional = building.check_match(entry, source, conditional)
    record = {
        "format": FORMAT,
        "status": "running",
        "model": {"id": id, "arguments": recipe["model"] | dict(arguments or {}), "conditional": conditional},
        "data": {"name": data, "options": dict(data_options or {}), "specs": building.describe_specs(source)},
        "training": training,
    }
    with scope(strategy):
        model = _new_model(record, source)
    model.stage_ends(training["epochs"])
    if doctor and not isinstance(model, AdversarialModel):
        raise InputError(f"doctor: {id} is no adversarial model; leave it out")
    _batches(source, training, "train")
    if validation:
        _batches(source, training, validation)
    Run.make(out)
    with lock.held(out):
        run = Run.claim(out, force=force)  # only now, when a former run gives way to one that will begin
        _write(
            run, **record | {"model": record["model"] | {"arguments": building.plain(record["model"]["arguments"])}},
            optimizers=building.describe_optimizers(model),
            parameters=sum(variable.shape.num_elements() for p in model.players() for variable in p.variables),
            versions=building.versions(),
            command=None if command is None else list(command),
            started=_now(), ended=None, seconds=0.0, metrics={}, evaluations={},
        )  # fmt: skip
        return _fit(run, model, source, Place(), callbacks, verbose)


def default_folder(id: str, data: str | None = None) -> pathlib.Path:
    """Returns where a run goes unless it is said: `runs/<id>_<data>`."""
    return pathlib.Path("runs") / f"{id}_{pathlib.Path(data or 'digits').stem}"


def check_precision(name: str | None) -> None:
    """Raises InputError if there is no such precision."""
    if name not in (None, *PRECISIONS):
        raise InputError(unknown("precision", name, PRECISIONS))


def check_same(run: Run, id: str | None, given: Mapping) -> None:
    """Checks that what is said when a run is resumed is what it was begun with, but for what `resume` takes.

    Arguments:
        run: to resume.
        id: of the model, or None.
        given: some of the arguments of `train`.

    Raises:
        InputError: something is not.
    """
    model, data = run.record["model"], run.record["data"]
    if id not in (None, model["id"]):
        raise InputError(f"{run.path}: is a run of {model['id']}, not of {id}")
    begun = run.record["training"] | model["arguments"] | data["options"]
    begun |= {"data": data["name"], "conditional": model["conditional"]}
    nested = given.get("arguments", {}), given.get("data_options", {})
    free = ("epochs", "arguments", "data_options", *_CHANGEABLE)
    given = {name: value for name, value in given.items() if name not in free}
    given |= nested[0] | nested[1]
    if "data" in given and str(pathlib.Path(given["data"]).expanduser().absolute()) == begun["data"]:
        del given["data"]
    for name, value in given.items():
        if json.loads(json.dumps(value)) != begun.get(name):
            raise InputError(f"{run.path}: was begun with {name} {begun.get(name)}, not {value}; leave it out")


def resume(
    path: str | os.PathLike,
    *,
    epochs: int | None = None,
    keep_last: int | None = None,
    keep_best: str | None = None,
    on_nan: str | None = None,
    rollbacks: int | None = None,
    strategy: str | None = None,
    callbacks: Sequence = (),
    verbose: int | str = "auto",
) -> Run:
    """Goes on with a run that was stopped, to the same numbers as if it had not been; a finished one is returned.

    Arguments:
        path: of the run's folder.
        epochs: how many there shall be in all, in place of the number that the run was begun with.
        keep_last, keep_best, on_nan, rollbacks, strategy: in place of what the run was begun with, see `train`.
        callbacks: of Keras, beside the run's own.
        verbose: of Keras.

    Raises:
        InputError: no run, another process trains in it, fewer epochs than are done, data that are not what they were,
            or a mishap as in `train`.
        Interrupted: the user pressed Ctrl-C; the state is saved.
    """
    check_strategy(strategy)
    run = Run.open(path)
    if run.finished and epochs in (None, run.record["training"]["epochs"]):
        return run
    strategy = strategy or run.record["training"].get("strategy", "none")
    check_strategy(strategy)
    check_batch_size(strategy, run.record["training"]["batch_size"])
    path = scratch(path) if follows(strategy) else path
    with lock.held(path):
        run = Run.open(path)
        said = {
            "epochs": epochs,
            "keep_last": keep_last,
            "keep_best": keep_best,
            "on_nan": on_nan,
            "rollbacks": rollbacks,
            "strategy": strategy,
        }
        training = _CHANGEABLE | run.record["training"]
        training |= {name: value for name, value in said.items() if value is not None}
        _check_numbers(training)
        checkpoint = run.checkpoints.newest()
        place = read_place(checkpoint) if checkpoint else Place()
        epochs = training["epochs"]
        if epochs < place.epoch + (place.step > 0):
            raise InputError(f"{path}: has {place.epoch} epochs already; --epochs {epochs} cannot be reached")
        if training.get("deterministic"):
            _one_at_a_time()
        source = run.source()
        model, place = _load(run, training, source, checkpoint)
        _write(run, status="running", training=training, ended=None)
        return _fit(run, model, source, place, callbacks, verbose)


def _one_at_a_time() -> None:
    """Has TensorFlow run one operation at a time; what several threads add up is not always added in the same order.

    Raises:
        InputError: it has begun with more.
    """
    import tensorflow as tf

    if os.environ.get("TF_NUM_INTEROP_THREADS") == "1":
        return
    try:
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        raise InputError(
            "deterministic: TensorFlow runs already, with several threads for operations; ask for it before anything is "
            "computed, or start Python with TF_NUM_INTEROP_THREADS=1"
        ) from None


def _write(run: Run, **changes) -> None:
    """Changes a run's record; raises InputError if that cannot be written."""
    try:
        run.write(**changes)
    except OSError as error:
        raise InputError(f"{run.path}: cannot be written to: {error.strerror}") from None


def _load(run: Run, training: Mapping, source, checkpoint: pathlib.Path | None) -> tuple:
    """Returns the model of a checkpoint or, without one, at its beginning, and that place.

    Rollbacks that are younger than the checkpoint have lowered the learning rates.
    """
    from tfgen.registry import load_model
    from tfgen.training import building

    rollbacks = run.record.get("rollbacks", [])
    place = read_place(checkpoint) if checkpoint else Place()
    with building.precision_policy(training["precision"]), scope(training["strategy"]):
        model = load_model(checkpoint) if checkpoint else _new_model(run.record | {"training": training}, source)
    for rollback in rollbacks[place.rollbacks :]:
        lower_rates(model, rollback["factor"])
    return model, dataclasses.replace(place, rollbacks=len(rollbacks))


def _fit(run: Run, model, source, place: Place, callbacks: Sequence, verbose) -> Run:
    """Trains to the end, with rollbacks on the way, and returns the run."""
    began, former = time.monotonic(), run.record["seconds"]

    def end(status):
        from tfgen.training.callbacks import read_history

        *_, metrics = [{}, *read_history(run.path / "history.csv")]
        metrics = {name: float(value) for name, value in metrics.items() if name not in ("epoch", "seconds") and value}
        seconds = round(former + time.monotonic() - began, 3)
        # A clock that was set back does not end a run before it began.
        run.write(status=status, ended=max(_now(), run.record["started"]), seconds=seconds, metrics=metrics)

    try:
        with _interrupts() as stop:
            while True:
                try:
                    _fit_once(run, model, source, place, callbacks, verbose, stop)
                    break
                except Diverged as diverged:
                    roll_back(run, diverged)
                    if verbose != 0:
                        print(f"\n{diverged}; back to the last checkpoint with half the learning rate", flush=True)
                model, place = _load(run, run.record["training"], source, run.checkpoints.newest())
        model.watch_faults(False)
        save_model(model, run.path / "model.keras")
        end("finished")
    except KeyboardInterrupt as interrupt:
        end("interrupted")
        raise Interrupted(str(interrupt) or "at once; its last checkpoint is kept") from None
    except BaseException as error:
        # Where nothing can be written, the record says what it said, and what happened is still told.
        with contextlib.suppress(OSError):
            end("failed")
        told = explain(error, run, source)
        if told is None:
            raise
        raise told from error
    run.model = model
    return run


def _fit_once(run: Run, model, source, place: Place, callbacks: Sequence, verbose, stop) -> None:
    """Trains from a place to the end."""
    from tfgen.training.callbacks import FaultWatch, HistoryLog, Progress, RunCheckpoint, SampleGrid, ScalarLog

    training = run.record["training"]
    epochs, every = training["epochs"], training["every"]
    if follows(training["strategy"]):
        # The first worker saves, then stops, and with it the others.
        stop, verbose = bool, 0
    keys = tuple(model.specs)
    validation = training["validation"] and _batches(source, training, training["validation"], shuffle=False, keys=keys)
    # First, so that the others write what they find.
    first = [FaultWatch(place.rollbacks)] if training["on_nan"] != "off" or training.get("doctor") else []
    first += [_doctor(source, training, keys, verbose)] if training.get("doctor") else []
    if first:
        model.watch_faults()
    plane = _plane(source)

    board = ScalarLog(run.path / "tensorboard")
    unit = {"image": "images", "point": "points"}.get(model.example.key, "examples")
    progress = [] if verbose == 0 else [Progress(training["batch_size"], epochs, unit)]

    def fit(data, begin, last):
        own = [
            *first,
            HistoryLog(run.path / "history.csv"),
            board,
            SampleGrid(run.path / "samples", training["samples"], every=every, data=plane),
            RunCheckpoint(
                run.checkpoints.folder, training["keep_last"], every, place, stop, training["keep_best"],
                lambda best: run.write(best=best | {"path": "checkpoints/best.keras"}),
            ),
        ]  # fmt: skip
        model.fit(
            data, initial_epoch=begin, epochs=last, validation_data=validation, callbacks=[*callbacks, *own, *progress],
            verbose=verbose, shuffle=False, total_epochs=epochs,
        )  # fmt: skip

    epoch = place.epoch
    try:
        if place.step:
            fit(_batches(source, training, "train", epoch=epoch, keys=keys).skip(place.step), epoch, epoch + 1)
            epoch += 1
        if epoch < epochs and not model.stop_training:
            fit(_batches(source, training, "train", epoch=epoch, keys=keys), epoch, epochs)
    finally:
        board.on_train_end()  # which Keras does not call behind an error


def _doctor(source, training: Mapping, keys: Sequence[str], verbose):
    """Returns a doctor who compares with some hundred examples, and with the modes where they are known."""
    from tfgen.data.mixtures import MIXTURES
    from tfgen.training.doctor import Doctor

    count = min(512, source.sizes["train"])
    examples = next(iter(source.dataset("train", count, shuffle=False, keys=keys)))
    return Doctor(examples, MIXTURES.get(source.name), verbose=verbose != 0)


def _plane(source):
    """Returns some thousand points, float32 `(count, 2)`, if the data are of the plane."""
    from tfgen.specs import Points

    if source.example != Points(2):
        return None
    return next(iter(source.dataset("train", min(2000, source.sizes["train"]), shuffle=False)))["point"].numpy()


def _batches(source, training: Mapping, split: str, **options):
    """Returns a split in batches; raises InputError if there is none, or not a batch of examples in it."""
    return source.dataset(split, training["batch_size"], seed=training["seed"], **options)


@contextlib.contextmanager
def _interrupts() -> Iterator:
    """Gives a function that tells whether Ctrl-C was pressed; a second press interrupts at once."""
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    former = signal.getsignal(signal.SIGINT) or signal.default_int_handler

    def press(number, frame):
        pressed.set()
        signal.signal(signal.SIGINT, former)
        print("\nstopping after this step; Ctrl-C again stops at once", file=sys.stderr)

    signal.signal(signal.SIGINT, press)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, former)


def _new_model(record: Mapping, source):
    """Returns the model of a record, compiled."""
    from tfgen.training import building

    about, training = record["model"], record["training"]
    model = building.build_model(
        get_entry(about["id"]), source, building.revived(about["arguments"]), conditional=about["conditional"],
        precision=training["precision"], seed=training["seed"],
    )  # fmt: skip
    optimizers, rate = model.default_optimizers(), training["learning_rate"]
    if rate is not None:
        # Keras lets no number take the place of a schedule in an optimizer that is there.
        optimizers = {
            name: optimizer.from_config(optimizer.get_config() | {"learning_rate": rate})
            for name, optimizer in optimizers.items()
        }
    model.compile(optimizers, ema=training["ema"])
    return model


def _check_numbers(training: Mapping) -> None:
    for name in ("epochs", "batch_size", "samples", "every", "keep_last", "rollbacks"):
        value = training[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name}: {value!r}, expected a whole number of at least 1")
    rate, ema = training["learning_rate"], training["ema"]
    if rate is not None and not 0.0 < rate < float("inf"):
        raise InputError(f"learning_rate: {rate}, expected a number above 0")
    if ema is not None and not 0.0 <= ema < 1.0:
        raise InputError(f"ema: {ema}, expected a decay in [0, 1)")
    if training["on_nan"] not in ON_NAN:
        raise InputError(unknown("on_nan", training["on_nan"], ON_NAN))
    best = training["keep_best"]
    if best is not None and Goal.parse(best).metric.startswith("val_") and not training["validation"]:
        raise InputError(f"keep_best: {best} is measured with --validation, which is not given")


def _now() -> str:
    return datetime.datetime.fromtimestamp(time.time(), datetime.UTC).isoformat(timespec="seconds")
