"""Artifacts that serve without this package.

Models are known here by their endpoints only, never by class. TensorFlow is imported when a name is first used.
"""

import importlib

# No module here bears the name of a function below: importing it would put the module in the function's place.
_HOME = {
    "saved_model": "tfgen.export.saving",
    "serving": "tfgen.export.tf_serving",
    "tflite": "tfgen.export.lite.exporting",
    "side_by_side": "tfgen.export.lite.contest",
    "verify": "tfgen.export.verification",
    "Report": "tfgen.export.comparison",
    "make_card": "tfgen.export.card",
    "read_card": "tfgen.export.card",
    "check_files": "tfgen.export.files",
    "present": "tfgen.export.presentation",
    "pack_cases": "tfgen.export.reference",
    "unpack_cases": "tfgen.export.reference",
}

__all__ = [
    "Report", "check_files", "make_card", "pack_cases", "present", "read_card", "saved_model", "serving", "side_by_side",
    "tflite", "unpack_cases", "verify",
]  # fmt: skip


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'tfgen.export' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
