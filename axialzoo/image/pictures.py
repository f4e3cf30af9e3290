"""Whatever a user holds a picture as, as pictures."""

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


def iter_images(given: Any) -> Iterator[Image.Image | np.ndarray]:
    """The pictures in `given`, one after another: Pillow's, or arrays.

    Args:
        given: A path, a Pillow picture, an array (H, W), (H, W, 1) or (H, W, 3) or a batch of such, (N, H, W, C), or a list of all
            these. :func:`preprocess` says which numbers an array may hold.

    Raises:
        ImageError: for anything else, naming it.

    Example:
        >>> [one.size for one in pictures_of(["docs/photos/chelsea.jpg", Image.new("RGB", (8, 6))])]
        [(451, 300), (8, 6)]
    """
    if isinstance(given, (str, os.PathLike)):
        yield load_image(given)
    elif isinstance(given, Image.Image):
        yield given
    elif isinstance(given, np.ndarray):
        yield from given if given.ndim == 4 else [given]
    elif isinstance(given, (list, tuple)):
        for one in given:
            yield from iter_images(one)
    else:
        raise ImageError(f"picture: expected {TAKEN}, found {type(given).__name__}")


def preprocessed(given: Any, preprocessing: Preprocessing) -> np.ndarray:
    """The pictures in `given` as a batch: float32 (N, C, H, W).

    Raises:
        ImageError: as :func:`pictures_of` and :func:`preprocess`; for no pictures, or pictures that keep their own
            sizes and differ in them.
    """
    made = [preprocess(one, preprocessing) for one in iter_images(given)]
    if not made:
        raise ImageError(f"picture: expected {TAKEN}, found an empty {type(given).__name__}")
    sizes = sorted({one.shape[1:] for one in made})
    if len(sizes) > 1:
        raise ImageError(f'picture: expected pictures of one size, since preprocessing resizes none (resize="none"), found {sizes[:5]}')
    return np.stack(made)
