"""Changes of whole programs that leave their outputs as they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from axialzoo.native.program import Program, Step


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
