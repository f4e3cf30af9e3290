"""The growth of a cost with the size of a map."""

from __future__ import annotations

import math
from collections.abc import Sequence


def exponent(positions: Sequence[float], costs: Sequence[float | None]) -> float | None:
    """Fit the `b` of ``cost = a * positions ** b``, by least squares of the logarithms.

    1 is linear in the positions of a map, 2 quadratic (global attention), 1.5 in between (axial attention: each of
    H x W positions attends to H + W).

    Args:
        positions: H times W of each map.
        costs: Cost of each map, in any unit; None where it was not measured.

    Returns:
        None where fewer than two sizes were measured.

    Raises:
        ValueError: where the lengths differ or a number is not positive.

    Example:
        >>> round(exponent([100, 400, 1600], [3.0, 24.0, 192.0]), 6)
        1.5
    """
    if len(positions) != len(costs):
        raise ValueError(f"costs: expected one for each of {len(positions)} sizes, found {len(costs)}")
    points = [(position, cost) for position, cost in zip(positions, costs) if cost is not None]
    if any(not (value > 0 and math.isfinite(value)) for point in points for value in point):
        raise ValueError(f"positions and costs: expected positive numbers, found {points}")
    if len({position for position, _ in points}) < 2:
        return None
    x, y = ([math.log(point[axis]) for point in points] for axis in (0, 1))
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / sum((a - mean_x) ** 2 for a in x)
