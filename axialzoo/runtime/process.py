"""A framework or a Keras back end that is not this process's, in a worker process."""

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
        backend: Of Keras.
        seconds: An answer that takes longer ends the worker.
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
            folder, digest: The checkpoint, and the digest that it must have.
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
        """Seconds of each of several calls of that model, at least one and for about so long: ``wall``, and ``cpu``, the processor's."""
        _, times = self.ask({"do": "times", "precision": precision, "seconds": seconds}, {"x": x})
        return {name: np.asarray(value).tolist() for name, value in times.items()}
