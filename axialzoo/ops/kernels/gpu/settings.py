"""Tile sizes of the kernels for a shape. They depend on shapes alone, so every run sums in one order and gives the same bits.

The choices follow from registers and memory sectors; ``benchmarks/gpu.py tiles`` measures the alternatives on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

SECTOR = 32  # bytes of a memory transaction
LEAST = 16  # the smallest side that matrix units take
LARGEST = 32  # tiles of 64 spill kilobytes of registers when compiled for capability 9.0
WIDE, NARROW = 256, 32  # sums of depths: above WIDE tiles are small, up to NARROW one warp is enough
PROGRAMS = 512  # programs that share the lines to sum the gradients of tables
SCRATCH = 2**24  # largest number of floats in partial sums


@dataclass(frozen=True)
class Settings:
    """Launch settings of one call.

    Attributes:
        tile: B, the number of queries and of keys in a tile.
        key_width, value_width: Depths rounded up to a power of two that matrix units take.
        heads: Number of heads of a line that a program computes one after the other, so that together they read whole sectors.
        warps: Number of warps of a program.
        stages: Depth of the software pipeline: with 2, the next tile loads while one is computed.
        whole: Whether one tile holds a line, so that one kernel computes all gradients.
    """

    tile: int
    key_width: int
    value_width: int
    heads: int
    warps: int
    stages: int
    whole: bool


def settings(length: int, heads: int, key_depth: int, value_depth: int, itemsize: int) -> Settings:
    """Choose the settings for attention along an axis.

    Args:
        length: L.
        heads, key_depth, value_depth: G, Dk, Dv.
        itemsize: Bytes of an element.
    """
    key_width, value_width = (max(LEAST, power_of_two(depth)) for depth in (key_depth, value_depth))
    tile = LEAST if length <= LEAST or 2 * key_width + value_width > WIDE else LARGEST
    whole_sectors = (count for count in range(1, heads) if heads % count == 0 and count * key_depth * itemsize >= SECTOR)
    together = next(whole_sectors, heads)
    warps = 1 if tile == LEAST and key_width + value_width <= NARROW else 4
    whole = length <= tile
    return Settings(tile, key_width, value_width, together, warps, 1 if whole else 2, whole)


def chunks(lines: int, windows: int, sums: int) -> int:
    """Return how many programs share the lines to sum the gradients of tables.

    Args:
        lines: N * O.
        windows: Number of windows of the tables.
        sums: Number of floats that a program writes for a window.
    """
    return max(1, min(lines, PROGRAMS, SCRATCH // (windows * sums)))


def power_of_two(n: int) -> int:
    """Return the smallest power of two that is at least `n`."""
    return 1 << (n - 1).bit_length()
