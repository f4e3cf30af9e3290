"""Which models the page offers, and their runners."""

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

MAX_RUNNERS = 4  # runners; each of Keras is a process of about half a GiB


def offered(requested: Sequence[str] = ()) -> tuple[str, ...]:
    """The sources of the models that can be chosen: `requested`, or else every model whose weights are here.

    Args:
        requested: Names, folders or ``org/repo``.

    Raises:
        CheckpointError, SpecError: for one that has no weights or cannot be had.
    """
    for source in requested:
        checkpoint_of(source)
    return tuple(dict.fromkeys(requested)) or (*list_models(pretrained=True), *(name for name in OFFICIAL if pulled_dir(name).exists()))


@cache
def _folder_of(source: str) -> Path:
    return fetch_checkpoint(source).folder


def checkpoint_of(source: str) -> Checkpoint:
    """Return the checkpoint of a source, which is looked for, and fetched where it has to be, the first time alone."""
    return load_checkpoint(_folder_of(source))


def frameworks() -> dict[str, str]:
    """Each framework that computes here -> what it is called: ``{"torch": "PyTorch", "keras": "Keras (jax)"}``."""
    return {name: f"Keras ({process_backend()})" if name == "keras" else "PyTorch" for name in available()}


class Runners:
    """The runners of what was asked for, of which the last few are kept.

    PyTorch computes in this process. Keras gets one of its own for each model, so that the page stays light and a back end that
    fails takes nothing with it.

    Args:
        most: How many are kept.
    """

    def __init__(self, most: int = MAX_RUNNERS):
        self._max_runners, self._lock = most, threading.Lock()
        self._runners: OrderedDict[tuple[str, str], tuple[Runner, contextlib.ExitStack]] = OrderedDict()

    def get(self, source: str, framework: str) -> Runner:
        """The runner of a model in a framework, which is made where it is not there yet.

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
        """Ends a runner, such as one whose process failed."""
        with self._lock:
            if entry := self._runners.pop((source, framework), None):
                entry[1].close()

    def close(self) -> None:
        """Ends all of them."""
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
