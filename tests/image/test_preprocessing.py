"""A model's input is Pillow's own resampling, cropped and normalised: the same numbers everywhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from axialzoo.data.batches import as_channels, normalise
from axialzoo.image import ImageError, ResizeTransform, load_image, model_view, preprocess, resample, resampling_weights, resize_transform
from axialzoo.spec import Preprocessing, SpecError
from axialzoo.torch import Preprocess

PHOTO = Path(__file__).parents[2] / "docs" / "photos" / "chelsea.jpg"
FILTERS = ("nearest", "box", "bilinear", "bicubic", "lanczos")
SIZES = [(300, 451), (31, 17), (1, 1), (1, 9), (64, 64)]


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, channels), np.uint8)


def by_hand(pixels: np.ndarray, spec: Preprocessing) -> np.ndarray:
    """A straightforward reference: numpy alone, and the crop by its definition."""
    height, width = pixels.shape[:2]
    rows, columns = spec.size
    if spec.resize == "squash":
        pixels = resample(pixels, (rows, columns), spec.interpolation)
    elif spec.resize == "shorter":
        scale = max(round(rows / spec.crop) / height, round(columns / spec.crop) / width)
        resized = (int(height * scale + 1e-9), int(width * scale + 1e-9))
        pixels = resample(pixels, resized, spec.interpolation)
        top, left = round((resized[0] - rows) / 2), round((resized[1] - columns) / 2)
        pixels = pixels[top : top + rows, left : left + columns]
    x = pixels.astype(np.float64) / 255
    return ((x - np.array(spec.mean)) / np.array(spec.std)).astype(np.float32).transpose(2, 0, 1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("resize", ["shorter", "squash", "none"])
@pytest.mark.parametrize("interpolation", FILTERS)
def test_preprocessing_equals_a_plain_numpy_reference(size, resize, interpolation):
    for crop, target in ((0.875, (48, 40)), (1.0, (32, 32))):
        spec = Preprocessing(size=target, resize=resize, interpolation=interpolation, crop=crop)
        pixels = noise(*size)
        actual = preprocess(Image.fromarray(pixels), spec)
        assert actual.dtype == np.float32
        assert actual.shape == (3, *(size if resize == "none" else target))
        assert np.array_equal(actual, by_hand(pixels, spec))


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize(("before", "after"), [((37, 53), (16, 20)), ((7, 5), (29, 31)), ((16, 16), (16, 9)), ((100, 3), (1, 1))])
def test_resampling_in_numpy_equals_pillows_to_the_bit(interpolation, before, after):
    for pixels in (noise(*before), noise(*before, 1)):
        image = Image.fromarray(pixels if pixels.shape[-1] == 3 else pixels[..., 0])
        theirs = np.asarray(image.resize(after[::-1], Image.Resampling[interpolation.upper()])).reshape(*after, -1)
        assert np.array_equal(resample(pixels, after, interpolation), theirs)


def test_a_batch_is_resampled_picture_by_picture():
    batch = np.stack([noise(20, 30), noise(20, 30)[::-1]])
    assert np.array_equal(resample(batch, (8, 9), "bicubic")[1], resample(batch[1], (8, 9), "bicubic"))


def test_interpolation_without_antialiasing_is_caught():
    """The classic mistake: most tensor libraries shrink without widening the filter."""
    photo = load_image(PHOTO)
    planted = photo.transform((32, 32), Image.Transform.AFFINE, (photo.width / 32, 0, 0, 0, photo.height / 32, 0), Image.Resampling.BICUBIC)
    actual = np.asarray(model_view(photo, Preprocessing((32, 32), "squash"))).astype(int)
    assert np.array_equal(actual, resample(np.asarray(photo), (32, 32), "bicubic"))
    assert np.abs(np.asarray(planted) - actual).max() > 20


def test_rounding_once_instead_of_after_each_axis_is_caught():
    pixels = noise(37, 53)
    rows, columns = (resampling_weights(*pair, "bicubic") / 2**22 for pair in ((37, 16), (53, 20)))
    once = np.clip(np.round(np.einsum("oh,pw,hwc->opc", rows, columns, pixels)), 0, 255)
    assert not np.array_equal(once, resample(pixels, (16, 20), "bicubic"))


def test_weights_of_a_row_sum_to_one():
    for interpolation in FILTERS:
        sums = resampling_weights(41, 17, interpolation).sum(1) / 2**22
        assert np.abs(sums - 1).max() < 1e-5


SPEC = Preprocessing(size=(32, 32), crop=1.0)


@pytest.mark.parametrize(
    "planted",
    [
        lambda x: x[::-1],  # BGR
        lambda x: x.transpose(0, 2, 1),  # axes swapped
        lambda x: x * 255,  # not scaled
        lambda x: np.roll(x, 1, axis=2),  # crop one pixel off
    ],
    ids=["bgr", "axes", "scale", "crop"],
)
def test_a_planted_error_differs_from_the_reference(planted):
    pixels = np.asarray(load_image(PHOTO))
    assert np.array_equal(preprocess(pixels, SPEC), by_hand(pixels, SPEC))
    assert np.abs(planted(preprocess(pixels, SPEC)) - by_hand(pixels, SPEC)).max() > 0.1


@pytest.mark.parametrize("resize", ["squash", "longer"])
def test_a_model_of_bgr_gets_the_channels_reversed_and_padding_of_its_mean(resize):
    mean, std = (0.1, 0.4, 0.9), (0.2, 0.3, 0.4)
    bgr = Preprocessing((32, 32), resize, mean=mean, std=std, channel_order="bgr")
    rgb = replace(bgr, mean=mean[::-1], std=std[::-1], channel_order="rgb")
    assert np.array_equal(preprocess(noise(20, 40), bgr), preprocess(noise(20, 40), rgb)[::-1])
    pixels = torch.from_numpy(noise(32, 32)).permute(2, 0, 1)
    assert torch.allclose(Preprocess(bgr)(pixels), Preprocess(rgb)(pixels).flip(0), atol=1e-6)
    batch = noise(32, 32)[None]
    assert np.allclose(normalise(as_channels(batch, bgr), bgr), normalise(as_channels(batch, rgb), rgb)[..., ::-1])
    with pytest.raises(SpecError, match="channel_order: expected 'rgb' for 1 channels"):
        replace(bgr, mean=(0.5,), std=(0.5,))


def test_normalisation_is_of_values_from_0_to_1():
    spec = Preprocessing(size=(1, 1), resize="none", mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))
    pixel = np.array([[[255, 0, 51]]], np.uint8)
    assert preprocess(pixel, spec)[:, 0, 0].tolist() == pytest.approx([1.0, -1.0, 0.1])


def test_a_grey_model_gets_one_channel():
    spec = Preprocessing(size=(8, 8), mean=(0.5,), std=(0.5,))
    grey = noise(20, 30, 1)
    actual = preprocess(grey, spec)
    assert actual.shape == (1, 8, 8)
    assert np.array_equal(actual, preprocess(Image.fromarray(grey[..., 0]), spec))
    assert np.array_equal(actual, preprocess(np.repeat(grey, 3, -1), spec))  # grey as RGB is the same grey
    assert np.array_equal(actual[0], by_hand(grey, spec)[0])


def test_a_model_of_two_channels_cannot_see_pictures():
    with pytest.raises(ImageError, match="expected a model of 1 or 3 channels for pictures, found 2"):
        preprocess(noise(4, 4), Preprocessing(mean=(0.5, 0.5), std=(1.0, 1.0)))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "CMYK", "1", "L", "YCbCr", "HSV", "I;16"])
def test_pictures_of_any_mode_are_taken(mode):
    image = Image.new("I;16", (9, 7), 40000) if mode == "I;16" else Image.fromarray(noise(7, 9)).convert(mode)
    assert preprocess(image, SPEC).shape == (3, 32, 32)


def test_an_opened_picture_is_turned_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(8, 12)).save(tmp_path / "turned.png", exif=exif)
    spec = replace(SPEC, resize="none")
    with Image.open(tmp_path / "turned.png") as image:
        assert preprocess(image, spec).shape == (3, 12, 8)
        assert np.array_equal(preprocess(image, spec), preprocess(load_image(tmp_path / "turned.png"), spec))


@pytest.mark.parametrize("array", [noise(4, 4).astype(np.float32) - 300, noise(4, 4, 4), np.zeros((0, 4, 3), np.uint8), [[1]]])
def test_arrays_of_another_kind_are_refused(array):
    with pytest.raises(ImageError, match="expected"):
        preprocess(array, SPEC)


def test_a_hairline_that_would_fill_the_memory_is_refused():
    with pytest.raises(ImageError, match="a picture of 100000 x 1 resized"):
        preprocess(np.zeros((1, 100_000, 3), np.uint8), Preprocessing())


def test_the_view_of_resizing_and_cropping():
    assert resize_transform(300, 451, Preprocessing()) == ResizeTransform((300, 451), (256, 384), 16, 80, (224, 224))
    assert resize_transform(451, 300, Preprocessing(size=(32, 32), crop=1.0)) == ResizeTransform((451, 300), (48, 32), 8, 0, (32, 32))
    assert resize_transform(100, 100, Preprocessing(size=(32, 64), crop=1.0)) == ResizeTransform((100, 100), (64, 64), 16, 0, (32, 64))
    assert resize_transform(5, 7, Preprocessing(resize="none")) == ResizeTransform((5, 7), (5, 7), 0, 0, (5, 7))
    assert resize_transform(5, 7, Preprocessing(resize="squash")) == ResizeTransform((5, 7), (224, 224), 0, 0, (224, 224))


def test_every_size_of_picture_covers_the_crop():
    for height in (1, 2, 7, 31, 223, 500):
        for width in (1, 3, 8, 97, 499):
            for spec in (Preprocessing(size=(3, 5)), Preprocessing(size=(33, 17), crop=0.9)):
                steps = resize_transform(height, width, spec)
                assert steps.top >= 0 and steps.left >= 0
                assert steps.top + steps.size[0] <= steps.resized[0] and steps.left + steps.size[1] <= steps.resized[1]


def test_what_is_seen_is_what_is_computed_on():
    picture = model_view(load_image(PHOTO), SPEC)
    assert picture.size == (32, 32)
    assert np.array_equal(preprocess(picture, replace(SPEC, resize="none")), preprocess(load_image(PHOTO), SPEC))
