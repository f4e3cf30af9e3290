"""Pillow's resampling of 8-bit pictures as integer matrices, so that any framework can give the same numbers.

Resizing is separable: columns first, then rows, each a product with a matrix of whole numbers over 2**22,
rounded and clipped to 0..255 in between (Pillow, ``src/libImaging/Resample.c``).
"""

from __future__ import annotations

import math

import numpy as np

PRECISION = 22  # bits of Pillow's weights for 8-bit channels


def resampling_weights(inputs: int, outputs: int, interpolation: str) -> np.ndarray:
    """Return the matrix (outputs, inputs), int64, that resamples an axis: a row's weights sum to about ``2**PRECISION``.

    Products with 8-bit values are exact in int64 and in float64 (not in float32).

    Args:
        inputs, outputs: Lengths of the axis before and after, in pixels.
        interpolation: ``"nearest"``, ``"box"``, ``"bilinear"``, ``"bicubic"`` or ``"lanczos"``.
    """
    matrix = np.zeros((outputs, inputs), np.int64)
    scale = inputs / outputs
    if interpolation == "nearest" or inputs == outputs:
        centres = np.cumsum([scale / 2] + [scale] * (outputs - 1))  # step by step, as Pillow adds them: rounding decides ties
        matrix[np.arange(outputs), np.minimum(centres.astype(np.int64), inputs - 1)] = 1 << PRECISION
        return matrix
    reach, kernel = FILTERS[interpolation]
    stretch = max(scale, 1.0)  # when shrinking, the filter widens: antialiasing
    for row in range(outputs):
        centre = (row + 0.5) * scale
        first = max(int(centre - reach * stretch + 0.5), 0)
        last = min(int(centre + reach * stretch + 0.5), inputs)
        weights = [kernel((column - centre + 0.5) / stretch) for column in range(first, last)]
        total = sum(weights)
        for column, weight in enumerate(weights, first):
            share = weight / total if total else weight
            matrix[row, column] = int(math.copysign(0.5, share) + share * (1 << PRECISION))
    return matrix


def resample(pixels: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """Resample pictures (..., H, W, C) of uint8 to `size` (height, width), exactly as Pillow's ``resize``, in plain numpy.

    The reference for layers that resize inside a framework; reading a file goes through Pillow itself.
    """
    height, width = pixels.shape[-3:-1]
    x = pixels.astype(np.int64)
    if width != size[1]:
        x = round_to_bytes(np.einsum("ow,...hwc->...hoc", resampling_weights(width, size[1], interpolation), x))
    if height != size[0]:
        x = round_to_bytes(np.einsum("oh,...hwc->...owc", resampling_weights(height, size[0], interpolation), x))
    return x.astype(np.uint8)


def round_to_bytes(sums: np.ndarray) -> np.ndarray:
    """Round sums over ``2**PRECISION`` to 0..255."""
    return np.clip((sums + (1 << (PRECISION - 1))) >> PRECISION, 0, 255)


def _box(x: float) -> float:
    return 1.0 if -0.5 < x <= 0.5 else 0.0


def _bilinear(x: float) -> float:
    return max(1.0 - abs(x), 0.0)


def _bicubic(x: float) -> float:
    x, a = abs(x), -0.5
    if x < 1.0:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2.0 else 0.0


def _lanczos(x: float) -> float:
    return _sinc(x) * _sinc(x / 3) if -3.0 <= x < 3.0 else 0.0


def _sinc(x: float) -> float:
    return math.sin(x * math.pi) / (x * math.pi) if x else 1.0


FILTERS = {"box": (0.5, _box), "bilinear": (1.0, _bilinear), "bicubic": (2.0, _bicubic), "lanczos": (3.0, _lanczos)}
