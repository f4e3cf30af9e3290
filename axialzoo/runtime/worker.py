"""``python -m axialzoo.runtime.worker FRAMEWORK``: computes outputs in a process of its own, until its input ends.

A Keras back end is chosen when Keras is first imported, so that another than a process's own needs another process.
Asked and answered in :mod:`axialzoo.runtime.frames` over standard input and output; whatever else is printed goes to
standard error. Requests: ``{"do": "load", "folder", "digest", "precision", "compiled", "optimize"}``, and with the array ``x``
``{"do": "outputs", "precision"}`` and ``{"do": "times", "precision", "seconds"}``. Answers: ``{}`` with the outputs, or with the
times of calls, or ``{"error": ...}``.
"""

from __future__ import annotations

import os
import sys
import time

import numpy as np

from axialzoo.checkpoint import load_checkpoint
from axialzoo.runtime.frames import receive, send
from axialzoo.runtime.local import Network, keras_model, torch_model


def serve(framework: str) -> None:
    """Answers until the other side closes."""
    answers, questions = os.fdopen(os.dup(1), "wb"), sys.stdin.buffer
    os.dup2(2, 1)  # what frameworks print is no answer
    networks: dict[str, Network] = {}
    while True:
        try:
            asked, arrays = receive(questions)
        except EOFError:
            return
        try:
            found = _answer(framework, networks, asked, arrays.get("x"))
        except Exception as error:  # told to the other side, whose user decides
            send(answers, {"error": str(error).strip() or type(error).__name__, "kind": type(error).__name__})
        else:
            send(answers, {}, found)


def _answer(framework: str, networks: dict[str, Network], asked: dict, x) -> dict:
    precision = asked["precision"]
    if asked["do"] == "load":
        checkpoint = load_checkpoint(asked["folder"], verify=False)  # the other side has verified it
        if checkpoint.config.digest != asked["digest"]:
            raise ValueError(f"{checkpoint.folder}: expected digest {asked['digest']}, found {checkpoint.config.digest}; load it again")
        make = {"torch": torch_model, "keras": keras_model}[framework]
        model = make(checkpoint.config.spec, checkpoint.tensors, precision, asked["optimize"])
        networks[precision] = Network(model, precision, asked["compiled"])
        return {}
    if asked["do"] == "times":
        return _times(networks[precision], x, asked["seconds"])
    found = networks[precision].outputs(x)
    for name, value in found.items():
        for part in [value] if isinstance(value, np.ndarray) else value:
            if part.dtype != np.dtype(precision):
                raise TypeError(f"{framework}: expected {name} in {precision}, found {part.dtype}")
    return found


def _times(network: Network, x: np.ndarray, seconds: float) -> dict:
    wall, cpu = [], []
    until = time.perf_counter() + seconds
    while not wall or time.perf_counter() < until:
        start, computed = time.perf_counter(), time.process_time()
        network.outputs(x)
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - computed)
    return {"wall": np.array(wall), "cpu": np.array(cpu)}


if __name__ == "__main__":
    serve(sys.argv[1])
