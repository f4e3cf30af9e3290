"""One run of a reader on an input, with what it may do: refuse it in words, in little time and little memory."""

from __future__ import annotations

import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from axialzoo.checkpoint import CheckpointError
from axialzoo.data import DataError
from axialzoo.image import ImageError
from axialzoo.spec import SpecError

REFUSALS = (CheckpointError, DataError, ImageError, SpecError)
SECONDS = 2.0  # for an input of at most a mebibyte
MEMORY, LEAST_MEMORY = 10, 24 << 20  # bytes for a byte of input, and what any input may take: interpreters and parsers have fixed costs


class Finding(AssertionError):
    """A reader that did what no reader may do."""


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        read: Reads bytes; it gets a folder of its own to write them to.
        seeds: Yields small real inputs.
        heavy: Whether it imports a framework that the ordinary tests do not.
    """

    read: Callable[[bytes, Path], None]
    seeds: Callable[[], Iterator[bytes]]
    heavy: bool = False


def execute(target: Target, data: bytes, folder: Path, measure: bool = True) -> bool:
    """Read `data` and tell whether the reader accepted it; `measure` looks at memory too.

    Raises:
        Finding: for another error than a refusal, for too much time and for too much memory.
    """
    if measure:
        tracemalloc.start()
    started, accepted = time.process_time(), True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.read(data, folder)
    except REFUSALS as error:
        accepted = False
        if not str(error).strip():
            raise Finding("a refusal without a message") from error
    except Exception as error:
        if isinstance(error, Finding):
            raise
        raise Finding(f"{type(error).__name__}: {error}") from error
    finally:
        seconds, memory = time.process_time() - started, tracemalloc.get_traced_memory()[1]
        if measure:
            tracemalloc.stop()
    if seconds > SECONDS:
        raise Finding(f"took {seconds:.1f} s for {len(data)} bytes")
    if memory > max(MEMORY * len(data), LEAST_MEMORY):
        raise Finding(f"took {memory:,} bytes of memory for {len(data)} bytes")
    return accepted


def expect(ok: object, text: str) -> None:
    """Raise a finding unless `ok` is true."""
    if not ok:
        raise Finding(f"accepted a wrong value: {text}")
