"""The result picture shows the photograph and bars to scale, and is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from axialzoo.image import draw, draw_prediction, load_image, model_view
from axialzoo.spec import Preprocessing

PHOTO = Path(__file__).parents[2] / "docs" / "photos" / "chelsea.jpg"
ROWS = [("cat", 0.75), ("dog", 0.2), ("frog", 0.05)]


def coloured(picture: Image.Image, colour: tuple) -> int:
    return int((np.asarray(picture) == colour).all(-1).sum())


def test_the_likeliest_bar_is_as_long_as_its_probability():
    full = coloured(draw_prediction(Image.new("RGB", (8, 8)), {"PyTorch": [("cat", 1.0)]}), draw.COLOURS[0])
    half = coloured(draw_prediction(Image.new("RGB", (8, 8)), {"PyTorch": [("cat", 0.5)]}), draw.COLOURS[0])
    dot = coloured(draw_prediction(Image.new("RGB", (8, 8)), {"PyTorch": [("cat", 0.0)]}), draw.COLOURS[0])
    assert (half - dot) / (full - dot) == pytest.approx(0.5, abs=0.01)


def test_two_frameworks_stand_side_by_side():
    item = draw_prediction(load_image(PHOTO), {"PyTorch": ROWS})
    two = draw_prediction(load_image(PHOTO), {"PyTorch": ROWS, "Keras (jax)": ROWS})
    assert two.width > item.width and two.height == item.height
    assert coloured(item, draw.COLOURS[1]) == 0
    first, second = (coloured(two, colour) for colour in draw.COLOURS[:2])
    assert first == second > 1000


def test_the_photograph_and_what_the_model_sees_of_it_are_in_the_picture():
    red, blue = Image.new("RGB", (60, 40), (250, 1, 2)), Image.new("RGB", (32, 32), (3, 4, 251))
    alone = draw_prediction(red, {"PyTorch": ROWS})
    both = draw_prediction(red, {"PyTorch": ROWS}, model_view=blue)
    assert coloured(alone, (250, 1, 2)) > coloured(both, (250, 1, 2)) > 100_000
    assert coloured(both, (3, 4, 251)) > 10_000


@pytest.mark.parametrize("size", [(1, 1), (3000, 2), (2, 3000), (40, 30)])
def test_odd_shapes_of_photograph_are_drawn(size):
    image = Image.new("RGB", size, (9, 9, 9))
    picture = draw_prediction(image, {"PyTorch": ROWS}, model="m", model_view=model_view(image, Preprocessing((32, 32), "squash")))
    assert coloured(picture, (9, 9, 9)) > 0 and picture.width < 3000 and picture.height < 1500


def test_long_labels_are_shortened_and_do_not_widen_the_picture():
    short, long = (draw_prediction(Image.new("RGB", (8, 8)), {"a": [(text, 0.5)]}, model=text) for text in ("x", "x" * 900))
    assert short.size == long.size


@pytest.mark.parametrize(
    ("probability", "text"), [(1.0, "100.0 %"), (0.99996, "> 99.9 %"), (0.123, "12.3 %"), (0.0004, "< 0.1 %"), (0.0, "0 %")]
)
def test_percentages_are_never_falsely_certain(probability, text):
    assert draw.percent(probability) == text


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_the_file_is_written_and_nothing_else(tmp_path, suffix):
    path = tmp_path / f"result{suffix}"
    drawn = draw_prediction(load_image(PHOTO), {"PyTorch": ROWS}, path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert load_image(path).size == drawn.size


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "result.png"
    path.write_bytes(b"old")
    monkeypatch.setattr(draw.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        draw_prediction(load_image(PHOTO), {"PyTorch": ROWS}, path)
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_drawn_is_refused(tmp_path):
    image = Image.new("RGB", (4, 4))
    with pytest.raises(ValueError, match=r"result.pdf: expected a picture's suffix"):
        draw_prediction(image, {"PyTorch": ROWS}, tmp_path / "result.pdf")
    for nothing in ({}, {"PyTorch": []}):
        with pytest.raises(ValueError, match="at least one heading"):
            draw_prediction(image, nothing)
