"""Helpers of the tests of damaged and hostile files: a check that a file is refused, which counts itself, and ways to damage files."""

from __future__ import annotations

import json
import os
import random
import struct
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from axialzoo.checkpoint import CheckpointError
from axialzoo.spec import SpecError

SECONDS, MEBIBYTES = 10, 48  # a case takes milliseconds and a few hundred kilobytes; claims of hostile files are of gigabytes and more
COUNTED: Counter[str] = Counter()
HUGE = (2**31, 2**40, 2**47, 2**63, 2**64, 10**30)


def refused(read: Callable[[], object], what: str, kind: str) -> None:
    """Asserts that `read` raises one of our errors, quickly and in little memory, and counts it."""
    tracemalloc.start()
    start = time.monotonic()
    try:
        read()
    except (CheckpointError, SpecError) as error:
        assert len(str(error)) > 20, what
    except BaseException as error:
        raise AssertionError(f"{what}: expected a CheckpointError, found {type(error).__name__}: {error}") from error
    else:
        raise AssertionError(f"{what}: was loaded")
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert time.monotonic() - start < SECONDS, what
    assert peak < MEBIBYTES << 20, f"{what}: allocated {peak >> 20} MiB"
    COUNTED[kind] += 1


def split(data: bytes) -> tuple[dict, bytes]:
    """Header and tensors of a safetensors file."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def join(header: object, body: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header, ensure_ascii=False).encode()
    return struct.pack("<Q", len(text)) + text + body


def flips(data: bytes, count: int, seed: int) -> Iterator[tuple[int, bytes]]:
    rng = random.Random(seed)
    for place in sorted(rng.sample(range(len(data)), min(count, len(data)))):
        yield place, data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]


def same_number(data: bytes, place: int, changed: bytes) -> bool:
    """Tell whether a flip changes nothing: the exponent of 1e-05 written 1E-05 is the only one."""
    return {data[place : place + 1], changed[place : place + 1]} == {b"e", b"E"} and data[place + 1 : place + 2] == b"-"


def enough(request: pytest.FixtureRequest, **least: int) -> None:
    """Asserts that at least so many cases of each kind were refused; skips where not the whole file runs in this process."""
    parted = os.environ.get("PYTEST_XDIST_WORKER") or request.config.option.keyword or any("::" in item for item in request.config.args)
    if parted:
        pytest.skip("counts only when the whole file runs in one process")
    assert all(COUNTED[kind] >= count for kind, count in least.items()), COUNTED
