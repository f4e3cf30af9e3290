"""Description of a program: operations, shapes, multiply-adds and bytes, and how long they take here."""

from __future__ import annotations

from typing import Any

import numpy as np

from axialzoo.native.arena import place
from axialzoo.native.builder import Builder
from axialzoo.native.engine import Compiled, Engine
from axialzoo.native.planner import plan
from axialzoo.native.program import Matrix
from axialzoo.native.shapes import Shapes
from axialzoo.native.weights import Tensors, Weights
from axialzoo.ops.kernels import Kernel, kernel
from axialzoo.spec import Model

ROUNDS = 7  # of which the fastest counts, since other programs only make it slower


def plan_report(spec: Model, tensors: Tensors | None, size: tuple[int, int]) -> dict[str, Any]:
    """Return the operations of a network for one image of `size`.

    Args:
        tensors: Its tensors; without them nothing is timed.

    Returns:
        ``size``, ``operations`` (each with ``operation``, ``layer``, ``from``, ``to``, ``multiply_adds``, ``bytes``, ``activation``,
        ``seconds`` and ``of_peak``), ``multiply_adds``, ``arena_bytes``, ``runs_on``, ``seconds`` and ``of_peak``. Times are None where
        nothing ran on the kernel. The peak is the rate of a large product of the kernel.

    Raises:
        NoPlan: naming a part of the network that the native runtime cannot run.
    """
    library = kernel()
    if tensors is None or library is None:
        program, seconds, peak = plan(spec, Shapes(spec), 1, size), None, None
    else:
        compiled = Engine(spec, tensors).compiled(1, size)
        program, peak = compiled.program, peak_rate(library)
        seconds = _fastest(compiled, library)
    operations = []
    for index, step in enumerate(program.steps):
        time = None if seconds is None else float(seconds[index])
        operations.append(
            {
                "operation": step.kind, "layer": step.name, "from": list(step.x.shape[1:]), "to": list(step.y.shape[1:]),
                "multiply_adds": step.multiply_adds, "bytes": step.bytes, "activation": step.activation, "seconds": time,
                "of_peak": None if time is None or peak is None else step.multiply_adds / time / peak,
            }
        )  # fmt: skip
    total = None if seconds is None else float(seconds.sum())
    return {
        "size": list(size), "operations": operations, "multiply_adds": program.multiply_adds, "arena_bytes": 4 * program.floats,
        "runs_on": "numpy" if library is None else library.isa, "seconds": total,
        "of_peak": None if total is None or peak is None else program.multiply_adds / total / peak,
    }  # fmt: skip


def peak_rate(library: Kernel) -> float:
    """Return the multiply-adds a second of a large product of the kernel, on one thread: of 480 rows with 128 x 128 weights."""
    build = Builder(Weights({}, 1e-5), (1, 24, 20, 128))
    matrix = Matrix(np.full((1, 128, 128), 1 / 128, np.float32), np.zeros(128, np.float32))
    program = build.program({"y": build.convolution("product", build.image, matrix)})
    place(program)
    return program.multiply_adds / float(_fastest(Compiled(program), library, 40)[0])


def _fastest(compiled: Compiled, library: Kernel, rounds: int = ROUNDS) -> np.ndarray:
    """Return the least seconds of each operation."""
    x = np.random.default_rng(0).standard_normal(compiled.program.input.shape, np.float32)
    times = []
    for _ in range(rounds):
        compiled.run(library, x, 1, timed=True)
        times.append([step.seconds for step in compiled.steps])
    return np.min(times, axis=0)
