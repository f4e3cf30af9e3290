"""Boxes are where they are, in their class's colour, on any picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from axialzoo.image import draw_boxes as module
from axialzoo.image.draw_boxes import class_colour, draw_boxes
from axialzoo.spec.labels import Label

GREY = (90, 90, 90)


def where(picture: Image.Image, colour: tuple, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of that colour, above the legend."""
    return np.nonzero((np.asarray(picture)[:height] == colour).all(-1))


@pytest.mark.parametrize("ground", [(0, 0, 0), (255, 255, 255), GREY])
def test_the_outline_is_at_the_box_between_a_dark_and_a_light_line(ground):
    picture = draw_boxes(Image.new("RGB", (960, 480), ground), [[100, 200, 300, 400]], [2])
    rows, columns = where(picture, class_colour(2), 480)
    assert abs(columns.max() - 300) <= 2 and abs(columns.min() - 100) <= 2 and abs(rows.max() - 400) <= 2
    across = [tuple(pixel) for pixel in np.asarray(picture)[300, 290:310].tolist()]
    assert {module.DARK, module.LIGHT, class_colour(2)} <= set(across)


def test_small_pictures_are_enlarged_with_their_boxes():
    picture = draw_boxes(Image.new("RGB", (96, 48), GREY), [[10, 20, 30, 40]], [2])
    rows, columns = where(picture, class_colour(2), 480)
    assert picture.width == 960 and abs(columns.max() - 300) <= 2 and abs(rows.max() - 400) <= 2


def test_planted_reading_of_xywh_as_xyxy_is_seen():
    right, wrong = (draw_boxes(Image.new("RGB", (960, 480)), [box], [0]) for box in ([100, 200, 300, 400], [100, 200, 400, 600]))
    assert np.asarray(right).shape == np.asarray(wrong).shape and (np.asarray(right) != np.asarray(wrong)).any()
    assert where(wrong, class_colour(0), 480)[1].max() > 390


def test_colours_depend_on_the_class_alone_differ_and_are_the_labels_where_it_has_one():
    colours = [class_colour(index) for index in range(80)]
    assert len(set(colours)) == 80
    assert class_colour(1, (Label("a"), Label("b", colour=(1, 2, 3)))) == (1, 2, 3)
    alone = draw_boxes(Image.new("RGB", (960, 480)), [[400, 100, 500, 200]], [5])
    among = draw_boxes(Image.new("RGB", (960, 480)), [[10, 10, 50, 50], [400, 100, 500, 200]], [0, 5])
    assert (np.asarray(alone)[100:200, 390:510] == np.asarray(among)[100:200, 390:510]).all()


def test_names_stand_out_from_their_colour():
    def luminance(colour):
        linear = [(part / 255 / 12.92) if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for index in range(80):
        item, other = sorted((luminance(class_colour(index)), luminance(module._contrast(class_colour(index)))))
        assert (other + 0.05) / (item + 0.05) > 3.5


def test_scores_are_written_where_there_are_any():
    args = Image.new("RGB", (960, 480)), [[100, 200, 300, 400]], [0]
    assert (np.asarray(draw_boxes(*args)) != np.asarray(draw_boxes(*args, scores=[0.5]))).any()


def test_names_of_boxes_at_one_place_do_not_cover_each_other(monkeypatch):
    placed = []
    right = module._tag
    monkeypatch.setattr(module, "_tag", lambda *args: placed.append(right(*args)) or placed[-1])
    draw_boxes(Image.new("RGB", (960, 480)), [[300, 200, 500, 400]] * 4, [0, 1, 2, 3])
    assert len(placed) == 4
    assert not any(module._common(item, other) for i, item in enumerate(placed) for other in placed[:i])


def test_the_legend_grows_with_the_classes_and_says_so_where_nothing_is_found():
    few, many = (draw_boxes(Image.new("RGB", (960, 480)), [[5, 5, 90, 90]] * n, list(range(n))) for n in (1, 30))
    nothing = draw_boxes(Image.new("RGB", (960, 480), GREY), np.zeros((0, 4)), np.zeros(0, int))
    assert many.height > few.height == nothing.height
    assert (np.asarray(nothing)[:480] == GREY).all() and (np.asarray(nothing)[480:] != 255).any()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
@pytest.mark.parametrize("size", [(1, 1), (5000, 3), (3, 5000)])
def test_odd_pictures_and_boxes_are_drawn(mode, size):
    boxes = np.array([[0, 0, 0, 0], [-50, -50, 9000, 9000], [0, 0, 1, 1]])
    picture = draw_boxes(Image.new(mode, size), boxes, np.array([0, 1, 200]), np.array([1.0, 0.5, 0.0]))
    assert picture.mode == "RGB" and max(picture.size) < 3000


def test_the_file_is_written(tmp_path):
    drawn = draw_boxes(Image.new("RGB", (96, 64)), [[8, 8, 40, 40]], [0], [0.9], tmp_path / "boxes.png")
    assert [entry.name for entry in tmp_path.iterdir()] == ["boxes.png"]
    assert (np.asarray(Image.open(tmp_path / "boxes.png")) == np.asarray(drawn)).all()


def test_what_cannot_be_drawn_is_refused(tmp_path):
    image = Image.new("RGB", (96, 64))
    with pytest.raises(ValueError, match="found 1 boxes, 2 classes, no scores"):
        draw_boxes(image, [[0, 0, 1, 1]], [0, 1])
    with pytest.raises(ValueError, match="found 1 boxes, 1 classes, 2 scores"):
        draw_boxes(image, [[0, 0, 1, 1]], [0], [1.0, 1.0])
    with pytest.raises(ValueError, match="expected a picture's suffix"):
        draw_boxes(image, [[0, 0, 1, 1]], [0], path=tmp_path / "boxes.pdf")
