"""A process of its own for a framework or a Keras back end that is not this process's."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import weakref
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from axialzoo.runtime.frames import receive, send
from axialzoo.runtime.frameworks import TITLES

SECONDS = 900  # for one answer
ROOT = Path(__file__).resolve().parents[2]  # where the package lies, whatever the current folder is


class WorkerError(RuntimeError):
    """A worker that failed, stopped or took too long."""


class Worker:
    """Runs :mod:`axialzoo.runtime.worker`, until it is closed, deleted, or this process ends.

    Args:
        framework: ``"torch"`` or ``"keras"``.
        backend: Of Keras.
        seconds: An answer that takes longer ends the worker.
        threads: Cores that it may use, and threads that it starts; default as this process.
    """

    def __init__(self, framework: str, backend: str | None = None, seconds: float = SECONDS, threads: int | None = None):
        title = TITLES.get(framework, framework)
        self.title, self.seconds = f"{title} ({backend})" if backend else title, seconds
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (it is open as long as the process runs)
        settings = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_ENABLE_X64": "1"}
        settings["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        if threads is not None:
            settings["OMP_NUM_THREADS"] = str(threads)
        if backend:
            settings["KERAS_BACKEND"] = backend
        self._process = subprocess.Popen(
            [sys.executable, "-m", "axialzoo.runtime.worker", framework],
            env=settings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
        )  # fmt: skip
        if threads is not None and hasattr(os, "sched_setaffinity"):  # what every framework heeds
            os.sched_setaffinity(self._process.pid, sorted(os.sched_getaffinity(0))[:threads])
        self._close = weakref.finalize(self, _close, self._process, self._errors)

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    def load(self, folder: Path, digest: str, precision: str, compiled: bool = False, optimize: bool = False) -> None:
        """Builds the model of the checkpoint in `folder`, which has this digest."""
        asked = {"folder": str(Path(folder).resolve()), "digest": digest, "precision": precision}
        self._ask({"do": "load", **asked, "compiled": compiled, "optimize": optimize})

    def outputs(self, precision: str, x: np.ndarray) -> dict[str, np.ndarray | list[np.ndarray]]:
        """Of the model that was loaded in that precision: inputs (N, H, W, C) to outputs by name."""
        return self._ask({"do": "outputs", "precision": precision}, {"x": x})

    def times(self, precision: str, x: np.ndarray, seconds: float) -> dict[str, list[float]]:
        """Seconds of each of several calls of that model, at least one and for about so long: ``wall``, and ``cpu``, the processor's."""
        found = self._ask({"do": "times", "precision": precision, "seconds": seconds}, {"x": x})
        return {name: np.asarray(value).tolist() for name, value in found.items()}

    def close(self) -> None:
        """Ends the process; more than once does no harm."""
        self._close()

    def _ask(self, said: dict, arrays: dict[str, np.ndarray] | None = None) -> dict[str, np.ndarray | list[np.ndarray]]:
        process = self._process
        questions, answers = cast(BinaryIO, process.stdin), cast(BinaryIO, process.stdout)
        if not self._close.alive:
            raise WorkerError(f"{self.title}: its process was closed; make another runner")
        late = threading.Event()
        timer = threading.Timer(self.seconds, lambda: (late.set(), process.kill()))
        timer.daemon = True
        timer.start()
        try:
            send(questions, said, arrays)
            answer, found = receive(answers)
        except (EOFError, OSError) as error:
            reason = f"took longer than {self.seconds:g} s" if late.is_set() else self._last_words()
            self.close()
            raise WorkerError(f"{self.title}: {reason}") from error
        except BaseException:  # interrupted half way: what comes next would be the wrong answer
            self.close()
            raise
        finally:
            timer.cancel()
        if "error" in answer:
            raise WorkerError(f"{self.title}: {answer['error']}")
        return found

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"its process ended with exit code {code}"


def _close(process: subprocess.Popen, errors) -> None:
    for stream in (process.stdin, process.stdout):
        try:
            if stream is not None:
                stream.close()
        except OSError:  # what was still to be written has no reader
            continue
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    errors.close()
