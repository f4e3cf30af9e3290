"""Segments are seen over any picture, each class in its colour, and the legend tells them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from axialzoo.image.draw_segments import PALETTE, THING, class_colour, draw_comparison, draw_segments, overlay
from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Segmentation
from tests.tasks.segmentation.plain import LABELS, discs


def flat(shade: int) -> Image.Image:
    return Image.new("RGB", (96, 64), (shade,) * 3)


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


def coloured(picture: Image.Image, colour: tuple) -> int:
    return int((np.asarray(picture) == colour).all(-1).sum())


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_outlines_of_objects_stand_out_on_any_ground(shade):
    drawn = pixels(overlay(flat(shade), discs())).mean(-1)
    inside = discs().segmentation == 4
    border = inside & ~(np.roll(inside, 1, 0) & np.roll(inside, -1, 0) & np.roll(inside, 1, 1) & np.roll(inside, -1, 1))
    around = ~inside & (np.roll(inside, 1, 0) | np.roll(inside, -1, 0) | np.roll(inside, 1, 1) | np.roll(inside, -1, 1))
    assert drawn[border].mean() - drawn[around].mean() > 50


def test_void_is_left_as_it_is_and_classes_are_told_apart():
    drawn, map = pixels(overlay(flat(100), discs(), scores=False)), discs().segmentation
    assert (drawn[map == 0][:, :] == 100).all(-1).mean() > 0.9  # but for what an outline darkens
    cores = {id: np.median(drawn[map == id], axis=0) for id in (1000, 7, 4, 6)}
    assert all(np.abs(cores[a] - cores[b]).max() > 20 for a in cores for b in cores if a != b)
    assert np.abs(np.median(drawn[map == 3], axis=0) - cores[4]).max() < 5  # two nuclei look the same


def test_colours_are_the_labels_own_or_stay_with_the_class():
    green = tuple(replace(label, colour=(0, 255, 0)) for label in LABELS)
    assert class_colour(green, 1) == (0, 255, 0) and class_colour(LABELS, 1) == PALETTE[1] == class_colour((), 1)
    assert len({class_colour((), index) for index in range(133)}) == 133
    ids = Segmentation(discs().segmentation * 3, [{**item, "id": item["id"] * 3} for item in reversed(discs().segments_info)], LABELS)
    assert np.array_equal(overlay(flat(90), ids), overlay(flat(90), discs()))
    drawn = pixels(overlay(flat(100), Segmentation(discs().segmentation, discs().segments_info, green), scores=False))
    assert drawn[22, 44].tolist() == pytest.approx([100 * (1 - THING), 100 * (1 - THING) + 255 * THING, 100 * (1 - THING)], abs=1)


def test_the_legend_has_every_class_that_occurs():
    picture = draw_segments(flat(100), discs(), scores=False)
    nothing = draw_segments(flat(100), Segmentation(np.zeros((64, 96), np.int32), [], LABELS))
    assert picture.width > nothing.width
    assert all(coloured(picture, colour) > 200 for colour in PALETTE[:4]) and coloured(picture, PALETTE[4]) == 0
    many = tuple(Label(f"class {i}", thing=False) for i in range(96))
    strips = Segmentation(np.tile(np.arange(1, 97, dtype=np.int32), (64, 1)), [{"id": i + 1, "label_id": i} for i in range(96)], many)
    assert draw_segments(flat(0), strips).height == picture.height  # what has no room is counted


def test_scores_are_written():
    assert not np.array_equal(draw_segments(flat(9), discs()), draw_segments(flat(9), discs(), scores=False))


def test_picture_truth_and_prediction_stand_side_by_side(tmp_path):
    item, three = (
        draw_segments(flat(77), discs()),
        draw_comparison(flat(77), discs(), discs(), tmp_path / "three.png", model="axial_deeplab_s"),
    )
    assert three.width > 2 * item.width and coloured(three, (77,) * 3) > coloured(item, (77,) * 3) + 0.9 * 1120 * 747
    assert np.array_equal(Image.open(tmp_path / "three.png"), three) and len(list(tmp_path.iterdir())) == 1


def test_a_map_of_another_size_is_refused():
    with pytest.raises(ValueError, match="expected a map of the picture's size 64 x 96, found 96 x 64"):
        draw_segments(flat(0).transpose(Image.Transpose.ROTATE_90), discs())
