"""Models in a worker process, for a framework or a Keras back end that this process does not have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from axialzoo.runtime.frameworks import TITLES
from axialzoo.runtime.ipc import WorkerProcess

SECONDS = 900  # for one answer


class Worker(WorkerProcess):
    """Runs :mod:`axialzoo.runtime.worker`.

    Args:
        framework: ``"torch"`` or ``"keras"``.
        backend: Back end of Keras.
        seconds: Limit of an answer; a slower answer ends the worker.
        threads: Cores that it may use, and threads that it starts; default as this process.
    """

    def __init__(self, framework: str, backend: str | None = None, seconds: float = SECONDS, threads: int | None = None):
        title = TITLES.get(framework, framework)
        cores = sorted(os.sched_getaffinity(0))[:threads] if threads is not None and hasattr(os, "sched_getaffinity") else None
        super().__init__(
            "axialzoo.runtime.worker",
            framework,
            title=f"{title} ({backend})" if backend else title,
            threads=threads,
            cores=cores,
            environment={"JAX_ENABLE_X64": "1", **({"KERAS_BACKEND": backend} if backend else {})},
            timeout=seconds,
        )

    def load(self, folder: Path, digest: str, precision: str, **options: Any) -> dict[str, Any]:
        """Build the model of the checkpoint in `folder`.

        Args:
            folder, digest: Folder of the checkpoint, and its expected digest.
            precision: ``"float32"`` or ``"float64"``.
            options: ``compiled``, ``optimize``, ``device``, ``allow_tf32``: as of :class:`axialzoo.runtime.Runner`.

        Returns:
            ``device`` and ``optimized``: where and in which form it runs.
        """
        folder = Path(folder).resolve()
        return self.ask({"do": "load", "folder": str(folder), "digest": digest, "precision": precision, **options})[0]

    def outputs(self, precision: str, x: np.ndarray) -> dict[str, np.ndarray | list[np.ndarray]]:
        """Return the outputs by name of the model that was loaded in that precision, of inputs (N, H, W, C)."""
        return self.ask({"do": "outputs", "precision": precision}, {"x": x})[1]

    def times(self, precision: str, x: np.ndarray, seconds: float) -> dict[str, list[float]]:
        """Time calls of that model for about `seconds`, at least one: seconds of each call, as ``wall`` time and ``cpu`` time."""
        _, times = self.ask({"do": "times", "precision": precision, "seconds": seconds}, {"x": x})
        return {name: np.asarray(value).tolist() for name, value in times.items()}
