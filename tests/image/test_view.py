"""The model's view of a picture, and the way back to the picture's own pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from axialzoo.image import ImageError, ResizeTransform, model_view, preprocess, resize_transform, stretch_percentiles
from axialzoo.spec import Preprocessing, SpecError

SIDES = st.integers(1, 90)
HOW = st.sampled_from(["shorter", "longer", "squash", "none"])


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)


@settings(max_examples=200, deadline=None)
@given(SIDES, SIDES, HOW, st.floats(0.5, 1.0))
def test_points_there_and_back(height, width, resize, crop):
    view = resize_transform(height, width, Preprocessing(size=(32, 48), resize=resize, crop=crop))
    boxes = np.array([[0, 0, width, height], [width / 3, height / 4, width / 2, height]], np.float64)
    np.testing.assert_allclose(view.to_picture(view.to_model(boxes)), boxes, atol=1e-9)
    np.testing.assert_allclose(view.to_picture(view.to_model(boxes[:, :2])), boxes[:, :2], atol=1e-9)
    outside = np.array([[-1e6, -1e6, 1e6, 1e6]])
    assert view.to_picture(outside).tolist() == [[0, 0, width, height]] and view.to_picture(outside, clip=False).min() < 0


@settings(max_examples=100, deadline=None)
@given(st.integers(20, 90), st.integers(20, 90), HOW)
def test_a_box_of_the_map_is_the_map_of_the_box(height, width, resize):
    """Pixels of the input lie in the picture where the transform says."""
    view = resize_transform(height, width, Preprocessing(size=(64, 64), resize=resize, crop=0.8))
    labels = np.zeros(view.size, np.int32)
    top, left = view.shown[0] // 4, view.shown[1] // 4
    bottom, right = top + max(view.shown[0] // 2, 3), left + max(view.shown[1] // 2, 3)
    labels[top:bottom, left:right] = 7
    rows, columns = np.nonzero(view.map_to_picture(labels) == 7)
    box = view.to_picture(np.array([[left, top, right, bottom]]))[0]
    actual = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert np.abs(actual - box).max() <= 1


def test_cropped_and_padded_maps():
    cropped = resize_transform(4, 8, Preprocessing(size=(4, 4), crop=1.0))
    assert cropped == ResizeTransform((4, 8), (4, 8), 0, 2, (4, 4))
    assert cropped.map_to_picture(np.ones((4, 4), np.int64), fill=-1).tolist() == [[-1, -1, 1, 1, 1, 1, -1, -1]] * 4
    padded = resize_transform(4, 8, Preprocessing(size=(16, 16), resize="longer"))
    assert padded == ResizeTransform((4, 8), (8, 16), 0, 0, (16, 16)) and padded.padded and padded.shown == (8, 16)
    labels = np.arange(256).reshape(16, 16)
    assert np.array_equal(padded.map_to_picture(labels), labels[1:8:2, 1::2])
    picture = np.arange(32).reshape(4, 8)
    assert np.array_equal(padded.map_to_picture(padded.map_to_model(picture)), picture)
    assert (padded.map_to_model(picture, fill=-1)[8:] == -1).all()
    with pytest.raises(ImageError, match="expected 16 x 16, the model's input"):
        padded.map_to_picture(labels[:8])
    with pytest.raises(ImageError, match=r"expected \(n, 2\) x, y or \(n, 4\)"):
        padded.to_picture(np.zeros((2, 3)))


@pytest.mark.parametrize(
    "planted",
    [
        lambda view, box: box * np.tile(np.divide(view.picture, view.resized)[::-1], 2),  # where the crop begins, forgotten
        lambda view, box: view.to_picture(box[:, [1, 0, 3, 2]]),
        lambda view, box: view.to_picture(box + 0.5),
    ],
    ids=["crop", "axes", "half a pixel"],
)
def test_a_planted_error_would_be_seen(planted):
    view = resize_transform(60, 90, Preprocessing(size=(32, 32), crop=0.8))
    there = view.to_model(np.array([[20.0, 10, 50, 40]]))
    assert np.abs(view.to_picture(there) - [20, 10, 50, 40]).max() < 1e-9
    actual = planted(view, there)
    assert np.abs(actual - [20, 10, 50, 40]).max() > 0.4


def test_fitted_pictures_keep_their_proportions_at_the_top_left():
    assert resize_transform(100, 50, Preprocessing(size=(64, 64), resize="longer")).resized == (64, 32)
    assert resize_transform(50, 100, Preprocessing(size=(64, 32), resize="longer")).resized == (16, 32)
    assert resize_transform(1, 1000, Preprocessing(size=(64, 64), resize="longer")).resized == (1, 64)
    spec = Preprocessing(size=(32, 32), resize="longer")
    picture = Image.fromarray(noise(20, 40))
    actual, small = np.asarray(model_view(picture, spec)), picture.resize((32, 16), Image.Resampling.BICUBIC)
    assert np.array_equal(actual[:16], np.asarray(small)) and (actual[16:] == [124, 116, 104]).all()
    x = preprocess(picture, spec)
    assert x.shape == (3, 32, 32) and np.abs(x[:, 16:]).max() < 0.01


def test_stretching_uses_the_picture_s_own_range():
    pixels = np.full((40, 50, 3), 10, np.uint8)
    pixels[:20] = 30
    pixels[0, 0] = 255  # 3 of 6000 values: beyond the 99.9th percentile
    actual = np.asarray(stretch_percentiles(Image.fromarray(pixels)))
    assert actual[30, 0].tolist() == [0, 0, 0] and actual[5, 5].tolist() == [255] * 3 and actual[0, 0].tolist() == [255] * 3
    assert np.asarray(stretch_percentiles(Image.new("RGB", (5, 5), (9, 9, 9)))).max() == 0
    ramp = Image.fromarray(np.repeat(np.arange(50, 101, dtype=np.uint8), 51).reshape(51, 51))
    expected = [(255 * step + 25) // 50 for step in range(51)]
    assert np.asarray(stretch_percentiles(ramp))[:, 0].tolist() == expected


def test_stretching_is_per_picture_and_before_resizing():
    spec = Preprocessing(size=(8, 8), crop=1.0, mean=(0.5,) * 3, std=(0.5,) * 3, per_image=True)
    pixels = noise(20, 30)
    dark = (pixels // 16).astype(np.uint8)  # 0 to 15
    assert preprocess(pixels, spec).max() > 0.3 and preprocess(dark, spec).max() > 0.3
    plain = Preprocessing(size=(8, 8), crop=1.0, mean=(0.5,) * 3, std=(0.5,) * 3)
    assert preprocess(dark, plain).max() < -0.8
    assert np.array_equal(preprocess(dark, spec), preprocess(stretch_percentiles(Image.fromarray(dark)), plain))


def test_stretched_per_channel_would_be_seen():
    pixels = noise(20, 30)
    pixels[..., 0] //= 4
    actual = np.asarray(stretch_percentiles(Image.fromarray(pixels)))
    assert actual[..., 0].max() < 80 and actual[..., 1].max() == 255


def test_unknown_ways_of_resizing_are_named():
    with pytest.raises(SpecError, match="did you mean 'longer'"):
        Preprocessing(resize="longest")
    with pytest.raises(SpecError, match=r"Preprocessing\.per_image"):
        Preprocessing(per_image=1)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "spec", [Preprocessing(size=(16, 24), resize="longer"), Preprocessing(size=(16, 24), resize="none", per_image=True)]
)
def test_the_module_does_the_same(spec):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from axialzoo.torch import Preprocess

    pixels = np.stack([noise(16, 24), noise(16, 24)[::-1] // 4])
    actual = Preprocess(spec)(torch.from_numpy(pixels).permute(0, 3, 1, 2)).numpy()
    assert np.allclose(actual, np.stack([preprocess(pixel, spec) for pixel in pixels]), atol=1e-6)
    if spec.resize == "longer":
        wide = torch.from_numpy(noise(10, 50)).permute(2, 0, 1)
        assert np.array_equal(Preprocess(spec)(wide).numpy(), preprocess(noise(10, 50), spec))
