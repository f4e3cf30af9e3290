"""From a picture to a model's input, as the checkpoint's `Preprocessing` says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from axialzoo.image.read import ImageError, check_size, upright_rgb
from axialzoo.spec import Preprocessing

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
MODES = {1: "L", 3: "RGB"}


@dataclass(frozen=True)
class Plan:
    """How a picture is resized and cropped, in pixels: whatever does it does the same.

    Attributes:
        resized: Height and width after resizing.
        top, left: Where the crop begins.
        size: Height and width of the crop.
    """

    resized: tuple[int, int]
    top: int
    left: int
    size: tuple[int, int]


def plan(height: int, width: int, preprocessing: Preprocessing) -> Plan:
    """The resizing and cropping of a picture of `height` x `width` pixels.

    ``"shorter"`` resizes until the picture just covers ``size / crop`` (for a square size: its shorter side is
    that long) and keeps its proportions to the pixel (the longer side rounds down, as torchvision's does).
    """
    rows, columns = preprocessing.size
    if preprocessing.resize == "none":
        return Plan((height, width), 0, 0, (height, width))
    if preprocessing.resize == "squash":
        return Plan((rows, columns), 0, 0, (rows, columns))
    least_rows, least_columns = (max(side, round(side / preprocessing.crop)) for side in (rows, columns))
    if least_rows * width >= least_columns * height:
        resized = (least_rows, least_rows * width // height)
    else:
        resized = (least_columns * height // width, least_columns)
    return Plan(resized, round((resized[0] - rows) / 2), round((resized[1] - columns) / 2), (rows, columns))


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
    steps = plan(picture.height, picture.width, preprocessing)
    rows, columns = steps.resized
    check_size((columns, rows), f"a picture of {picture.width} x {picture.height} resized")
    if (columns, rows) != picture.size:
        picture = picture.resize((columns, rows), FILTERS[preprocessing.interpolation])
    return picture.crop((steps.left, steps.top, steps.left + steps.size[1], steps.top + steps.size[0]))


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
