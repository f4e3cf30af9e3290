"""Label maps as TIFF: whole numbers of 16 or 32 bits without a sign, compressed without loss."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image

from axialzoo.files import atomic_write

SAMPLE_FORMAT = 339  # the tag; 1 is unsigned, 2 signed
SUFFIXES = (".tif", ".tiff")


def write_label_tiff(path: Path, labels: np.ndarray) -> None:
    """Write a label map, as ImageJ, QuPath, napari and scikit-image read it.

    Args:
        path: Ends in ``.tif`` or ``.tiff``.
        labels: (H, W) uint16 or uint32.

    Raises:
        ValueError: for another kind of array, or values that Pillow cannot hold (2 ** 31 and more).
    """
    if labels.ndim != 2 or labels.dtype not in (np.uint16, np.uint32):
        raise ValueError(f"labels: expected (H, W) of uint16 or uint32, found {labels.dtype} {labels.shape}")
    if labels.max(initial=0) >= 1 << 31:
        raise ValueError(f"labels: expected values below {1 << 31}, found {labels.max()}")
    image = Image.fromarray(labels if labels.dtype == np.uint16 else labels.astype(np.int32))
    stream = io.BytesIO()
    image.save(stream, "TIFF", compression="tiff_adobe_deflate")
    content = bytearray(stream.getvalue())
    if labels.dtype == np.uint32:
        _declare_unsigned(content)
    with atomic_write(path) as beside:
        beside.write_bytes(content)


def _declare_unsigned(content: bytearray) -> None:
    """Change the sample format of a TIFF of one picture from signed, which Pillow writes, to unsigned; the bits are the same."""
    order = "<" if content[:2] == b"II" else ">"
    (directory,) = struct.unpack_from(f"{order}I", content, 4)
    (entries,) = struct.unpack_from(f"{order}H", content, directory)
    for at in range(directory + 2, directory + 2 + 12 * entries, 12):
        if struct.unpack_from(f"{order}H", content, at)[0] == SAMPLE_FORMAT:
            struct.pack_into(f"{order}H", content, at + 8, 1)
