"""Colours of 16 bits a channel are read at full depth: PNG of every filter, TIFF of both byte orders, with transparency and turned."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from axialzoo.image import ImageError, image_notes, load_image
from axialzoo.image.depth import depth_of

VALUES = np.random.default_rng(0).integers(0, 65536, (10, 14, 3)).astype(np.uint16)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(values: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, whose rows use the filters 0 to 4 in turn."""
    height, width, channels = values.shape
    step, rows = 2 * channels, values.astype(">u2").view(np.uint8).reshape(height, -1).astype(int)
    before, content = np.zeros_like(rows[0]), bytearray()
    for number, row in enumerate(rows):
        left, corner = (np.concatenate([np.zeros(step, int), line[:-step]]) for line in (row, before))
        guess = left + before - corner
        distances = abs(guess - left), abs(guess - before), abs(guess - corner)
        paeth = np.where(
            (distances[0] <= distances[1]) & (distances[0] <= distances[2]), left, np.where(distances[1] <= distances[2], before, corner)
        )
        predicted = (0 * row, left, before, (left + before) // 2, paeth)[number % 5]
        content += bytes([number % 5, *((row - predicted) % 256).tolist()])
        before = row
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(content))) + chunk(b"IEND", b"")


def tiff(values: np.ndarray, order: str, compression: int, orientation: int = 1, planar: bool = False) -> bytes:
    """A TIFF of 16 bits a channel in a strip, or in one a channel: little-endian (``<``) or big-endian, plain (1) or deflated (8)."""
    height, width, channels = values.shape
    data = (values.transpose(2, 0, 1) if planar else values).astype(f"{order}u2").tobytes()
    strips = channels if planar else 1
    data = zlib.compress(data) if compression == 8 else data
    tags = {256: width, 257: height, 258: 0, 259: compression, 262: 2, 273: 0, 274: orientation, 277: channels, 278: height, 279: len(data)}
    tags |= {284: 2} if planar else {}
    bits = 8 + 2 + 12 * len(tags) + 4
    content = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    lists = bits + 2 * channels  # where each strip begins and its bytes, if there are several
    start, length = lists + 8 * (strips if planar else 0), len(data) // strips
    for tag, value in tags.items():
        kind, count = (4, strips) if tag in (273, 279) else (3, channels if tag == 258 else 1)
        place = {258: bits, 273: lists if planar else start, 279: lists + 4 * strips if planar else value}.get(tag, value)
        field = struct.pack(f"{order}I", place) if tag in (258, 273, 279) else struct.pack(f"{order}HH", place, 0)
        content += struct.pack(f"{order}HHI", tag, kind, count) + field
    return (
        content
        + struct.pack(f"{order}I", 0)
        + struct.pack(f"{order}{channels}H", *[16] * channels)
        + (struct.pack(f"{order}{2 * strips}I", *(start + length * at for at in range(strips)), *[length] * strips) if planar else b"")
        + data
    )


PPM = {b"P6\n": VALUES.astype(">u2").tobytes(), b"P3 # plain\n": " ".join(map(str, VALUES.reshape(-1))).encode()}
CONTENTS = [png(VALUES), *(tiff(VALUES, order, compression) for order in "<>" for compression in (1, 8))]
CONTENTS += [tiff(VALUES, order, 1, planar=True) for order in "<>"]
CONTENTS += [magic + b"14 10 65535\n" + numbers for magic, numbers in PPM.items()]


@pytest.mark.parametrize("content", CONTENTS, ids=range(len(CONTENTS)))
def test_every_bit_is_read(content):
    picture = load_image(io.BytesIO(content))
    depth = depth_of(picture)
    assert depth is not None and depth.ranged and image_notes(picture) == ("16 bits a channel read at full depth",)
    np.testing.assert_array_equal(depth.values, VALUES)
    np.testing.assert_allclose(np.asarray(picture), VALUES / 257, atol=0.51)


def test_a_ppm_of_12_bits_is_scaled_and_a_cut_one_refused():
    content = b"P6 14 10 4095\n" + (VALUES >> 4).astype(">u2").tobytes()
    depth = depth_of(load_image(io.BytesIO(content)))
    assert depth is not None
    np.testing.assert_allclose(depth.values, (VALUES >> 4) * (65535 / 4095), atol=0.51)
    with pytest.raises(ImageError, match="damaged picture"):
        load_image(io.BytesIO(content[:-2]))


def test_planes_of_16_bits_that_pillow_would_take_for_8_are_refused():
    with pytest.raises(ImageError, match="compressed, tiled or turned"):
        load_image(io.BytesIO(tiff(VALUES, "<", 1, orientation=6, planar=True)))


@pytest.mark.parametrize("dtype", [np.uint32, np.int8])
def test_numbers_keep_their_sign(dtype):
    values = np.frombuffer(VALUES.tobytes(), dtype).reshape(10, -1)
    stored = values.view(np.int32) if dtype is np.uint32 else values.view(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(stored).save(stream, "TIFF", tiffinfo={339: 2})
    content = stream.getvalue()
    if dtype is np.uint32:
        signed, unsigned = (struct.pack("<HHIHH", 339, 3, 1, kind, 0) for kind in (2, 1))
        content = content.replace(signed, unsigned)
    depth = depth_of(load_image(io.BytesIO(content)))
    assert depth is not None
    np.testing.assert_array_equal(depth.values, values)


def test_a_turned_picture_is_upright():
    depth = depth_of(load_image(io.BytesIO(tiff(VALUES, "<", 1, orientation=6))))
    assert depth is not None
    np.testing.assert_array_equal(depth.values, np.rot90(VALUES, -1))


def test_transparency_is_laid_over_white():
    alpha = np.zeros((10, 14, 1), np.uint16)
    alpha[:, 7:] = 65535
    depth = depth_of(load_image(io.BytesIO(png(np.concatenate([VALUES, alpha], 2)))))
    assert depth is not None
    np.testing.assert_array_equal(depth.values, np.where(alpha == 0, 65535, VALUES))


def test_one_channel_and_8_bits_are_as_before():
    picture = load_image(io.BytesIO(tiff(VALUES, "<", 1)), channel=2)
    np.testing.assert_array_equal(np.asarray(picture)[..., 0], VALUES[..., 1] >> 8)
    stream = io.BytesIO()
    Image.fromarray((VALUES >> 8).astype(np.uint8)).save(stream, "PNG")
    assert depth_of(load_image(stream)) is None
