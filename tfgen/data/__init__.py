"""Data sets by name or path: embedded, computed, of tensorflow-datasets, folders of pictures and array files."""

from tfgen.data.opening import load, names, open_source
from tfgen.data.source import Source

__all__ = ["Source", "load", "names", "open_source"]
