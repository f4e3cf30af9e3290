"""How far and how evenly a map of weights spreads."""

from __future__ import annotations

import numpy as np

LUO = 1 - 0.9545  # of the peak: what two standard deviations of a Gaussian leave


def spread(weights: np.ndarray, row: float, column: float) -> dict[str, float]:
    """How far and how evenly `weights` (H, W), none negative, spread around (row, column).

    Returns:
        ``reached``: share of positions with any weight at all.
        ``coverage``: share of positions with at least a tenth of the weight of an even spread, ``1 / (10 H W)`` of the total.
        ``effective_positions``: exp of the entropy of the weights: so many equal ones are spread as widely; ``H W`` at most.
        ``mean_distance``: mean of the distance from (row, column), weighted, in positions (the attention distance of
        arXiv:2010.11929, appendix D.7).
        ``above_peak_share``: share of positions above 4.55 % of the largest: the effective receptive field of Luo et al.
        (arXiv:1701.04128, section 4).

    Raises:
        ValueError: for a map that is empty, negative, not finite, or zero everywhere.

    Example:
        >>> spread(np.ones((4, 4)), 1.5, 1.5)["effective_positions"]
        16.0
    """
    weights = np.asarray(weights, np.float64)
    if weights.ndim != 2 or not np.isfinite(weights).all() or (weights < 0).any() or not weights.sum() > 0:
        raise ValueError(f"weights: expected a map (H, W) of numbers of at least 0, not all 0, found {weights.shape}, sum {weights.sum()}")
    share = weights / weights.sum()  # (H, W)
    some = share[share > 0]
    rows, columns = np.indices(share.shape)
    return {
        "reached": float((share > 0).mean()),
        "coverage": float((share >= 0.1 / share.size).mean()),
        "effective_positions": round(float(np.exp(-(some * np.log(some)).sum())), 6),
        "mean_distance": float((share * np.hypot(rows - row, columns - column)).sum()),
        "above_peak_share": float((share > LUO * share.max()).mean()),
    }
