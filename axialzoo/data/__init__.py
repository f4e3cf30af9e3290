"""Data as users have them: readers, samples, augmentation that moves labels along, batches. numpy and Pillow; no framework."""

from axialzoo.data.check import check
from axialzoo.data.dataset import KINDS, ArraySplit, Data, DataError, FileSplit, Kept, Sample, Split, Truth, hold_out, kinds_of
from axialzoo.data.open import open_data
from axialzoo.data.pack import write_shards

__all__ = [
    "KINDS", "ArraySplit", "Data", "DataError", "FileSplit", "Kept", "Sample", "Split", "Truth", "check", "hold_out", "kinds_of",
    "open_data", "write_shards",
]  # fmt: skip
