"""From a picture to a model's input, as the checkpoint's `Preprocessing` says."""

from __future__ import annotations

import numpy as np
from PIL import Image

from axialzoo.image.read import ImageError, check_size, upright_rgb
from axialzoo.image.view import view_of
from axialzoo.spec import Preprocessing

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
MODES = {1: "L", 3: "RGB"}


def seen(image: Image.Image | np.ndarray, preprocessing: Preprocessing) -> Image.Image:
    """What the model sees of `image`: resized by Pillow and cropped, 8 bits, RGB (grey for a grey model).

    Args:
        image: A picture of any mode, or an array (H, W), (H, W, 1) or (H, W, 3) of uint8.

    Raises:
        ImageError: for an array of another kind, a model of neither 1 nor 3 channels, or a picture so elongated
            that resizing it would exhaust memory.
    """
    channels = len(preprocessing.mean)
    if channels not in MODES:
        raise ImageError(f"preprocessing: expected a model of 1 or 3 channels for pictures, found {channels}")
    picture = _picture(image).convert(MODES[channels])
    if preprocessing.per_image:
        picture = stretched(picture)
    steps = view_of(picture.height, picture.width, preprocessing)
    rows, columns = steps.resized
    check_size((columns, rows), f"a picture of {picture.width} x {picture.height} resized")
    if (columns, rows) != picture.size:
        picture = picture.resize((columns, rows), FILTERS[preprocessing.interpolation])
    if steps.padded:
        canvas = Image.new(picture.mode, (steps.size[1], steps.size[0]), mean_colour(preprocessing))
        canvas.paste(picture, (-steps.left, -steps.top))
        return canvas
    return picture.crop((steps.left, steps.top, steps.left + steps.size[1], steps.top + steps.size[0]))


def mean_colour(preprocessing: Preprocessing) -> tuple[int, ...]:
    """The colour, 0 to 255 per channel, that is about 0 once normalised: what padding is filled with."""
    return tuple(min(max(round(255 * value), 0), 255) for value in preprocessing.mean)


def stretched(picture: Image.Image, low: float = 0.001, high: float = 0.999) -> Image.Image:
    """`picture` (8 bits, L or RGB) with its own darkest and brightest values moved to 0 and 255.

    Args:
        low, high: Which values those are, as shares of all values of all channels in order; values beyond them are clipped.

    The two are values that the picture holds (no interpolation) and the arithmetic is of whole numbers, so that the result is the
    same everywhere. A picture of a single value becomes black.
    """
    counts = np.cumsum(np.asarray(picture.histogram()).reshape(-1, 256).sum(0))  # (256,) how many values are at most this
    last = int(counts[-1]) - 1
    darkest, brightest = (int(np.searchsorted(counts, rank, side="right")) for rank in (int(low * last), last - int((1 - high) * last)))
    steps = np.arange(256) - darkest
    reach = max(brightest - darkest, 1)
    table = np.clip((255 * steps + reach // 2) // reach, 0, 255)
    return picture.point(table.tolist() * len(picture.getbands()))


def preprocess(image: Image.Image | np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """`image` as the model's input.

    Args:
        image: A picture, or an array (H, W), (H, W, 1) or (H, W, 3) of uint8.
        preprocessing: What the checkpoint's ``config.json`` says.

    Returns:
        float32 (C, H, W): ``(pixel / 255 - mean) / std``, computed in float64 and rounded once.

    Raises:
        ImageError: as :func:`seen`.

    Example:
        >>> from axialzoo.image import load_image, preprocess
        >>> from axialzoo.spec import Preprocessing
        >>> preprocess(load_image("docs/photos/chelsea.jpg"), Preprocessing(size=(224, 320))).shape
        (3, 224, 320)
    """
    pixels = np.asarray(seen(image, preprocessing))
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels  # (H, W, C)
    steps = np.arange(256)[:, None] / 255.0
    tables = ((steps - np.array(preprocessing.mean)) / np.array(preprocessing.std)).astype(np.float32)  # (256, C)
    return np.stack([tables[:, channel][pixels[..., channel]] for channel in range(pixels.shape[-1])])


def _picture(image: Image.Image | np.ndarray) -> Image.Image:
    if isinstance(image, Image.Image):
        return upright_rgb(image)
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.size == 0:
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError(f"image: expected a Pillow image or a uint8 array (H, W, 3) or (H, W), found {found}")
    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    if not (image.ndim == 2 or (image.ndim == 3 and image.shape[-1] == 3)):
        raise ImageError(f"image: expected an array (H, W, 3) or (H, W), found {image.shape}")
    return upright_rgb(Image.fromarray(image))
