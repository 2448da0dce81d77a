"""tfgen: a zoo of deep generative models that train, sample, and leave the lab.

TensorFlow is imported when a name is first used, so that `import tfgen` is quick.
"""

import importlib

__version__ = "0.1.0"

_HOME = {
    "create": "tfgen.registry",
    "list_models": "tfgen.registry",
    "load_model": "tfgen.registry",
    "register": "tfgen.registry",
    "Images": "tfgen.specs",
    "Points": "tfgen.specs",
    "Labels": "tfgen.specs",
    "InputError": "tfgen.errors",
}
_PARTS = ("callbacks", "data", "distributions", "evaluation", "export", "latents", "layers", "models", "networks",
          "objectives", "training", "zoo")  # fmt: skip

__all__ = [*_HOME, *_PARTS]


def __getattr__(name: str):
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in _PARTS:
        value = importlib.import_module(f"tfgen.{name}")
    else:
        raise AttributeError(f"module 'tfgen' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
