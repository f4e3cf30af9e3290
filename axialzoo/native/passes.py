"""Changes of whole programs that leave their outputs as they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from axialzoo.native.program import Program, Step

LARGE = 2**18  # floats of a map, for one image, from which on it is read while it is in a cache


def fuse_activations(program: Program) -> None:
    """Move an activation into the operation before it, where nobody else reads what it activates."""
    readers = Counter(view.buffer for step in program.steps for view in step.reads())
    readers.update(view.buffer for view in program.output_views())
    writers = Counter(step.y.buffer for step in program.steps)
    steps: list[Step] = []
    by_result: dict[int, int] = {}  # buffer -> place of the operation in `steps`
    for step in program.steps:
        index = by_result.get(step.x.buffer)
        if step.kind == "sum" and step.residual is None and step.activation != "none" and index is not None:
            before = steps[index]
            alone = readers[step.x.buffer] == 1 and writers[step.x.buffer] == 1 and before.y == step.x
            if alone and before.activation == "none" and (before.kind != "attention" or step.activation == "relu"):
                steps[index] = replace(before, y=step.y, activation=step.activation)
                by_result[step.y.buffer] = index
                continue
        by_result[step.y.buffer] = len(steps)
        steps.append(step)
    program.steps[:] = steps


def hoist(program: Program) -> None:
    """Move 1x1 convolutions of large maps to where their input is made, which is then in a cache, and may not be needed any more later."""
    writers = Counter(step.y.buffer for step in program.steps)
    last: dict[int, int] = {}  # buffer -> the operation in `steps` that writes it last
    steps: list[Step] = []
    for step in program.steps:
        index = last.get(step.x.buffer)
        narrow = step.kind == "convolution" and step.kernel.side == 1 and step.y.channels <= step.x.channels
        large = step.x.shape[1] * step.x.shape[2] * step.x.channels >= LARGE
        if index is not None and narrow and large and step.residual is None and writers[step.y.buffer] == 1:
            steps.insert(index + 1, step)
            last = {buffer: place + (place > index) for buffer, place in last.items()}
            last[step.y.buffer] = index + 1
        else:
            steps.append(step)
            last[step.y.buffer] = len(steps) - 1
    program.steps[:] = steps
