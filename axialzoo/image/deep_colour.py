"""Colours of 16 bits a channel at full depth: Pillow gives 8 of the 16 bits, so a file is decoded twice, once for each byte."""

from __future__ import annotations

import os
import re
import sys
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps

from axialzoo.image.image_error import ImageError
from axialzoo.image.pages import tiff_samples

OTHER = {"B": "L", "L": "B"}  # byte order of a raw mode -> the order by which Pillow takes the other byte
NATIVE = "L" if sys.byteorder == "little" else "B"


def is_cut(image: Image.Image) -> bool:
    """Tell whether Pillow will cut the colours of an opened, unread picture from 16 to 8 bits."""
    tiles = getattr(image, "tile", ())
    return (
        image.mode in ("RGB", "RGBA")
        and bool(tiles)
        and (_portable(image) > 255 or _is_planar(image) or all(";16" in _raw_mode(tile) for tile in tiles))
    )


def _is_planar(image: Any) -> bool:
    """Tell whether a TIFF has a plane for each colour, of 16 bits, which Pillow takes for 8."""
    return tiff_samples(image)[1] == 16 and image.tag_v2.get(284, 1) == 2


def _read_planar(image: Any, stream: IO[bytes]) -> np.ndarray:
    """Return the colours of a TIFF with a plane for each: (H, W, 3) or (H, W, 4) uint16."""
    values = np.zeros((image.height, image.width, len(image.getbands())), np.uint16)
    order = "<u2" if image.tag_v2.prefix == b"II" else ">u2"
    for codec, (left, top, right, bottom), offset, arguments in image.tile:
        if codec != "raw" or (left, right) != (0, image.width) or image.getexif().get(0x0112, 1) != 1:
            raise ImageError(
                f"{getattr(stream, 'name', 'the stream')}: a TIFF with a plane of 16 bits for each colour that is compressed, tiled or "
                "turned cannot be read; save it with the colours of each pixel together (Fiji: Image > Type > RGB Color), or give an array"
            )
        stream.seek(offset)
        rows = stream.read(2 * (bottom - top) * right)
        values[top:bottom, :, "RGBA".index(arguments[0])] = np.frombuffer(rows, order).reshape(bottom - top, right)
    return values


def _portable(image: Any) -> int:
    """Return the largest number of a PPM of colours; 0 of other pictures."""
    tile = image.tile[0]
    return int(tile[3][1]) if image.format == "PPM" and isinstance(tile[3], tuple) and len(tile[3]) > 1 else 0


def _read_portable(image: Any, stream: IO[bytes]) -> np.ndarray:
    """Return the colours of a PPM, 65535 its largest number: (H, W, 3) uint16."""
    codec, _, offset, _ = image.tile[0]
    stream.seek(offset)
    content, count = stream.read(), image.width * image.height * 3
    if codec == "ppm_plain":
        numbers = np.array(re.sub(rb"#[^\n]*", b"", content).split()[:count], np.int64)
    else:
        numbers = np.frombuffer(content[: 2 * count], ">u2").astype(np.int64)
    most = _portable(image)
    if len(numbers) < count:
        raise OSError(f"expected {count} numbers, found {len(numbers)}")
    return ((numbers.clip(0, most) * 65535 + most // 2) // most).astype(np.uint16).reshape(image.height, image.width, 3)


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
    with Image.open(source, formats=formats) as image:
        if page:
            image.seek(page)
        special = _read_portable if _portable(image) else _read_planar if _is_planar(image) else None
        values = special(image, _stream(image)) if special else None
    if values is None:
        high, low = (_bytes(source, page, formats, other) for other in (False, True))
        values = high.astype(np.uint16) << 8 | low  # (H, W, 3) or (H, W, 4)
    if values.shape[-1] == 3:
        return values
    alpha = values[..., 3:].astype(np.float64) / 65535
    return np.rint(values[..., :3] * alpha + 65535 * (1 - alpha)).astype(np.uint16)


def _stream(image: Any) -> IO[bytes]:
    assert image.fp is not None
    return image.fp


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
