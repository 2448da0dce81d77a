"""What a model's constructor takes, read from its file: a misspelt argument is found without importing TensorFlow."""

import ast
import dataclasses
import importlib.util
import inspect
import pathlib
import re
import textwrap
from collections.abc import Iterable, Mapping

from tfgen.errors import InputError, unknown
from tfgen.registry import Entry, get_class

# Given by the data and by options of their own.
_OTHERWISE = {
    "example": "the data say what an example is (--data, --image-size, --levels)",
    "label": "the data say what a label is (--conditional)",
    "labels": "the data say what a label is (--conditional)",
    "seed": "use --seed",
    "dtype": "use --precision",
    "image_shape": "use --image-size and --channels",
    "levels": "use --levels",
    "map": "the data have no maps",
    "name": "a run is named by its folder",
}


@dataclasses.dataclass(frozen=True)
class Argument:
    """An argument of a constructor.

    Arguments:
        name: keyword.
        default: as it is written, or None if there is none.
        text: what the class says about it.
    """

    name: str
    default: str | None
    text: str

    @property
    def literal(self):
        """The default's value, or None if it is not a literal."""
        try:
            return None if self.default is None else ast.literal_eval(self.default)
        except ValueError:
            return None


def constructor(entry: Entry) -> dict[str, Argument]:
    """Returns the keyword arguments of a model's class in order, by name."""
    tree = _class_tree(entry)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            explained = _explained(ast.get_docstring(tree) or "")
            named = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            return {
                arg.arg: Argument(arg.arg, default and ast.unparse(default), explained.get(arg.arg, ""))
                for arg, default in named
            }
    return {}


def is_conditional(entry: Entry) -> bool | None:
    """Returns whether a model needs labels: True, False if it takes none, None if it can do with or without."""
    label = constructor(entry).get("label")
    if label is None:
        return False
    return True if label.default is None else None


def parse_settings(settings: Iterable[str]) -> dict:
    """Returns `["width=32", "hidden=(64, 64)"]` as a dict; what is no literal of Python is a string.

    Raises:
        InputError: no `=`, or a name given twice.
    """
    parsed = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name:
            raise InputError(f"--set {setting}: expected name=value, as width=32")
        if name in parsed:
            raise InputError(f"--set {name}: given twice")
        try:
            parsed[name] = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            parsed[name] = text
    return parsed


def parse_size(text: str | None) -> int | tuple[int, int] | None:
    """Returns `"32"` as a number, and `"32x48"` as `(height, width)`.

    Raises:
        InputError: it is neither.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if not match:
        raise InputError(f"--image-size {text}: expected 32, or HEIGHTxWIDTH as 32x48")
    return (int(match[1]), int(match[2])) if match[2] else int(match[1])


def parse_labels(text: str | None) -> list[int] | None:
    """Returns `"3,1,4"` as numbers.

    Raises:
        InputError: one is no whole number.
    """
    try:
        return None if text is None else [int(label) for label in text.split(",")]
    except ValueError:
        raise InputError(f"--labels {text}: expected classes as 3, or 3,1,4") from None


def check_arguments(entry: Entry, arguments: Mapping) -> None:
    """Checks names, and types against those of the defaults.

    Raises:
        InputError: an argument that the constructor does not have (the nearest are offered), or that is not of its
            default's type.
    """
    known = constructor(entry)
    for name, value in arguments.items():
        if name in _OTHERWISE:
            raise InputError(f"{entry.id}: {name} is not set here; {_OTHERWISE[name]}")
        if name not in known:
            raise InputError(f"{entry.id}: {unknown('argument', name, known.keys() - _OTHERWISE.keys())}")
        default = known[name].literal
        if default is not None and not _fits(value, default):
            raise InputError(f"{entry.id}: {name}={value!r}, expected something like {default!r}")


def _fits(value, default) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return type(value) is type(default)
    if isinstance(default, float):
        return isinstance(value, (int, float))
    if isinstance(default, (tuple, list)):
        return isinstance(value, (tuple, list))
    return isinstance(value, type(default))


def _class_tree(entry: Entry) -> ast.ClassDef:
    spec = importlib.util.find_spec(entry.module)
    text = pathlib.Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
    for node in ast.walk(ast.parse(text)):
        for call in getattr(node, "decorator_list", []) if isinstance(node, ast.ClassDef) else []:
            if isinstance(call, ast.Call) and call.args and getattr(call.args[0], "value", None) == entry.id:
                return node
    # A class that was not registered by a literal, as in a notebook.
    return ast.parse(textwrap.dedent(inspect.getsource(get_class(entry.id)))).body[0]


def _explained(docstring: str) -> dict[str, str]:
    """Returns what the section "Arguments:" says, by name."""
    section = docstring.partition("Arguments:\n")[2].split("\n\n")[0]
    explained = {}
    for item in re.split(r"\n(?=    \S)", "\n" + section):
        names, colon, text = item.strip().partition(":")
        if colon:
            explained |= dict.fromkeys((name.strip() for name in names.split(",")), " ".join(text.split()))
    return explained
