"""Reads a picture file of any common kind as 8-bit RGB."""

from __future__ import annotations

import errno
import os
from typing import IO

import numpy as np
from PIL import Image, ImageOps

from axialzoo.files import missing_advice
from axialzoo.image.deep_colour import is_cut, read_deep
from axialzoo.image.depth import DEEP_MODES, GREY_16, deep_picture, depth_of
from axialzoo.image.image_error import ImageError
from axialzoo.image.pages import SIGNED, UNSIGNED, cut_note, explain_unknown, select_channel, select_page, tiff_samples

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")  # no formats that run other programs, as EPS does
ACCEPTED = "JPEG, PNG, WebP, GIF, BMP, TIFF, PPM or AVIF"
MAX_PIXELS = 89_478_485  # where Pillow begins to warn of a decompression bomb: 256 MiB as RGB
__all__ = ["ACCEPTED", "FORMATS", "GREY_16", "MAX_PIXELS", "ImageError", "check_size", "load_image", "image_notes", "upright_rgb"]


def load_image(source: str | os.PathLike[str] | IO[bytes], page: int | None = None, channel: int | None = None) -> Image.Image:
    """Load the picture in `source` as 8-bit RGB, upright.

    Grey, palette and CMYK pictures become RGB. Transparent pixels are laid over white. 16-bit pixels are
    scaled to 8 bits (65535 becomes 255), not clipped; floating-point and 32-bit grey is stretched to its own
    range. The picture remembers these deeper values, and a model that stretches its pictures uses them. A
    camera's EXIF rotation is applied. :func:`image_notes` says which of these happened.

    Args:
        source: A path or an open binary file.
        page: Which page of a stack or frame of an animation, from 1; default the first.
        channel: Which channel, from 1, becomes a grey picture; default all.

    Raises:
        ImageError: naming the file: missing, not a picture, damaged, more than `MAX_PIXELS` pixels, or without such a page.

    Example:
        >>> from axialzoo.image import load_image
        >>> load_image("docs/photos/chelsea.jpg").size
        (451, 300)
    """
    name = str(source if isinstance(source, (str, os.PathLike)) else getattr(source, "name", "the stream"))
    try:
        with Image.open(source, formats=FORMATS) as image:
            said = select_page(image, page, channel, name)
            check_size(image.size, name)
            if channel is None and is_cut(image):
                picture = deep_picture(read_deep(source, image.tell(), FORMATS), name)
                turned = ["turned upright as its EXIF says"] if image.getexif().get(0x0112, 1) in range(2, 9) else []
                picture.info["notes"] = (*said, *turned, "16 bits a channel read at full depth")
                return picture
            said += cut_note(image)
            image.load()
            selected, of_channel = select_channel(image, channel, name)
            picture = upright_rgb(selected, name)
            picture.info["notes"] = (*said, *of_channel, *image_notes(picture))
            return picture
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file{missing_advice(str(name))}") from None
    except IsADirectoryError:
        raise ImageError(f"{name}: expected a picture ({ACCEPTED}), found a folder") from None
    except PermissionError:
        raise ImageError(f"{name}: this file may not be read (permission denied)") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise ImageError(f"{name}: more than {MAX_PIXELS:,} pixels; make the picture smaller first") from None
    except Image.UnidentifiedImageError:
        raise ImageError(_unknown(source, name)) from None
    except Exception as error:  # Pillow's decoders raise many kinds of errors on damaged files
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            raise ImageError(f"{name}: a link that leads back to itself; give the file that it stands for") from None
        raise ImageError(f"{name}: damaged picture ({error or type(error).__name__}); expected a whole {ACCEPTED} file") from error


def image_notes(image: Image.Image) -> tuple[str, ...]:
    """Return notes for the user about what `load_image` did to the picture."""
    return tuple(image.info.get("notes", ()))


def check_size(size: tuple[int, int], name: str) -> None:
    """Refuse a picture of more than `MAX_PIXELS` pixels."""
    width, height = size
    if width * height > MAX_PIXELS:
        raise ImageError(f"{name}: {width} x {height} pixels; expected at most {MAX_PIXELS:,}; make the picture smaller first")


def upright_rgb(image: Image.Image, name: str = "image") -> Image.Image:
    """Convert an opened picture of any mode to upright 8-bit RGB, as `load_image` describes."""
    if depth_of(image) is not None:
        return image
    said = []
    upright = ImageOps.exif_transpose(image)
    if image.getexif().get(0x0112, 1) in range(2, 9):
        said.append("turned upright as its EXIF says")
    kind = tiff_samples(image)
    if upright.mode in DEEP_MODES or (upright.mode, *kind) == ("L", SIGNED, 8):
        values = np.asarray(upright)  # (H, W)
        if upright.mode == "L":
            values = values.view(np.int8).astype(np.int32)
        elif upright.mode == "I" and kind == (UNSIGNED, 32):  # Pillow has no unsigned numbers of 32 bits
            values = values.view(np.uint32).astype(np.int64)
        deep = deep_picture(values, name)
        deep.info = {"notes": (*said, _depth_note(values, upright.mode))}
        return deep
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        if np.asarray(rgba.getchannel("A")).min() < 255:
            said.append("transparency laid over white")
        upright = Image.alpha_composite(Image.new("RGBA", rgba.size, (255, 255, 255, 255)), rgba)
    elif upright.mode == "CMYK":
        said.append("CMYK converted without its colour profile")
    rgb = upright.convert("RGB")
    rgb.info = {"notes": tuple(said)}
    return rgb


def _depth_note(values: np.ndarray, mode: str) -> str:
    if mode == "F" or values.min() < 0 or values.max() > 65535:
        return f"{'floating-point' if mode == 'F' else '32-bit'} grey of {values.min():g} to {values.max():g} stretched to 8 bits"
    if int(values.max()) - int(values.min()) >= 1 << 14:
        return "16-bit grey scaled to 8 bits"
    return (
        f"16-bit grey of {values.min()} to {values.max()}: models that stretch pictures see all its values, others see it scaled to 8 bits"
    )


def _unknown(source: str | os.PathLike[str] | IO[bytes], name: str) -> str:
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as stream:
            return explain_unknown(stream, name, ACCEPTED)
    return explain_unknown(source, name, ACCEPTED)
