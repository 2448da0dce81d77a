"""Runs TF-Lite files, and compares what they answer."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from tfgen.errors import InputError, first_line
from tfgen.export.comparison import LOSSY, STRICT, Arrays, Case, Report, Row, compare
from tfgen.export.lite.files import operations, read_file


def import_litert():
    """Returns LiteRT's module.

    Raises:
        InputError: it is not installed.
    """
    try:
        from ai_edge_litert import interpreter
    except ImportError as error:
        raise InputError(f'TF-Lite files are run by LiteRT ({error}): pip install "tfgen[litert]"') from error
    return interpreter


class Interpreter:
    """The signatures of a TF-Lite model, run by LiteRT.

    Inputs of other shapes get an interpreter of their own: in one that has run on fewer examples XNNPack, LiteRT 2.3's
    delegate, computes loops on more of them from memory that nothing was written to, and answers wrongly now and then.

    Arguments:
        data: of the model.
        threads: that it computes with.

    Raises:
        InputError: LiteRT is not installed, or the model is damaged or has operations that are not built in.
    """

    def __init__(self, data: bytes, threads: int = 1):
        litert = import_litert()
        self._new = lambda: litert.Interpreter(model_content=data, num_threads=threads)
        try:
            self.signatures: dict[str, dict] = self._new().get_signature_list()
        except (ValueError, RuntimeError) as error:
            raise InputError(f"LiteRT does not take the model: {first_line(error)}") from error
        self._runners: dict[tuple, Callable] = {}
        self._shapes: dict[str, dict[str, tuple[int, ...]]] = {}

    def run(self, signature: str, inputs: Arrays) -> Arrays:
        """Returns the outputs of a signature by name; one of a fixed batch is called once for each batch of the inputs.

        Raises:
            InputError: no such signature, or it does not take the inputs, or they are no whole batches.
        """
        if signature not in self.signatures:
            raise InputError(f"no signature {signature!r}; there are {', '.join(self.signatures)}")
        answers = [self._call(signature, part) for part in self._batches(signature, inputs)]
        return (
            {name: np.concatenate([one[name] for one in answers]) for name in answers[0]} if answers[1:] else answers[0]
        )

    def _batches(self, signature: str, inputs: Arrays) -> list[Arrays]:
        """Returns the inputs in parts of the size that the signature takes, or all of them where it takes any."""
        if signature not in self._shapes:
            details = self._new().get_signature_runner(signature).get_input_details()
            self._shapes[signature] = {name: (*map(int, one["shape_signature"]),) for name, one in details.items()}
        shapes = self._shapes[signature]
        if any(-1 in shape for shape in shapes.values()) or inputs.keys() != shapes.keys():
            return [inputs]
        along, counts = {}, set()
        for name, shape in shapes.items():
            given = np.shape(inputs[name])
            axes = [axis for axis, sizes in enumerate(zip(given, shape, strict=False)) if sizes[0] != sizes[1]]
            if len(given) != len(shape) or len(axes) > 1 or any(given[axis] % shape[axis] for axis in axes):
                raise InputError(f"{name} of shape {given}, expected {shape}, or several such batches")
            if shape:
                along[name] = axes[0] if axes else 0
                counts.add(given[along[name]] // shape[along[name]])
        if len(counts) > 1:
            raise InputError(f"{', '.join(along)}: of different numbers of batches")
        count = max(counts, default=1)
        parts = {name: np.split(inputs[name], count, axis) for name, axis in along.items()}
        return [inputs | {name: split[at] for name, split in parts.items()} for at in range(count)]

    def _call(self, signature: str, inputs: Arrays) -> Arrays:
        key = (signature, *(np.shape(value) for value in inputs.values()))
        try:
            if key not in self._runners:
                self._runners[key] = self._new().get_signature_runner(signature)
            return {name: np.asarray(value) for name, value in self._runners[key](**inputs).items()}
        except (ValueError, RuntimeError) as error:
            raise InputError(first_line(error)) from error


def check(
    path, data: bytes, reference: Iterable[Case], precisions: Mapping[str, str], peak: int | None = None
) -> Report:
    """Runs a model on reference cases, and compares its answers with the expected ones.

    Where a signature computes with float32 they must be equal as those of a SavedModel must; others have to be finite,
    of the right shape and dtype, and the report tells what they lose.

    Arguments:
        path: for the report.
        data: of the model.
        reference: at least one case of each signature.
        precisions: signature -> its precision; a reason may follow behind a colon.
        peak: the highest level of a picture, if there are pictures.

    Raises:
        InputError: the model does not run at all.
    """
    foreign = [name for name in operations(data) if not name.isupper()]
    rows = [Row("-", problem=f"{', '.join(foreign)}: not built into TF-Lite")] if foreign else []
    interpreter, exact = Interpreter(data), {name for name, told in precisions.items() if told.startswith("float32")}
    for name in sorted(interpreter.signatures.keys() | precisions.keys()):
        own = [case for case in reference if case.signature == name]
        limits = STRICT if name in exact else LOSSY
        rows += compare(own, interpreter.run, limits) if own else [Row(name, problem="no case to compare with")]
    return Report(str(path), tuple(rows), STRICT if exact == precisions.keys() else LOSSY, peak)


def verify_lite(path) -> Report:
    """Runs a TF-Lite file on the reference cases that it carries.

    Raises:
        InputError: no such file, it is damaged, or LiteRT does not take it.
    """
    data, card, reference = read_file(path)
    try:
        return check(path, data, reference, card["precisions"], card.get("peak"))
    except InputError as error:
        raise InputError(f"{path}: {error}; do not trust it") from error
