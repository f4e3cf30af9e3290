"""The safetensors format: eight bytes of header length, a JSON header, then the tensors' bytes without gaps.

Our own reader, because the header is checked before anything is allocated, errors say what to do, and the arrays are
views of the memory-mapped file. Source of the format: github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
import math
import mmap
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from axialzoo.checkpoint import strict_json
from axialzoo.checkpoint.checkpoint_error import CheckpointError
from axialzoo.checkpoint.safe_open import check_regular
from axialzoo.files import atomic_write

DTYPES = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
MAX_HEADER = 16 << 20  # bytes; half a thousand tensors take 60 thousand
MAX_RANK = 8
HELD = 16 << 20  # bytes of a mapped file

Tensors = Mapping[str, np.ndarray]


def read_safetensors(path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read a safetensors file. Returns tensors by name, as read-only views of the memory-mapped file, and the file's metadata.

    The bytes are those of the file as it is now: a file that another program shortens while it is mapped cannot be
    read any more. Writers that rename, as ours does, never do that.

    Raises:
        CheckpointError: for a file that is missing, damaged or not safetensors.
    """
    path = Path(path)
    size = check_regular(path)
    try:
        with open(path, "rb") as file:
            start = _header_length(path, file.read(8), size)
            header = file.read(start)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    if len(header) != start:
        raise _damaged(path, f"expected a header of {start} bytes, found {len(header)}")
    entries = strict_json.parse(header, f"{path}: header", MAX_HEADER)
    if not isinstance(entries, dict):
        raise _damaged(path, f"expected a JSON object as header, found a {type(entries).__name__}")
    metadata = _metadata(path, entries.pop("__metadata__", {}))
    layout = _layout(path, entries, size - 8 - start)
    if not layout:
        return {}, metadata
    data = np.memmap(path, np.uint8, "r", offset=8 + start, shape=(size - 8 - start,)) if size > 8 + start else np.zeros(0, np.uint8)
    data = np.asarray(data)
    data.flags.writeable = False
    tensors = {}
    for name, (dtype, shape, begin, end) in layout.items():
        tensors[name] = data[begin:end].view(dtype).reshape(shape)
    return tensors, metadata


def write_safetensors(path, tensors: Tensors, metadata: Mapping[str, str] | None = None) -> None:
    """Write `tensors` in the order of their names; equal tensors and metadata give equal bytes.

    A temporary file is written, then renamed, so that `path` is never half a file.

    Raises:
        CheckpointError: for a dtype other than float16, float32 or float64.
    """
    path = Path(path)
    header: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    begin = 0
    for name in sorted(tensors):
        array = tensors[name]
        dtype = NAMES.get(array.dtype.newbyteorder("<"))
        if dtype is None:
            raise CheckpointError(f"{path}: {name} is {array.dtype}; expected float16, float32 or float64: convert it first")
        end = begin + array.nbytes
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)  # tensors start aligned
    with atomic_write(path) as beside, open(beside, "xb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for name in sorted(tensors):
            file.write(flat_bytes(tensors[name]))


def flat_bytes(array: np.ndarray) -> memoryview:
    """Return the little-endian bytes of `array` in C order; a view of it where it is so already."""
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return array.reshape(-1).view(np.uint8).data


def iter_and_release_pages(tensors: Tensors) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and arrays to copy, one after the other, and release the copied pages of a mapped file every 16 MiB.

    So one copy of the weights is in memory, not two. Released pages are read from the file again when needed.
    """
    held = 0
    for name, array in tensors.items():
        yield name, array
        held += array.nbytes
        if held >= HELD:
            _release(array)
            held = 0
    if held:
        _release(array)


def _release(array: np.ndarray) -> None:
    owner: object = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED)  # pages of a mapping that is only read: nothing is lost


def _header_length(path: Path, head: bytes, size: int) -> int:
    if len(head) < 8:
        raise _damaged(path, f"expected at least 8 bytes, found {size}")
    (length,) = struct.unpack("<Q", head)
    if length > size - 8:
        raise _damaged(path, f"the header claims {length} bytes where {size - 8} follow")
    if not 2 <= length <= MAX_HEADER:
        raise _damaged(path, f"expected a header of 2 to {MAX_HEADER} bytes, found {length}")
    return length


def _metadata(path: Path, metadata: object) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _damaged(path, "expected __metadata__ to map text to text")
    return metadata


def _layout(path: Path, entries: dict, total: int) -> dict[str, tuple[np.dtype, tuple[int, ...], int, int]]:
    """Return dtype, shape and place of each tensor, after a check that they tile the `total` bytes after the header."""
    layout = {name: _entry(path, name, entry) for name, entry in entries.items()}
    place = 0
    for name, (_, _, begin, end) in sorted(layout.items(), key=lambda item: item[1][2:]):
        if begin != place:
            what = "overlaps the tensor before it" if begin < place else "leaves a gap before it"
            raise _damaged(path, f"{name} begins at byte {begin} of the data and {what}; expected {place}")
        place = end
    if place != total:
        raise _damaged(path, f"the header describes {place} bytes of tensors, the file holds {total}")
    return layout


def _entry(path: Path, name: str, entry: object) -> tuple[np.dtype, tuple[int, ...], int, int]:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _damaged(path, f"{name}: expected dtype, shape and data_offsets, found {str(entry)[:200]}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        advice = "; convert it to F32 first" if dtype == "BF16" else ""
        raise CheckpointError(f"{path}: {name} has dtype {str(dtype)[:40]!r}; expected one of {', '.join(DTYPES)}{advice}")
    if not isinstance(shape, list) or len(shape) > MAX_RANK or not all(_is_size(side) for side in shape):
        raise _damaged(path, f"{name}: expected a shape of at most {MAX_RANK} sides, found {str(shape)[:200]}")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(_is_size(place) for place in offsets) or offsets[0] > offsets[1]:
        raise _damaged(path, f"{name}: expected data_offsets [begin, end], found {str(offsets)[:200]}")
    claimed = math.prod(shape) * DTYPES[dtype].itemsize
    if claimed != offsets[1] - offsets[0]:
        raise _damaged(path, f"{name}: its shape {shape} takes {claimed} bytes, its data_offsets span {offsets[1] - offsets[0]}")
    return DTYPES[dtype], tuple(shape), offsets[0], offsets[1]


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 48


def _damaged(path: Path, what: str) -> CheckpointError:
    return CheckpointError(f"{path}: damaged, or not a safetensors file: {what}; fetch or write it again")
