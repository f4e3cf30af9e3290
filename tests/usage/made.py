"""Pictures made for the tests of this folder: two classes that a colour does not tell apart."""

from __future__ import annotations

import numpy as np
from PIL import Image


def stripes(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(count, 32, 32, 3) uint8, stripes along rows or along columns, of any colour and phase; and labels, 0 or 1."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    wave = 60 * np.sin(np.arange(32) * random.uniform(0.6, 1.2, (count, 1)) + random.uniform(0, 6, (count, 1)))  # (count, 32)
    pattern = np.where(labels[:, None, None] == 0, wave[:, :, None], wave[:, None, :])  # (count, 32, 32)
    pixels = pattern[..., None] + random.uniform(70, 180, (count, 1, 1, 3))
    return pixels.astype(np.uint8), labels


def kinds(path) -> dict[str, object]:
    """Return a picture in each form that a user may have; `path` is of a file that is made."""
    pixels = stripes(1)[0][0]
    Image.fromarray(pixels).save(path)
    return {
        "path": path, "text": str(path), "pillow": Image.fromarray(pixels), "uint8": pixels, "float": pixels.astype(np.float32),
        "int64": pixels.astype(np.int64), "list": [pixels], "batch": pixels[None], "paths": [path],
    }  # fmt: skip


WRONG = {
    "0 to 1": (np.linspace(0, 1, 32 * 32 * 3).reshape(32, 32, 3), "multiply a picture of 0 to 1 by 255"),
    "normalised": (np.linspace(-2, 2, 32 * 32 * 3).reshape(32, 32, 3), "before it is normalised"),
    "channels first": (np.zeros((3, 32, 32), np.uint8), "expected an array (H, W, 3) or (H, W)"),
    "nothing": ([], "found an empty list"),
    "a dictionary": ([{}], "found dict"),
}
