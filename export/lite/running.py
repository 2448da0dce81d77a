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

    def run(self, signature: str, inputs: Arrays) -> Arrays:
        """Returns the outputs of a signature by name.

        Raises:
            InputError: no such signature, or it does not take the inputs.
        """
        if signature not in self.signatures:
            raise InputError(f"no signature {signature!r}; there are {', '.join(self.signatures)}")
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
