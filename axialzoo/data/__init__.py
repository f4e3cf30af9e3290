"""Data sets in users' formats: readers, samples, augmentation that moves labels along, batches. numpy and Pillow; no framework."""

from axialzoo.data.check import check
from axialzoo.data.dataset import (
    KINDS,
    Annotation,
    ArraySplit,
    CachedSplit,
    DataError,
    Dataset,
    FileSplit,
    Sample,
    Split,
    kinds_of,
    split_off,
)
from axialzoo.data.faults import BadLabelError, LabelPolicy
from axialzoo.data.inspection import inspect_data
from axialzoo.data.model_batches import Batches, to_model_input
from axialzoo.data.open import open_data
from axialzoo.data.pack import write_shards

__all__ = [
    "KINDS", "Annotation", "ArraySplit", "BadLabelError", "Batches", "Dataset", "DataError", "FileSplit", "CachedSplit", "LabelPolicy",
    "Sample", "Split", "check", "split_off", "kinds_of", "inspect_data", "open_data", "to_model_input", "write_shards",
]  # fmt: skip
