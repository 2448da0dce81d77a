"""Data sets by name or path: embedded, computed, of tensorflow-datasets, folders of pictures and array files."""

from tfgen.data.few_labels import keep_labels, mixed_batches
from tfgen.data.opening import load, names, open_source
from tfgen.data.source import Source

__all__ = ["Source", "keep_labels", "load", "mixed_batches", "names", "open_source"]
