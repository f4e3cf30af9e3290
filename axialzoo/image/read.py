"""Reading a picture file of any common kind as 8-bit RGB."""

from __future__ import annotations

import os
from typing import IO

import numpy as np
from PIL import Image, ImageOps

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")  # no formats that run other programs, as EPS does
ACCEPTED = "JPEG, PNG, WebP, GIF, BMP, TIFF, PPM or AVIF"
MAX_PIXELS = 89_478_485  # where Pillow begins to warn of a decompression bomb: 256 MiB as RGB
GREY_16 = ("I;16", "I;16L", "I;16B", "I;16N")


class ImageError(ValueError):
    """A file that is not a picture, or not one that can be used."""


def load_image(source: str | os.PathLike | IO[bytes]) -> Image.Image:
    """The picture in `source` as 8-bit RGB, upright.

    Grey, palette and CMYK pictures become RGB. Transparent pixels are laid over white. 16-bit grey is
    scaled to 8 bits (65535 becomes 255), not clipped. A camera's EXIF rotation is applied. Of an animation
    the first frame is read. :func:`notes` says which of these happened.

    Args:
        source: A path or an open binary file.

    Raises:
        ImageError: naming the file: missing, not a picture, damaged, or more than `MAX_PIXELS` pixels.

    Example:
        >>> from axialzoo.image import load_image
        >>> load_image("docs/photos/chelsea.jpg").size
        (451, 300)
    """
    name = str(source if isinstance(source, (str, os.PathLike)) else getattr(source, "name", "the stream"))
    try:
        with Image.open(source, formats=FORMATS) as image:
            check_size(image.size, name)
            image.load()
            return upright_rgb(image, name)
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise ImageError(f"{name}: expected a picture ({ACCEPTED}), found a folder") from None
    except PermissionError:
        raise ImageError(f"{name}: this file may not be read (permission denied)") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise ImageError(f"{name}: more than {MAX_PIXELS:,} pixels; make the picture smaller first") from None
    except Image.UnidentifiedImageError:
        raise ImageError(f"{name}: not a picture that can be read; expected {ACCEPTED}") from None
    except Exception as error:  # Pillow's decoders raise what they like on damaged files
        raise ImageError(f"{name}: damaged picture ({error or type(error).__name__}); expected a whole {ACCEPTED} file") from error


def notes(image: Image.Image) -> tuple[str, ...]:
    """What `load_image` did to the picture that its user may want to know."""
    return tuple(image.info.get("notes", ()))


def check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise ImageError(f"{name}: {width} x {height} pixels; expected at most {MAX_PIXELS:,}; make the picture smaller first")


def upright_rgb(image: Image.Image, name: str = "image") -> Image.Image:
    """An opened picture of any mode as upright 8-bit RGB, as `load_image` describes."""
    said = []
    upright = ImageOps.exif_transpose(image)
    if image.getexif().get(0x0112, 1) in range(2, 9):
        said.append("turned upright as its EXIF says")
    if upright.mode in GREY_16 or upright.mode == "I":
        upright = _eight_bits(upright, name)
        said.append("16-bit grey scaled to 8 bits")
    elif upright.mode == "F":
        raise ImageError(f"{name}: floating-point pixels have no known range; expected 8 or 16 bits a channel")
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


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
    values = np.asarray(image).astype(np.int64)  # (H, W)
    if values.min() < 0 or values.max() > 65535:
        raise ImageError(f"{name}: 32-bit grey of {values.min()} to {values.max()}; expected 8 or 16 bits a channel")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))  # nearest; 65535 = 255 * 257
