"""Groups of operations that run together, one strip of rows after the other, so that the maps between them stay in the caches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from axialzoo.native.program import Program, Step, Strips, View

BY_ROWS = ("convolution", "depthwise", "max_pool", "average_pool", "resize", "sum", "scale")  # a row of y needs few rows of x
LARGE = 2**18  # floats of the maps of an operation, for one image, from which on it joins a group
BUDGET = 2**19  # floats of all maps of a strip: less than a second cache
HEIGHTS = (32, 16, 8, 4, 2)  # rows of a strip of the tallest map
LEAST = 4  # rows of a map in the memory of a thread; others may read every fourth
Rows = tuple[int, int]  # the first, and the one after the last


def group(program: Program) -> list[Strips]:
    """Return the groups of consecutive operations whose maps are large; each has at least two."""
    groups, first = [], 0
    while first < len(program.steps):
        last = first
        while last < len(program.steps) and _joins(program, program.steps[first:last], program.steps[last]):
            last += 1
        if last - first > 1:
            groups.append(_strips(program, first, last))
        first = max(last, first + 1)
    return groups


def _joins(program: Program, steps: list[Step], step: Step) -> bool:
    """Return whether an operation can run with the ones before it: their maps, and its result, are whole rows."""
    floats = sum(view.shape[1] * view.shape[2] * view.channels for view in (step.x, step.y))
    if step.kind not in BY_ROWS or floats < LARGE or (steps and step.y.shape[0] != steps[0].y.shape[0]):
        return False
    if not _by_lines(program, step.y) or step.y.strides[1] != program.buffers[step.y.buffer].line:
        return False
    for other in steps:
        if any(view.buffer == other.y.buffer and not _by_lines(program, view) for view in step.reads()):
            return False
        if other.y.buffer == step.y.buffer:  # parts of the channels of one map, all of its rows
            apart = step.y.offset >= other.y.offset + other.y.channels or other.y.offset >= step.y.offset + step.y.channels
            if not apart or other.y.shape[:3] != step.y.shape[:3]:
                return False
        if any(view.buffer == step.y.buffer for view in other.reads()):
            return False
    return True


def _by_lines(program: Program, view: View) -> bool:
    buffer = program.buffers[view.buffer]
    rows = buffer.floats // buffer.line // view.shape[0] if buffer.line else 0
    strides = view.strides[1] in (buffer.line, 2 * buffer.line, LEAST * buffer.line) and view.strides[0] == rows * buffer.line
    return rows > 0 and view.offset < buffer.line and strides


def _strips(program: Program, first: int, last: int) -> Strips:
    steps = program.steps[first:last]
    written = {step.y.buffer for step in steps}
    used = {view.buffer for index, step in enumerate(program.steps) if not first <= index < last for view in (*step.reads(), step.y)}
    used |= {view.buffer for view in program.output_views()}
    local = sorted(written - used)
    heights = [step.y.shape[1] for step in steps]
    for height in HEIGHTS:
        count = min(-(-max(heights) // height), *heights)  # a strip has at least one row of each map
        rows = _rows(program, steps, local, written, count, count // 2)
        if sum((high - low) * program.buffers[buffer].line for buffer, (low, high) in rows.items()) <= BUDGET:
            break
    needs = [_rows(program, steps, local, written, count, strip) for strip in range(count)]
    places, floats = {}, 0
    for buffer in local:
        rows = power_of_two(max(LEAST, *(need[buffer][1] - need[buffer][0] for need in needs)))
        places[buffer] = floats, rows
        floats += -(-rows * program.buffers[buffer].line // 16) * 16  # whole cache lines
    return Strips(first, last, np.array([[need[step.y.buffer] for step in steps] for need in needs], np.int64), places, floats)


def power_of_two(least: int) -> int:
    """Return the smallest power of two that is not smaller."""
    return 1 << max(least - 1, 0).bit_length()


def _rows(program: Program, steps: list[Step], local: list[int], written: set[int], count: int, strip: int) -> dict[int, Rows]:
    """Return the rows of each map that a strip needs, of those that the operations write."""
    needs = {buffer: (0, 0) for buffer in local}
    for step in steps:
        if step.y.buffer not in local:
            needs[step.y.buffer] = step.y.shape[1] * strip // count, step.y.shape[1] * (strip + 1) // count
    for step in reversed(steps):
        low, high = needs[step.y.buffer]
        for view, (begin, end) in _read(step, low, high) if high > low else ():
            if view.buffer in written:
                every = view.strides[1] // program.buffers[view.buffer].line
                begin, end = begin * every, (end - 1) * every + 1
                before = needs[view.buffer]
                needs[view.buffer] = (begin, end) if before[1] <= before[0] else (min(before[0], begin), max(before[1], end))
    return needs


def _read(step: Step, low: int, high: int) -> Iterator[tuple[View, Rows]]:
    """Yield the maps that an operation reads for some rows of its result, and which rows of them."""
    kernel = step.kernel
    if step.kind == "resize":
        assert step.lines is not None
        yield step.x, (int(step.lines.low[low:high].min()), int(step.lines.high[low:high].max()) + 1)
    elif step.kind in ("sum", "scale"):
        yield step.x, (low, high)
    else:
        begin, end = low * kernel.stride - kernel.padding, (high - 1) * kernel.stride - kernel.padding + (kernel.side - 1) * kernel.dilation
        height = step.x.shape[1]
        begin, end = max(begin, 0), min(end + 1, height)
        if end > begin:
            yield step.x, (begin, end)
    if step.residual is not None:
        yield step.residual, (low, high)
