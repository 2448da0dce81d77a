"""The registry: models by id, with their papers and recipes.

A model of the zoo is a file `zoo/<family>/<id>.py` that holds one class decorated with `register`. The entries are
written as literals, so that the catalogue is read from the files themselves: listing the zoo, or finding out that an
id is misspelt, does not import TensorFlow.
"""

import ast
import dataclasses
import functools
import importlib
import importlib.util
import inspect
import pathlib
from collections.abc import Callable

from tfgen.errors import InputError, unknown


@dataclasses.dataclass(frozen=True)
class Entry:
    """A model's place in the literature, and what to train it on.

    Arguments:
        id: name in the registry.
        family: folder of the zoo, as `"variational"`.
        title: the paper's title.
        authors: as printed, separated by commas.
        year: of the venue.
        url: where to read it.
        recipes: data source -> arguments: `batch_size`, `epochs`, and `model`, the constructor's arguments.
        module: where the class is.
        without_lite: endpoints that TF-Lite files of the model lack unless they are written for a fixed number of examples,
            with the reason (see `tfgen.export.tflite`).
    """

    id: str
    family: str
    title: str
    authors: str
    year: int
    url: str
    recipes: dict[str, dict]
    module: str
    without_lite: dict[str, str] = dataclasses.field(default_factory=dict)

    def recipe(self, data: str) -> dict:
        """Returns the recipe for a data source, or the first one for a source without its own."""
        name = data if data in self.recipes else next(iter(self.recipes))
        return {"batch_size": 64, "epochs": 10, "model": {}} | self.recipes[name]


_registered: dict[str, type] = {}


def register(
    id: str,
    *,
    title: str,
    authors: str,
    year: int,
    url: str,
    recipes: dict[str, dict],
    family: str | None = None,
    without_lite: dict[str, str] | None = None,
) -> Callable[[type], type]:
    """Registers a model class under an id, and with Keras for `.keras` files.

    Arguments:
        id: lower case with underscores; for a file of the zoo its file's name.
        title, authors, year, url, recipes, without_lite: see `Entry`.
        family: the folder that the file lies in unless given.

    Raises:
        InputError: another class has the id.
    """

    def mark(cls: type) -> type:
        import keras

        holder = _catalogue().get(id) or getattr(_registered.get(id), "entry", None)
        if holder is not None and holder.module != cls.__module__:
            raise InputError(f"{id!r} is the id of a model in {holder.module}; choose another")
        home = family or cls.__module__.split(".")[-2] if "." in cls.__module__ else family or "other"
        cls.entry = Entry(id, home, title, authors, year, url, recipes, cls.__module__, without_lite or {})
        _registered[id] = cls
        return keras.saving.register_keras_serializable("tfgen", name=id)(cls)

    return mark


@functools.cache
def _catalogue() -> dict[str, Entry]:
    """Returns the entries of the zoo's files, read without importing them."""
    zoo = importlib.util.find_spec("tfgen.zoo")
    entries = {}
    for root in zoo.submodule_search_locations:
        for path in sorted(pathlib.Path(root).glob("*/*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                for call in getattr(node, "decorator_list", []) if isinstance(node, ast.ClassDef) else []:
                    if isinstance(call, ast.Call) and getattr(call.func, "id", None) == "register":
                        arguments = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
                        family = path.parent.name
                        id = ast.literal_eval(call.args[0])
                        entries[id] = Entry(id, family, module=f"tfgen.zoo.{family}.{path.stem}", **arguments)
    return entries


def list_models(family: str | None = None) -> list[Entry]:
    """Returns the entries of all models, or of a family, sorted by family and id.

    Raises:
        InputError: no such family.
    """
    entries = dict(_catalogue()) | {id: cls.entry for id, cls in _registered.items()}
    families = {entry.family for entry in entries.values()}
    if family is not None and family not in families:
        raise InputError(unknown("family", family, families))
    chosen = [entry for entry in entries.values() if family in (None, entry.family)]
    return sorted(chosen, key=lambda entry: (entry.family, entry.id))


def markdown_table() -> str:
    """Returns the models as the table of the README."""
    rows = ["| id | family | paper | year |", "|---|---|---|---|"]
    rows += [
        f"| `{entry.id}` | {entry.family} | [{entry.title}]({entry.url}), {entry.authors} | {entry.year} |"
        for entry in list_models()
    ]
    return "\n".join(rows)


def get_entry(id: str) -> Entry:
    """Returns the entry of a model.

    Raises:
        InputError: no such model; the nearest names are offered.
    """
    entries = {entry.id: entry for entry in list_models()}
    if id not in entries:
        raise InputError(unknown("model", id, entries))
    return entries[id]


def get_class(id: str) -> type:
    """Returns a model's class.

    Raises:
        InputError: no such model; the nearest names are offered.
    """
    entry = get_entry(id)
    if id not in _registered:
        importlib.import_module(entry.module)
    return _registered[id]


def create(id: str, **arguments):
    """Returns a new model.

    Arguments:
        id: see `list_models`.
        arguments: the constructor's. Instead of `example=Images(shape, levels)` also `image_shape=` and `levels=`,
            and instead of `label=Labels(count)` also `labels=count`.

    Raises:
        InputError: an unknown id or argument; the nearest names are offered.
    """
    cls = get_class(id)
    from tfgen.specs import Images, Labels  # behind the look-up, which needs no TensorFlow

    short = {"example": ("image_shape", "levels"), "label": ("labels",)}
    parameters = inspect.signature(cls.__init__).parameters
    cls.check_arguments(arguments, [name for long, names in short.items() if long in parameters for name in names])
    for long, names in short.items():
        if long in arguments and arguments.keys() & set(names):
            raise InputError(f"{id}: {long} and {' or '.join(names)} say the same; pass one of them")
    if "image_shape" in arguments:
        arguments["example"] = Images(arguments.pop("image_shape"), arguments.pop("levels", 256))
    if "levels" in arguments:
        raise InputError("levels: goes with image_shape=(height, width, channels)")
    if "labels" in arguments:
        arguments["label"] = Labels(arguments.pop("labels"))
    return cls(**arguments)


def load_model(path, *, compile: bool = True):
    """Returns a model from a `.keras` file, with its optimizers and its random state.

    Nothing that comes with the file is run: Python code in a network, as in a Lambda layer, is refused, unless the process
    has called `keras.config.enable_unsafe_deserialization()`.

    Arguments:
        path: of the file.
        compile: whether the optimizers and averaged weights come along.

    Raises:
        InputError: no such file, it is damaged, it holds Python code, or no model of this package.
    """
    import json
    import zipfile

    import keras

    try:
        with zipfile.ZipFile(path) as archive:
            config = dict(json.loads(archive.read("config.json")))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError):
        raise InputError(f"{path}: not a .keras file, or damaged") from None
    package, _, id = str(config.get("registered_name")).partition(">")
    if package != "tfgen":
        raise InputError(f"{path}: holds {config.get('class_name')!r}, which is not a model of tfgen")
    get_class(id)
    try:
        return keras.saving.load_model(path, compile=compile, safe_mode=True)
    except InputError:
        raise
    except (ImportError, OSError, TypeError, ValueError, zipfile.BadZipFile) as error:
        if "safe_mode=False" in str(error):
            raise InputError(
                f"{path}: holds Python code, a Lambda layer or the like, and is not loaded: it could do anything; "
                "if you wrote it yourself, call keras.config.enable_unsafe_deserialization() before"
            ) from error
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path}: damaged, or of another version of the model ({reason})") from error
