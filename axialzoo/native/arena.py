"""Places buffers in one arena: two buffers share memory where they are not in use at the same time."""

from __future__ import annotations

from axialzoo.native.program import Program

ALIGNMENT = 16  # floats: a cache line


def lifetimes(program: Program) -> dict[int, tuple[int, int]]:
    """Return the first and the last operation that uses each buffer of the arena; outputs live to the end, the input from the start.

    Operations of a group run together, so a buffer that one of them uses is in use from the first to the last.
    """
    end = len(program.steps)
    spans = {index: (strips.first, strips.last - 1) for strips in program.strips for index in range(strips.first, strips.last)}
    used: dict[int, tuple[int, int]] = {program.input.buffer: (-1, -1)}
    for index, step in enumerate(program.steps):
        first, last = spans.get(index, (index, index))
        for view in (*step.reads(), step.y):
            used[view.buffer] = (used.get(view.buffer, (first, last))[0], last)
    for view in program.output_views():
        used[view.buffer] = (used[view.buffer][0], end)
    local = {buffer for strips in program.strips for buffer in strips.local}
    return {buffer: life for buffer, life in used.items() if program.buffers[buffer].constant is None and buffer not in local}


def place(program: Program) -> None:
    """Set the offset of each buffer and the size of the arena: the largest buffers first, each at the lowest free place."""
    lives = lifetimes(program)
    placed: list[tuple[int, int, tuple[int, int]]] = []  # offset, end, life
    for buffer in sorted(lives, key=lambda buffer: (-program.buffers[buffer].floats, lives[buffer])):
        floats, (first, last) = -(-program.buffers[buffer].floats // ALIGNMENT) * ALIGNMENT, lives[buffer]
        offset = 0
        for begin, end, life in sorted(placed, key=lambda row: row[0]):
            if life[0] <= last and first <= life[1]:  # both in use at some operation
                if begin - offset >= floats:
                    break
                offset = max(offset, end)
        program.buffers[buffer].offset = offset
        placed.append((offset, offset + floats, lives[buffer]))
        program.floats = max(program.floats, offset + floats)
