"""Worker processes: how they start, the messages, the errors that they send back, and the report on a process that died.

A message is a line of JSON, then the arrays that it names; nothing is pickled. A :class:`WorkerProcess` writes requests to the standard
input of a process that runs :func:`serve`. That process answers on its standard output; other prints go to standard error. An answer is a
message, or ``{"error": text, "kind": name of the exception}``. The back ends of Keras and the batch engine both use this.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import numpy as np

Arrays = Mapping[str, np.ndarray | Sequence[np.ndarray]]
Received = dict[str, np.ndarray | list[np.ndarray]]
DTYPES = ("float16", "float32", "float64", "int32", "int64", "uint8", "bool")
LONGEST, MOST_VALUES = 1 << 30, 1 << 34  # bytes of the line of JSON, values of an array
ROOT = Path(__file__).resolve().parents[2]  # the folder of the package, whatever the current folder is
ENVIRONMENT = {  # several processes share a GPU's memory, so none takes all of it
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
}


class WorkerError(RuntimeError):
    """A worker that failed, stopped or took too long.

    Attributes:
        kind: Name of the exception that the worker raised; empty where the worker died.
    """

    def __init__(self, message: str, kind: str = ""):
        super().__init__(message)
        self.kind = kind


class WorkerDied(WorkerError):
    """A worker process that ended before it answered."""


class WorkerProcess:
    """A process that runs a module which calls :func:`serve`. It ends when it is closed or deleted, or when this process ends.

    Args:
        module: Name of the module.
        arguments: Arguments of its command line.
        title: Prefix of its error messages.
        threads: Number of threads that it computes with; default as this process.
        cores: Numbers of the cores that it may use, which every framework respects; default as this process.
        environment: Variables to set in it.
        timeout: Seconds; a process that takes longer for an answer is killed.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        title: str = "",
        threads: int | None = None,
        cores: Sequence[int] | None = None,
        environment: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ):
        self.title, self.timeout = title, timeout
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (it is open as long as the process runs)
        paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        settings = {**ENVIRONMENT, **os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": paths, **(environment or {})}
        if threads is not None:
            settings |= {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=settings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr,
            start_new_session=True,  # an interrupt from the terminal is for this process alone
        )  # fmt: skip
        if cores is not None and hasattr(os, "sched_setaffinity"):
            with contextlib.suppress(ProcessLookupError):  # the process has died: the first request reports it
                os.sched_setaffinity(self._process.pid, cores)
        self._close = weakref.finalize(self, _close, self._process, self._stderr)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def ask(self, message: Mapping[str, object], arrays: Arrays | None = None) -> tuple[dict[str, Any], Received]:
        """Send a message with arrays, and return the answer with its arrays.

        Raises:
            WorkerError: where the worker raised an exception, with its message; the worker keeps running.
            WorkerDied: where the process has ended, was closed, or took longer than its timeout.
        """
        if not self._close.alive:
            raise WorkerDied(self._said("its process was closed; make another runner"))
        questions, answers = cast(BinaryIO, self._process.stdin), cast(BinaryIO, self._process.stdout)
        late, timer = threading.Event(), None
        if self.timeout is not None:
            timer = threading.Timer(self.timeout, lambda: (late.set(), self._process.kill()))
            timer.daemon = True
            timer.start()
        try:
            send(questions, message, arrays)
            answer, received = receive(answers)
        except (EOFError, OSError) as error:
            reason = f"took longer than {self.timeout:g} s" if late.is_set() else self._stderr_tail()
            self.close()
            raise WorkerDied(self._said(reason)) from error
        except BaseException:  # interrupted half way: the next answer would belong to this request
            self.close()
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if "error" in answer:
            raise WorkerError(self._said(answer["error"]), answer.get("kind", ""))
        return answer, received

    def close(self) -> None:
        """End the process once it has answered. Further calls do nothing."""
        self._close()

    def kill(self) -> None:
        """Kill the process; a file that it was writing does not appear."""
        self._process.kill()
        self._close()

    def _said(self, text: str) -> str:
        return f"{self.title}: {text}" if self.title else text

    def _stderr_tail(self) -> str:
        code = self._process.wait()
        lines: list[str] = []
        with contextlib.suppress(ValueError):  # another thread has closed it
            self._stderr.seek(0)
            lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return f"{lines[-1]} (exit code {code})" if lines else f"its process ended with exit code {code}"


def serve(handle: Callable[[dict[str, Any], Received], tuple[Mapping[str, object], Arrays]]) -> None:
    """Answer requests with `handle` until the other side closes. An exception becomes an answer, and the loop goes on.

    Args:
        handle: Maps a message and its arrays to an answer and its arrays.
    """
    answers, questions = os.fdopen(os.dup(1), "wb"), sys.stdin.buffer
    os.dup2(2, 1)  # frameworks print to standard output, which carries the answers
    while True:
        try:
            message, arrays = receive(questions)
        except EOFError:
            return
        try:
            answer, outputs = handle(message, arrays)
        except Exception as error:  # the caller on the other side decides
            answer, outputs = {"error": str(error).strip() or type(error).__name__, "kind": type(error).__name__}, {}
        try:
            send(answers, answer, outputs)
        except BrokenPipeError:  # the other process has ended
            return


def send(stream: BinaryIO, said: Mapping[str, object], arrays: Arrays | None = None) -> None:
    """Write a message and `arrays`, each an array or a list of arrays."""
    flat, layout = [], []
    for name, value in (arrays or {}).items():
        several = [value] if isinstance(value, np.ndarray) else list(value)
        count = None if isinstance(value, np.ndarray) else len(several)
        layout.append([name, count, [[str(array.dtype), array.shape] for array in several]])
        flat += several
    line = json.dumps({"said": said, "arrays": layout}).encode()
    stream.write(struct.pack("<Q", len(line)) + line)
    for array in flat:
        stream.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], Received]:
    """Read a message and its arrays, as :func:`send` wrote them.

    Raises:
        EOFError: where the other process has ended.
        ValueError: for data that is not such a message.
    """
    (length,) = struct.unpack("<Q", _exactly(stream, 8))
    if length > LONGEST:
        raise ValueError(f"message: expected a line of at most {LONGEST} bytes, found {length}")
    try:
        message = json.loads(_exactly(stream, length))
        said, rows = message["said"], [(name, count, list(layout)) for name, count, layout in message["arrays"]]
        if not isinstance(said, dict) or not all(
            isinstance(name, str) and (count is not None or len(few) == 1) for name, count, few in rows
        ):
            raise TypeError("fields of other types")
        layouts = [(name, count, [_shape(dtype, shape) for dtype, shape in layout]) for name, count, layout in rows]
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"message: expected said and arrays, found another JSON value ({error})") from None
    arrays: Received = {}
    for name, count, layout in layouts:
        several = [_array(stream, dtype, shape) for dtype, shape in layout]
        arrays[name] = several[0] if count is None else several
    return said, arrays


def _shape(dtype: object, shape: object) -> tuple[str, tuple[int, ...]]:
    """Return dtype and shape of an array of a message."""
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"message: expected an array of {', '.join(DTYPES)}, found {dtype!r}")
    if not isinstance(shape, list) or not all(type(side) is int and side >= 0 for side in shape) or math.prod(shape) > MOST_VALUES:
        raise ValueError(f"message: expected a shape of at most {MOST_VALUES} values, found {str(shape)[:80]}")
    return dtype, tuple(shape)


def _array(stream: BinaryIO, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    array = np.empty(shape, dtype)
    view, done = array.reshape(-1).view(np.uint8), 0
    while done < view.size:
        data = stream.read(view.size - done)
        if not data:
            raise EOFError("the other process has gone")
        view[done : done + len(data)] = np.frombuffer(data, np.uint8)
        done += len(data)
    return array


def _exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError("the other process has gone")
    return data


def _close(process: subprocess.Popen, stderr: IO[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):  # an unwritten message has no reader any more
            if stream is not None:
                stream.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    stderr.close()
