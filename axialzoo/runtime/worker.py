"""``python -m axialzoo.runtime.worker FRAMEWORK``: computes outputs in its own process, until its input ends.

Keras chooses its back end at its first import, so a second back end needs a second process.
Messages are those of :mod:`axialzoo.runtime.ipc`. Requests: ``{"do": "load", "folder", "digest", "precision"}`` with the options of
:meth:`axialzoo.runtime.process.Worker.load`, and with the array ``x`` ``{"do": "outputs", "precision"}`` and
``{"do": "times", "precision", "seconds"}``. Answers: of a load its device and form, else ``{}`` with the outputs, or the times of calls.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from axialzoo.checkpoint import load_checkpoint
from axialzoo.runtime.ipc import Received, serve
from axialzoo.runtime.local import InProcessModel, NativeModel, build_model


class Handler:
    """Answers the requests for one framework.

    Args:
        framework: ``"torch"`` or ``"keras"``.
    """

    def __init__(self, framework: str):
        self.framework = framework
        self.models: dict[str, InProcessModel | NativeModel] = {}  # by precision

    def __call__(self, message: dict[str, Any], arrays: Received) -> tuple[dict[str, Any], Received]:
        options = dict(message)
        request, precision = options.pop("do"), options.pop("precision")
        if request == "load":
            return self._load(precision, **options), {}
        x = np.asarray(arrays["x"])
        if request == "times":
            return {}, _times(self.models[precision], x, message["seconds"])
        return {}, self._outputs(precision, x)

    def _load(self, precision: str, folder: str, digest: str, **options: Any) -> dict[str, Any]:
        checkpoint = load_checkpoint(folder, verify=False)  # the other side has verified it
        if checkpoint.config.digest != digest:
            raise ValueError(f"{checkpoint.folder}: expected digest {digest}, found {checkpoint.config.digest}; load it again")
        model = build_model(self.framework, checkpoint, precision, **options)
        self.models[precision] = model
        return {"device": model.device, "optimized": model.optimized}

    def _outputs(self, precision: str, x: np.ndarray) -> Received:
        outputs = self.models[precision].outputs(x)
        for name, value in outputs.items():
            for array in [value] if isinstance(value, np.ndarray) else value:
                if array.dtype != np.dtype(precision):
                    raise TypeError(f"{self.framework}: expected {name} in {precision}, found {array.dtype}")
        return outputs


def _times(model: InProcessModel | NativeModel, x: np.ndarray, seconds: float) -> Received:
    wall, cpu = [], []
    until = time.perf_counter() + seconds
    while not wall or time.perf_counter() < until:
        start, computed = time.perf_counter(), time.process_time()
        model.outputs(x)
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - computed)
    return {"wall": np.array(wall), "cpu": np.array(cpu)}


if __name__ == "__main__":
    serve(Handler(sys.argv[1]))
