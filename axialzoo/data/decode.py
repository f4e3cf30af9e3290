"""Files of a data set as what they hold: pictures, maps of whole numbers, JSON."""

from __future__ import annotations

import json
from typing import IO

import numpy as np
from PIL import Image

from axialzoo.data.dataset import DataError
from axialzoo.data.file_tree import Files, named_stream
from axialzoo.image import ImageError, image_notes, load_image
from axialzoo.image.read import GREY_16, check_size

MAP_FORMATS = ("PNG", "TIFF", "BMP")  # none that changes values


def open_picture(files: Files, name: str, size: tuple[int, int] | None = None) -> Image.Image:
    """Return a picture as 8-bit RGB, upright.

    Args:
        size: (width, height) that it must have, where something else says so.

    Raises:
        DataError: naming the file: missing, damaged, too large, or of another size.
    """
    picture = decode_picture(named_stream(files, name))
    if size is not None and picture.size != size:
        turned = " (turned upright as its EXIF says)" if "turned upright as its EXIF says" in picture.info.get("notes", ()) else ""
        raise DataError(
            f"{files.path(name)}: expected {size[0]} x {size[1]} pixels as its labels say, found {picture.width} x {picture.height}{turned}"
        )
    return picture


def decode_picture(stream: IO[bytes]) -> Image.Image:
    """Return a picture in a stream, whose ``name`` messages use, as 8-bit RGB, upright.

    Raises:
        DataError: naming it: damaged, too large, or a TIFF of several pages, of which labels name none.
    """
    try:
        picture = load_image(stream)
    except ImageError as error:
        raise DataError(str(error)) from error
    if several := [note for note in image_notes(picture) if note.startswith("page 1 of")]:
        pages = several[0].split()[3]
        raise DataError(
            f"{stream.name}: expected a picture of one page, found a TIFF of {pages}; save the page that the labels are of alone"
        )
    return picture


def open_map(files: Files, name: str, size: tuple[int, int] | None = None) -> tuple[np.ndarray, int]:
    """Return a picture whose pixels are numbers, in a file: see :func:`decode_map`."""
    return decode_map(named_stream(files, name), size)


def decode_map(stream: IO[bytes], size: tuple[int, int] | None = None) -> tuple[np.ndarray, int]:
    """Return a picture whose pixels are numbers: grey or palette (the entry's number), 1, 8 or 16 bits; RGB as R + 256 G + 65536 B.

    Args:
        stream: Its ``name`` is used in messages.
        size: (width, height) of its picture, which it must have.

    Returns:
        (H, W) int32, and the bits of a pixel: 1, 8, 16 (also whole numbers of 32 bits) or 24.

    Raises:
        DataError: naming it.
    """
    where = stream.name
    try:
        with Image.open(stream, formats=MAP_FORMATS) as image:
            check_size(image.size, where)
            if (pages := getattr(image, "n_frames", 1)) > 1:
                raise DataError(f"{where}: expected a map of one page, found {pages}; save the page of each picture as a file")
            image.load()
            mode, values = image.mode, np.asarray(image)
    except ImageError as error:
        raise DataError(str(error)) from error
    except DataError:
        raise
    except Image.UnidentifiedImageError:
        raise DataError(f"{where}: not a map that can be read; expected {', '.join(MAP_FORMATS)}") from None
    except Exception as error:  # Pillow's decoders raise what they like on damaged files
        raise DataError(f"{where}: damaged map ({error or type(error).__name__}); expected a whole PNG file") from error
    if size is not None and values.shape[:2] != size[::-1]:
        shape = f"{values.shape[1]} x {values.shape[0]}"
        raise DataError(f"{where}: expected {size[0]} x {size[1]} pixels as its picture has, found {shape}")
    if mode == "1":
        return values.astype(np.int32), 1
    if mode in ("L", "P"):
        return values.astype(np.int32), 8
    if mode == "F":  # as ImageJ saves label maps
        if not np.array_equal(values, np.rint(values)):
            raise DataError(f"{where}: expected whole numbers, found {values[values != np.rint(values)][0]:g} in a map of floating point")
        mode = "I"
    if mode in GREY_16 or mode == "I":
        if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
            raise DataError(f"{where}: expected numbers from 0 to 65535, found {values.min()} to {values.max()}")
        return values.astype(np.int32), 16
    if mode == "RGB":
        return values.astype(np.int32) @ np.array([1, 256, 65536], np.int32), 24
    raise DataError(f"{where}: expected a map of 1, 8 or 16 bits grey, palette or RGB, found Pillow's mode {mode!r}; save it as grey")


def open_colours(files: Files, name: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """Return the colour of each pixel of a map whose colours mean something, palette or RGB: (H, W) int32, R + 256 G + 65536 B.

    Args:
        size: (width, height) of its picture, which it must have.

    Raises:
        DataError: naming the file: missing, damaged or of another size.
    """
    stream, where = named_stream(files, name), files.path(name)
    try:
        with Image.open(stream, formats=MAP_FORMATS) as image:
            check_size(image.size, where)
            rgb = np.asarray(image.convert("RGB"))
    except Exception as error:  # Pillow's decoders raise what they like on damaged files
        raise DataError(f"{where}: not a map that can be read ({error}); expected {', '.join(MAP_FORMATS)}") from error
    if size is not None and rgb.shape[:2] != size[::-1]:
        raise DataError(f"{where}: expected {size[0]} x {size[1]} pixels as its picture has, found {rgb.shape[1]} x {rgb.shape[0]}")
    return rgb.astype(np.int32) @ np.array([1, 256, 65536], np.int32)


def open_json(files: Files, name: str) -> object:
    """Return the value in a JSON file.

    Raises:
        DataError: naming the file.
    """
    try:
        return json.loads(files.read(name))
    except UnicodeDecodeError as error:
        raise DataError(
            f"{files.path(name)}: expected JSON in UTF-8, found byte {error.object[error.start]:#04x} at {error.start}"
        ) from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{files.path(name)}: not valid JSON: {error}") from None
