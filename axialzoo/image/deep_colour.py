"""Colours of 16 bits a channel at full depth: Pillow gives 8 of the 16 bits, so a file is decoded twice, once for each byte."""

from __future__ import annotations

import os
import sys
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps

OTHER = {"B": "L", "L": "B"}  # byte order of a raw mode -> the order by which Pillow takes the other byte
NATIVE = "L" if sys.byteorder == "little" else "B"


def is_cut(image: Image.Image) -> bool:
    """Tell whether Pillow will cut the colours of an opened, unread picture from 16 to 8 bits."""
    tiles = getattr(image, "tile", ())
    return image.mode in ("RGB", "RGBA") and bool(tiles) and all(";16" in _raw_mode(tile) for tile in tiles)


def _raw_mode(tile: tuple) -> str:
    arguments = tile[3]
    return str(arguments if isinstance(arguments, str) else arguments[0] if arguments else "")


def read_deep(source: str | os.PathLike[str] | IO[bytes], page: int, formats: tuple[str, ...]) -> np.ndarray:
    """Return the colours of a picture of 16 bits a channel, upright, transparency laid over white: (H, W, 3) uint16.

    Args:
        source: A path or an open binary file.
        page: From 0.
        formats: Formats of Pillow to try.
    """
    high, low = (_bytes(source, page, formats, other) for other in (False, True))
    values = high.astype(np.uint16) << 8 | low  # (H, W, 3) or (H, W, 4)
    if values.shape[-1] == 3:
        return values
    alpha = values[..., 3:].astype(np.float64) / 65535
    return np.rint(values[..., :3] * alpha + 65535 * (1 - alpha)).astype(np.uint16)


def _bytes(source: str | os.PathLike[str] | IO[bytes], page: int, formats: tuple[str, ...], other: bool) -> np.ndarray:
    """Return the high bytes of each channel, or with `other` the low bytes."""
    if not isinstance(source, (str, os.PathLike)):
        source.seek(0)
    with Image.open(source, formats=formats) as image:
        if page:
            image.seek(page)
        if other:
            opened: Any = image
            opened.tile = [tile._replace(args=_swapped(tile.args)) for tile in opened.tile]
        image.load()
        return np.asarray(ImageOps.exif_transpose(image))


def _swapped(arguments: object) -> object:
    """Return the arguments of a tile's decoder with the other byte of each channel."""
    if isinstance(arguments, str):
        order = arguments[-1].replace("N", NATIVE)
        return arguments[:-1] + OTHER[order]
    assert isinstance(arguments, tuple)
    return (_swapped(arguments[0]), *arguments[1:])
