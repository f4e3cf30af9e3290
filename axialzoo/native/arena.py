"""Places buffers in one arena: two buffers share memory where they are not in use at the same time."""

from __future__ import annotations

from axialzoo.native.program import Program

ALIGNMENT = 16  # floats: a cache line
ORDERS = 16  # orders in which the buffers are placed, at most


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
    """Set the offset of each buffer and the size of the arena.

    Buffers are placed the largest first, each at the lowest free place. While the arena is larger than the buffers that are in use
    together at any operation, the buffer at its top is placed before all others, and the smallest of a few arenas is taken.
    """
    lives = lifetimes(program)
    floats = {buffer: -(-program.buffers[buffer].floats // ALIGNMENT) * ALIGNMENT for buffer in lives}
    steps = range(-1, len(program.steps) + 1)
    least = max(sum(floats[buffer] for buffer, (first, last) in lives.items() if first <= step <= last) for step in steps)
    order = sorted(lives, key=lambda buffer: (-floats[buffer], lives[buffer]))
    program.floats = 0
    for _ in range(ORDERS):
        offsets = offsets_in(order, floats, lives)
        ends = {buffer: offset + floats[buffer] for buffer, offset in offsets.items()}
        highest = max(order, key=ends.__getitem__)
        if not program.floats or ends[highest] < program.floats:
            program.floats = ends[highest]
            for buffer, offset in offsets.items():
                program.buffers[buffer].offset = offset
        if program.floats == least:
            break
        order.remove(highest)
        order.insert(0, highest)


def offsets_in(order: list[int], floats: dict[int, int], lives: dict[int, tuple[int, int]]) -> dict[int, int]:
    """Return the offset of each buffer, placed in this order, each at the lowest place that is free while it is in use."""
    placed: list[tuple[int, int, tuple[int, int]]] = []  # offset, end, life
    offsets = {}
    for buffer in order:
        offset, (first, last) = 0, lives[buffer]
        for begin, end, life in sorted(placed):
            if life[0] <= last and first <= life[1]:  # both in use at some operation
                if begin - offset >= floats[buffer]:
                    break
                offset = max(offset, end)
        offsets[buffer] = offset
        placed.append((offset, offset + floats[buffer], lives[buffer]))
    return offsets
