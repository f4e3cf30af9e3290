"""Pixels deeper than 8 bits: kept beside the 8-bit picture that people see, until a model's own rule converts them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from axialzoo.image.image_error import ImageError

GREY_16 = ("I;16", "I;16L", "I;16B", "I;16N")
DEEP_MODES = (*GREY_16, "I", "F")
ATTRIBUTE = "axialzoo_depth"  # of a Pillow picture; Pillow's operations give new pictures without it, so it is never stale


@dataclass(frozen=True, eq=False)
class Depth:
    """The pixels of a picture as its file holds them.

    Attributes:
        values: (H, W) or (H, W, 3), uint16, int32, float32 or float64.
        ranged: Whether 0 to 65535 is their range, so that a model which does not stretch pictures can use them.
    """

    values: np.ndarray
    ranged: bool


def depth_of(picture: object) -> Depth | None:
    """Return the full depth of a picture of :func:`deep_picture`, or None for a picture of 8 bits."""
    return getattr(picture, ATTRIBUTE, None)


def deep_picture(values: np.ndarray, name: str = "image") -> Image.Image:
    """Return numbers of any range as 8-bit RGB that remembers them.

    Numbers from 0 to 65535 are scaled (65535 becomes 255). Floating-point numbers and those beyond 16 bits have no known range: their
    own percentiles become 0 and 255.

    Args:
        values: (H, W) or (H, W, 3).

    Raises:
        ImageError: for numbers that are not finite.
    """
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ImageError(
            f"{name}: expected finite numbers, found NaN or infinity in {(~np.isfinite(values)).sum()} of {values.size} pixels"
        )
    ranged = values.dtype.kind != "f" and values.min() >= 0 and values.max() <= 65535
    if ranged:
        pixels = ((values.astype(np.int64) + 128) // 257).astype(np.uint8)  # nearest; 65535 = 255 * 257
    else:
        pixels = stretch_array(values)
    picture = Image.fromarray(pixels).convert("RGB")
    setattr(picture, ATTRIBUTE, Depth(values, bool(ranged)))
    return picture


def stretch_array(values: np.ndarray, low: float = 0.001, high: float = 0.999) -> np.ndarray:
    """Return numbers of any range as uint8, their own darkest and brightest moved to 0 and 255.

    :func:`axialzoo.image.stretch_percentiles` does it to 8-bit pictures; numbers from 0 to 255 give the same here, bit for bit.

    Args:
        values: (H, W) or (H, W, 3).
        low, high: Which values those are, as shares of all values of all channels in order; values beyond them are clipped.
    """
    copies = 3 if values.ndim == 2 else 1  # a grey picture counts as red, green and blue
    last = copies * values.size - 1
    ranks = int(low * last) // copies, (last - int((1 - high) * last)) // copies
    flat = np.partition(values.reshape(-1), ranks)
    if values.dtype.kind == "f":
        darkest, brightest = (float(flat[rank]) for rank in ranks)
        reach = (brightest - darkest) or 1.0
        return np.clip(np.rint((values.astype(np.float64) - darkest) * (255 / reach)), 0, 255).astype(np.uint8)
    darkest, brightest = (int(flat[rank]) for rank in ranks)
    reach = max(brightest - darkest, 1)
    return np.clip((255 * (values.astype(np.int64) - darkest) + reach // 2) // reach, 0, 255).astype(np.uint8)


def array_picture(array: np.ndarray, per_image: bool) -> Image.Image:
    """Return an array of any number type as a picture.

    Args:
        array: (H, W), (H, W, 1) or (H, W, 3). Numbers from 0 to 255 are 8-bit values, whole or not; uint16 beyond 255 are 16-bit values.
        per_image: Whether the model stretches each picture to its own range; then any range of numbers from 0 on is taken.

    Raises:
        ImageError: for another shape, negative numbers, and numbers of 0 to 1 or beyond 255 where the model needs 0 to 255.
    """
    if not array.size or array.dtype.kind not in "iuf":
        raise ImageError(f"picture: expected an array of numbers from 0 to 255, found {array.dtype} {array.shape}")
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[-1] == 3)):
        raise ImageError(f"image: expected an array (H, W, 3) or (H, W), found {array.shape}")
    if array.dtype == np.uint8:
        return Image.fromarray(array)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ImageError(f"picture: expected numbers from 0 to 255, found {(~np.isfinite(array)).sum()} that are NaN or infinite")
    check_range(array, per_image)
    if per_image:
        return deep_picture(array, "picture")
    if array.dtype == np.uint16 and array.max() > 255:
        return deep_picture(array, "picture")
    return Image.fromarray(np.rint(array).astype(np.uint8))


def check_range(array: np.ndarray, per_image: bool) -> None:
    """Refuse numbers that are not a picture's: those of a normalised one, and of 0 to 1.

    Raises:
        ImageError: naming what was found and what to do.
    """
    low, high = float(array.min()), float(array.max())
    if low < 0 or (high > 255 and not per_image and array.dtype != np.uint16):
        raise ImageError(f"picture: expected numbers from 0 to 255, found {low:g} to {high:g}; give the picture before it is normalised")
    if array.dtype.kind == "f" and high <= 1 and not per_image and ((array > 0) & (array < 1)).any():
        raise ImageError(f"picture: expected numbers from 0 to 255, found {low:g} to {high:g}; multiply a picture of 0 to 1 by 255")
