"""What a process and its worker say to each other: a line of JSON, then the arrays that it names. No pickles."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import BinaryIO

import numpy as np

Arrays = Mapping[str, np.ndarray | Sequence[np.ndarray]]
DTYPES = ("float16", "float32", "float64", "int32", "int64", "uint8", "bool")
LONGEST = 1 << 20  # bytes of the line


def send(stream: BinaryIO, said: Mapping[str, object], arrays: Arrays | None = None) -> None:
    """Writes `said` and `arrays`, each an array or a list of them."""
    flat, layout = [], []
    for name, value in (arrays or {}).items():
        parts = [value] if isinstance(value, np.ndarray) else list(value)
        layout.append([name, None if isinstance(value, np.ndarray) else len(parts), [[str(part.dtype), part.shape] for part in parts]])
        flat += parts
    line = json.dumps({"said": said, "arrays": layout}).encode()
    stream.write(struct.pack("<Q", len(line)) + line)
    for part in flat:
        stream.write(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict, dict[str, np.ndarray | list[np.ndarray]]]:
    """What :func:`send` wrote.

    Raises:
        EOFError: where the other side has gone.
        ValueError: for what is no such message.
    """
    (length,) = struct.unpack("<Q", _exactly(stream, 8))
    if length > LONGEST:
        raise ValueError(f"message: expected a line of at most {LONGEST} bytes, found {length}")
    message = json.loads(_exactly(stream, length))
    arrays: dict[str, np.ndarray | list[np.ndarray]] = {}
    for name, count, parts in message["arrays"]:
        found = [_array(stream, dtype, shape) for dtype, shape in parts]
        arrays[name] = found[0] if count is None else found
    return message["said"], arrays


def _array(stream: BinaryIO, dtype: str, shape: Sequence[int]) -> np.ndarray:
    if dtype not in DTYPES:
        raise ValueError(f"message: expected an array of {', '.join(DTYPES)}, found {dtype!r}")
    made = np.empty(shape, dtype)
    view, done = made.reshape(-1).view(np.uint8), 0
    while done < view.size:
        part = stream.read(view.size - done)
        if not part:
            raise EOFError("the other process has gone")
        view[done : done + len(part)] = np.frombuffer(part, np.uint8)
        done += len(part)
    return made


def _exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError("the other process has gone")
    return data
