"""The models that the page offers, and the cache of their runners."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from axialzoo.checkpoint import Checkpoint, load_checkpoint
from axialzoo.hub import fetch_checkpoint
from axialzoo.hub.catalogue import OFFICIAL
from axialzoo.hub.pulled import pulled_dir
from axialzoo.runtime import Runner
from axialzoo.runtime.frameworks import available, process_backend
from axialzoo.runtime.process import Worker
from axialzoo.spec import list_models

MAX_RUNNERS = 4  # a runner of Keras is a process of about half a GiB


def offered(requested: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the sources of the models to choose from: `requested`, or else every model with weights on this machine.

    Args:
        requested: Names, folders or ``org/repo``.

    Raises:
        CheckpointError, SpecError: for a model that has no weights or cannot be fetched.
    """
    for source in requested:
        checkpoint_of(source)
    return tuple(dict.fromkeys(requested)) or (*list_models(pretrained=True), *(name for name in OFFICIAL if pulled_dir(name).exists()))


@cache
def _folder_of(source: str) -> Path:
    return fetch_checkpoint(source).folder


def checkpoint_of(source: str) -> Checkpoint:
    """Return the checkpoint of a source; only the first call resolves and fetches it."""
    return load_checkpoint(_folder_of(source))


def frameworks() -> dict[str, str]:
    """Return the title of each framework that runs here: ``{"torch": "PyTorch", "keras": "Keras (jax)"}``."""
    return {name: f"Keras ({process_backend()})" if name == "keras" else "PyTorch" for name in available()}


class Runners:
    """A cache of the most recently used runners.

    PyTorch computes in this process. Each Keras model gets its own process, so that the page stays light and a back end that fails
    does not end the page.

    Args:
        most: Maximum number of cached runners.
    """

    def __init__(self, most: int = MAX_RUNNERS):
        self._max_runners, self._lock = most, threading.Lock()
        self._runners: OrderedDict[tuple[str, str], tuple[Runner, contextlib.ExitStack]] = OrderedDict()

    def get(self, source: str, framework: str) -> Runner:
        """Return the runner of a model in a framework, and start it if it is not cached.

        Args:
            source: A name, a folder or ``org/repo``.
            framework: ``"torch"`` or ``"keras"``.

        Raises:
            CheckpointError, SpecError, ModuleNotFoundError: as :class:`axialzoo.runtime.Runner`.
        """
        with self._lock:
            key = (source, framework)
            if key not in self._runners:
                self._runners[key] = _start_runner(source, framework)
            self._runners.move_to_end(key)
            while len(self._runners) > self._max_runners:
                self._runners.popitem(last=False)[1][1].close()
            return self._runners[key][0]

    def forget(self, source: str, framework: str) -> None:
        """Close a runner, such as a runner whose process failed."""
        with self._lock:
            if entry := self._runners.pop((source, framework), None):
                entry[1].close()

    def close(self) -> None:
        """Close all runners."""
        with self._lock:
            while self._runners:
                self._runners.popitem()[1][1].close()


def _start_runner(source: str, framework: str) -> tuple[Runner, contextlib.ExitStack]:
    checkpoint = checkpoint_of(source)
    with contextlib.ExitStack() as stack:
        worker, backend = None, None
        if framework == "keras":
            backend = process_backend()
            worker = Worker("keras", backend)
            stack.callback(worker.close)
        runner = Runner(checkpoint, framework, backend, worker=worker)
        return runner, stack.pop_all()
