"""Turns paths, pictures, arrays and lists of them into pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from axialzoo.image.prepare import preprocess
from axialzoo.image.read import ImageError, load_image
from axialzoo.spec import Preprocessing

Picture: TypeAlias = "str | os.PathLike[str] | Image.Image | np.ndarray"
TAKEN = "a path, a Pillow picture, an array (H, W, 3) or (H, W) of 0 to 255, or a list of such"


def iter_images(images: Any) -> Iterator[Image.Image | np.ndarray]:
    """Yield the pictures in `images`, one after another: Pillow's, or arrays.

    Args:
        images: A path, a Pillow picture, an array (H, W), (H, W, 1) or (H, W, 3) or a batch of such, (N, H, W, C), or a list of all
            these. :func:`preprocess` says which numbers an array may hold.

    Raises:
        ImageError: for anything else, naming it.

    Example:
        >>> [image.size for image in iter_images(["docs/photos/chelsea.jpg", Image.new("RGB", (8, 6))])]
        [(451, 300), (8, 6)]
    """
    if isinstance(images, (str, os.PathLike)):
        yield load_image(images)
    elif isinstance(images, Image.Image):
        yield images
    elif isinstance(images, np.ndarray):
        yield from images if images.ndim == 4 else [images]
    elif isinstance(images, (list, tuple)):
        for image in images:
            yield from iter_images(image)
    else:
        raise ImageError(f"picture: expected {TAKEN}, found {type(images).__name__}")


def preprocessed(images: Any, preprocessing: Preprocessing) -> np.ndarray:
    """Preprocess the pictures in `images` to a batch: float32 (N, C, H, W).

    Raises:
        ImageError: as :func:`iter_images` and :func:`preprocess`; for no pictures, or pictures that keep their own
            sizes and differ in them.
    """
    arrays = [preprocess(image, preprocessing) for image in iter_images(images)]
    if not arrays:
        raise ImageError(f"picture: expected {TAKEN}, found an empty {type(images).__name__}")
    sizes = sorted({array.shape[1:] for array in arrays})
    if len(sizes) > 1:
        raise ImageError(f'picture: expected pictures of one size, since preprocessing resizes none (resize="none"), found {sizes[:5]}')
    return np.stack(arrays)
