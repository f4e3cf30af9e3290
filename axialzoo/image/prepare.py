"""Turns a picture into a model's input, as the checkpoint's `Preprocessing` says."""

from __future__ import annotations

import numpy as np
from PIL import Image

from axialzoo.image.depth import array_picture, depth_of, stretch_array
from axialzoo.image.read import ImageError, check_size, upright_rgb
from axialzoo.image.view import resize_transform
from axialzoo.spec import Preprocessing

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
MODES = {1: "L", 3: "RGB"}


def model_view(image: Image.Image | np.ndarray, preprocessing: Preprocessing) -> Image.Image:
    """Return the part of `image` that the model sees: resized by Pillow and cropped, 8 bits, RGB (grey for a grey model).

    Args:
        image: A picture of any mode, or an array as of :func:`preprocess`.

    Raises:
        ImageError: for an array of another kind, a model of neither 1 nor 3 channels, pixels without a known range where the model
            does not stretch pictures, or a picture so elongated that resizing it would exhaust memory.
    """
    channels = len(preprocessing.mean)
    if channels not in MODES:
        raise ImageError(f"preprocessing: expected a model of 1 or 3 channels for pictures, found {channels}")
    picture = _picture(image, preprocessing.per_image)
    check_depth(picture, preprocessing)
    if preprocessing.per_image and depth_of(picture) is not None:
        picture = stretch_percentiles(picture).convert(MODES[channels])
    else:
        picture = picture.convert(MODES[channels])
        picture = stretch_percentiles(picture) if preprocessing.per_image else picture
    steps = resize_transform(picture.height, picture.width, preprocessing)
    rows, columns = steps.resized
    check_size((columns, rows), f"a picture of {picture.width} x {picture.height} resized")
    if (columns, rows) != picture.size:
        picture = picture.resize((columns, rows), FILTERS[preprocessing.interpolation])
    if steps.padded:
        canvas = Image.new(picture.mode, (steps.size[1], steps.size[0]), fill_colour(preprocessing))
        canvas.paste(picture, (-steps.left, -steps.top))
        return canvas
    return picture.crop((steps.left, steps.top, steps.left + steps.size[1], steps.top + steps.size[0]))


def check_depth(picture: Image.Image, preprocessing: Preprocessing) -> None:
    """Refuse pixels without a known range for a model that does not stretch pictures to their own.

    Raises:
        ImageError: naming the range that was found.
    """
    depth = depth_of(picture)
    if depth is not None and not depth.ranged and not preprocessing.per_image:
        value_range = f"{depth.values.dtype} of {depth.values.min():g} to {depth.values.max():g}"
        raise ImageError(
            f"image: these pixels have no known range ({value_range}); this model expects 8 or 16 bits a channel; "
            "scale the picture to 0 to 255"
        )


def fill_colour(preprocessing: Preprocessing) -> tuple[int, ...]:
    """Return the fill colour of padding, 0 to 255 per channel of an RGB or grey picture: about 0 once normalised."""
    colour = tuple(min(max(round(255 * value), 0), 255) for value in preprocessing.mean)
    return colour[::-1] if preprocessing.channel_order == "bgr" else colour


def stretch_percentiles(picture: Image.Image, low: float = 0.001, high: float = 0.999) -> Image.Image:
    """Stretch `picture` (L or RGB, of 8 bits or remembering more): its own darkest and brightest values become 0 and 255.

    Args:
        low, high: Which values those are, as shares of all values of all channels in order; values beyond them are clipped.

    The two are values that the picture holds (no interpolation) and the arithmetic is of whole numbers, so that the result is the
    same everywhere. A picture of a single value becomes black.
    """
    if (depth := depth_of(picture)) is not None:
        return Image.fromarray(stretch_array(depth.values, low, high)).convert("RGB")
    counts = np.cumsum(np.asarray(picture.histogram()).reshape(-1, 256).sum(0))  # (256,) how many values are at most this
    last = int(counts[-1]) - 1
    darkest, brightest = (int(np.searchsorted(counts, rank, side="right")) for rank in (int(low * last), last - int((1 - high) * last)))
    steps = np.arange(256) - darkest
    reach = max(brightest - darkest, 1)
    table = np.clip((255 * steps + reach // 2) // reach, 0, 255)
    return picture.point(table.tolist() * len(picture.getbands()))


def preprocess(image: Image.Image | np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Preprocess `image` to the model's input.

    Args:
        image: A picture, or an array (H, W), (H, W, 1) or (H, W, 3): numbers from 0 to 255, or uint16; where the model stretches
            pictures to their own range, any numbers from 0 on.
        preprocessing: What the checkpoint's ``config.json`` says.

    Returns:
        float32 (C, H, W): ``(pixel / 255 - mean) / std``, computed in float64 and rounded once; channels in the model's order.

    Raises:
        ImageError: as :func:`model_view`.

    Example:
        >>> from axialzoo.image import load_image, preprocess
        >>> from axialzoo.spec import Preprocessing
        >>> preprocess(load_image("docs/photos/chelsea.jpg"), Preprocessing(size=(224, 320))).shape
        (3, 224, 320)
    """
    pixels = np.asarray(model_view(image, preprocessing))
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels  # (H, W, C)
    pixels = pixels[..., ::-1] if preprocessing.channel_order == "bgr" else pixels
    steps = np.arange(256)[:, None] / 255.0
    tables = ((steps - np.array(preprocessing.mean)) / np.array(preprocessing.std)).astype(np.float32)  # (256, C)
    return np.stack([tables[:, channel][pixels[..., channel]] for channel in range(pixels.shape[-1])])


def _picture(image: Image.Image | np.ndarray, per_image: bool) -> Image.Image:
    if isinstance(image, Image.Image):
        return upright_rgb(image)
    if not isinstance(image, np.ndarray):
        raise ImageError(f"image: expected a Pillow image or an array (H, W, 3) or (H, W), found {type(image).__name__}")
    return upright_rgb(array_picture(image, per_image))
