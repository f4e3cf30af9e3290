"""How a kernel is cut for a shape: a function of shapes alone, so that every run adds up in the same order and gives the same bits.

Chosen by reasoning about registers and memory sectors; ``benchmarks/gpu.py tiles`` measures the alternatives on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

SECTOR = 32  # bytes that memory hands over at once
LEAST = 16  # the smallest side that matrix units take
LARGEST = 32  # of 64 registers spill by kilobytes where it was compiled for capability 9.0
WIDE, NARROW = 256, 32  # depths together, from which tiles are small, and up to which a warp is enough
PROGRAMS = 512  # that share the lines where tables' gradients are summed
SCRATCH = 2**24  # floats of partial sums at most


@dataclass(frozen=True)
class Settings:
    """Of one call.

    Attributes:
        tile: B, queries and keys of a tile.
        key_width, value_width: Depths rounded up to a power of two that matrix units take.
        heads: How many heads of a line a program takes, one after the other, so that together they read whole sectors.
        warps: Of a program.
        stages: How many tiles are under way at once, loads of the next while one is computed.
        whole: Whether one tile holds a line, so that one kernel makes all gradients.
    """

    tile: int
    key_width: int
    value_width: int
    heads: int
    warps: int
    stages: int
    whole: bool


def settings(length: int, heads: int, key_depth: int, value_depth: int, itemsize: int) -> Settings:
    """How to cut attention along an axis.

    Args:
        length: L.
        heads, key_depth, value_depth: G, Dk, Dv.
        itemsize: Bytes of a number.
    """
    key_width, value_width = (max(LEAST, power_of_two(depth)) for depth in (key_depth, value_depth))
    tile = LEAST if length <= LEAST or 2 * key_width + value_width > WIDE else LARGEST
    whole_sectors = (count for count in range(1, heads) if heads % count == 0 and count * key_depth * itemsize >= SECTOR)
    together = next(whole_sectors, heads)
    warps = 1 if tile == LEAST and key_width + value_width <= NARROW else 4
    whole = length <= tile
    return Settings(tile, key_width, value_width, together, warps, 1 if whole else 2, whole)


def chunks(lines: int, windows: int, sums: int) -> int:
    """How many programs share the lines where gradients of tables are summed.

    Args:
        lines: N * O.
        windows: Of the tables.
        sums: Floats that a program writes for a window.
    """
    return max(1, min(lines, PROGRAMS, SCRATCH // (windows * sums)))


def power_of_two(n: int) -> int:
    """The smallest that is not below `n`."""
    return 1 << (n - 1).bit_length()
