"""Pictures of 16 and 32 bits keep their depth until the model's own rule converts them; planes are chosen, and none is dropped silently."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from axialzoo.image import ImageError, image_notes, load_image, model_view, preprocess, stretch_percentiles
from axialzoo.spec import Preprocessing

GREY = np.asarray(Image.open(Path(__file__).parents[2] / "docs" / "photos" / "nuclei.png").convert("L"))  # (H, W)
STRETCHING = Preprocessing(size=(64, 64), resize="none", mean=(0.5,) * 3, std=(0.25,) * 3, per_image=True)
FIXED = Preprocessing(size=(64, 64), resize="none", mean=(0.5,) * 3, std=(0.25,) * 3)
RANGES = [(0, 65535), (0, 4095), (100, 1500), (300, 700), (0, 255), (0, 120)]


def saved(path: Path, values: np.ndarray) -> Path:
    Image.fromarray(values).save(path)
    return path


def in_range(low: float, high: float, dtype: type = np.uint16) -> np.ndarray:
    values = low + GREY / 255 * (high - low)
    return (values if np.issubdtype(dtype, np.floating) else values.round()).astype(dtype)


@pytest.mark.parametrize(("low", "high"), RANGES)
@pytest.mark.parametrize("form", ["file", "array", "pillow"])
def test_16_bit_ranges_look_like_8_bits_to_a_model_that_stretches(tmp_path, low, high, form):
    values = in_range(low, high)
    inputs = {
        "file": lambda: load_image(saved(tmp_path / "a.tif", values)),
        "array": lambda: values,
        "pillow": lambda: Image.fromarray(values),
    }
    difference = np.abs(np.asarray(model_view(inputs[form](), STRETCHING), int) - np.asarray(model_view(GREY, STRETCHING), int))
    assert difference.max() <= max(1, 255 // (high - low) + 1)  # the rounding of the narrow range itself
    cut = np.asarray(stretch_percentiles(Image.fromarray(((values.astype(int) + 128) // 257).astype(np.uint8)).convert("RGB")), int)
    assert high > 4095 or np.abs(cut - np.asarray(model_view(GREY, STRETCHING), int)).max() > 5  # cut to 8 bits first, it would be seen


def test_8_bit_values_in_wider_types_are_bit_equal():
    for dtype in (np.uint16, np.int32, np.float32, np.float64):
        assert np.array_equal(model_view(GREY.astype(dtype), STRETCHING), model_view(GREY, STRETCHING))
        assert np.array_equal(preprocess(GREY.astype(dtype), FIXED), preprocess(GREY, FIXED))


def test_float_files_and_arrays_of_0_to_1_are_stretched(tmp_path):
    values = in_range(0, 1, np.float32)
    for picture in (values, load_image(saved(tmp_path / "a.tif", values))):
        assert np.abs(np.asarray(model_view(picture, STRETCHING), int) - np.asarray(model_view(GREY, STRETCHING), int)).max() <= 1
    with pytest.raises(ImageError, match="multiply a picture of 0 to 1 by 255"):
        preprocess(values, FIXED)


def test_16_bit_arrays_are_scaled_for_other_models():
    assert np.array_equal(preprocess(GREY.astype(np.uint16) * 257, FIXED), preprocess(GREY, FIXED))


@pytest.mark.parametrize("values", [np.full((4, 4, 3), -0.5), np.full((4, 4), np.nan), np.full((4, 4), np.inf)])
def test_normalised_arrays_and_numbers_that_are_not_finite_are_refused(values):
    for preprocessing in (FIXED, STRETCHING):
        with pytest.raises(ImageError, match=r"before it is normalised|NaN"):
            preprocess(values, preprocessing)


def stack(path: Path, description: str = "") -> Path:
    pages = [Image.fromarray(np.full((4, 6), value, np.uint8)) for value in (10, 90, 250, 30)]
    pages[0].save(path, save_all=True, append_images=pages[1:], **({"description": description} if description else {}))
    return path


def test_pages_and_channels_are_chosen_and_the_others_named(tmp_path):
    path = stack(tmp_path / "a.tif")
    assert image_notes(load_image(path)) == ("page 1 of 4 read; choose another with --page",)
    assert np.unique(load_image(path, page=3)).tolist() == [250]
    with pytest.raises(ImageError, match="a page from 1 to 4, found 5"):
        load_image(path, page=5)
    path = stack(tmp_path / "b.tif", "ImageJ=1.53\nimages=4\nchannels=2\nslices=2\n")
    assert "channel 1 of 2" in image_notes(load_image(path))[0]
    assert [np.unique(load_image(path, page=p, channel=c)).tolist() for p in (1, 2) for c in (1, 2)] == [[10], [90], [250], [30]]
    path = stack(tmp_path / "c.tif", '<OME><Pixels SizeC="2" SizeZ="2" SizeT="1"/></OME>')
    with pytest.raises(ImageError, match=r"OME-TIFF of 4 planes .SizeC"):
        load_image(path)
    assert np.unique(load_image(path, page=2)).tolist() == [90]
    rgb = tmp_path / "d.png"
    Image.new("RGB", (4, 4), (1, 2, 3)).save(rgb)
    assert np.unique(load_image(rgb, channel=2)).tolist() == [2]
    with pytest.raises(ImageError, match="a channel from 1 to 3"):
        load_image(rgb, channel=4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0" * 128 + b"DICM" + b"\0" * 300, "DICOM file; save"),
        (b"\x5c\x01\0\0" + b"\0" * 340 + b"n+1\0" + b"\0" * 9, "NIfTI volume; save"),
        (b"\x89HDF\r\n\x1a\n", "HDF5 file"),
        (b"hello", "not a picture that can be read; expected JPEG"),
        (b"", "an empty file"),
        (b"ZISRAWFILE", "microscope's own format; save its picture as TIFF"),
        (b"\0\0\0\x18ftypheic", "HEIC; save it as JPEG"),
        (b"<!DOCTYPE html>", "a page of the web"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
    ],
)
def test_foreign_files_are_refused_with_the_way_on(content, message):
    with pytest.raises(ImageError, match=message):
        load_image(io.BytesIO(content))


def test_tensors_are_checked_as_arrays_are():
    torch = pytest.importorskip("torch")
    from axialzoo.torch.preprocessing import Preprocess

    tensor = torch.from_numpy(np.repeat(GREY[None], 3, 0))  # (3, H, W)
    for wrong in (tensor / 255, (tensor / 255 - 0.5) / 0.25):
        with pytest.raises(ImageError):
            Preprocess(FIXED)(wrong)
    assert torch.equal(Preprocess(FIXED)(tensor.float()), Preprocess(FIXED)(tensor))
    assert torch.equal(Preprocess(STRETCHING)(tensor.float()), Preprocess(STRETCHING)(tensor))
    assert torch.equal(Preprocess(STRETCHING)(tensor.float() / 256), Preprocess(STRETCHING)(tensor))


@pytest.mark.parametrize("source", ["a.png", Image.new("RGB", (32, 32)), np.zeros((1, 32, 32, 3), np.uint8)])
@pytest.mark.backends("tensorflow")
def test_keras_models_refuse_pictures_in_place_of_their_input(source):
    from axialzoo.keras import axial_resnet_cifar10_xs

    with pytest.raises(TypeError, match=r"model.preprocess"):
        axial_resnet_cifar10_xs()(source)


@pytest.mark.backends("tensorflow")
def test_keras_tensors_are_checked_as_arrays_are():
    from axialzoo.keras.preprocessing import Preprocess

    array = np.repeat(GREY[..., None], 3, -1)
    layer = Preprocess(FIXED, "channels_last")
    for wrong in (array / 255, (array / 255 - 0.5) / 0.25):
        with pytest.raises(ImageError):
            layer(wrong)
    assert np.array_equal(layer(array.astype(np.float32)), layer(array))


@pytest.mark.parametrize("source", ["a.png", Image.new("RGB", (32, 32)), np.zeros((1, 3, 32, 32), np.float32), "tensor"])
def test_torch_models_refuse_pictures_in_place_of_their_input(source):
    torch = pytest.importorskip("torch")
    from axialzoo.torch import axial_resnet_cifar10_xs

    source = torch.zeros(1, 3, 32, 32, dtype=torch.uint8) if isinstance(source, str) and source == "tensor" else source
    with pytest.raises(TypeError, match=r"model.preprocess"):
        axial_resnet_cifar10_xs()(source)
