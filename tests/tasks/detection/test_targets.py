"""Targets are those of a search through every box at every location."""

from __future__ import annotations

import numpy as np
import pytest

from axialzoo.spec.labels import Label
from axialzoo.tasks.detection.targets import box_targets, size_ranges
from axialzoo.tasks.results import Detections
from tests.tasks.detection import plain
from tests.tasks.detection.scenes import RANGES, SIZES, STRIDES, scene


def test_equal_to_the_plain_search():
    actual = set()
    for seed in range(120):
        annotation = scene(seed, most=12)
        crowd = np.random.default_rng(seed).uniform(size=len(annotation)) < 0.2
        annotation = Detections(annotation.boxes, annotation.scores, annotation.labels, crowd=crowd)
        radius = 1.5 if seed % 3 else np.inf
        targets = box_targets(annotation, SIZES, STRIDES, ranges=RANGES, radius=1.5 if seed % 3 else None)
        classes, distances, centerness = plain.targets(annotation.boxes.tolist(), annotation.labels, crowd, SIZES, STRIDES, RANGES, radius)
        assert targets["classes"].tolist() == classes, seed
        assert np.allclose(targets["boxes"], distances, rtol=1e-6, atol=0)
        assert np.allclose(targets["centerness"], centerness, rtol=1e-6, atol=0)
        actual |= set(classes)
    assert actual == {-2, -1, 0, 1, 2, 3}


def test_dtypes_and_shapes_are_those_that_the_losses_take():
    targets = box_targets(scene(1), SIZES, STRIDES)
    count = sum(height * width for height, width in SIZES)
    assert {name: (item.dtype.name, item.shape) for name, item in targets.items()} == {
        "classes": ("int32", (count,)),
        "boxes": ("float32", (count, 4)),
        "centerness": ("float32", (count,)),
    }


def test_of_nothing_everything_is_background():
    targets = box_targets(scene(0, most=0), SIZES, STRIDES)
    assert (targets["classes"] == -1).all() and not targets["boxes"].any() and not targets["centerness"].any()


def test_the_ranges_are_the_papers():
    assert size_ranges([8, 16, 32, 64, 128]) == [(0, 64), (64, 128), (128, 256), (256, 512), (512, np.inf)]


def test_of_equal_boxes_the_first_is_taken_and_of_nested_ones_the_smaller():
    boxes = np.array([[0, 0, 40, 40], [0, 0, 40, 40], [10, 10, 30, 30]], float)
    targets = box_targets(Detections(boxes, np.ones(3), np.array([2, 1, 0])), [(5, 5)], [8], radius=None)
    assert set(targets["classes"]) == {2, 0}


def test_a_box_without_area_is_of_no_location():
    targets = box_targets(Detections(np.array([[12.0, 4, 12, 30]]), np.ones(1), np.zeros(1, int)), [(5, 5)], [8])
    assert (targets["classes"] == -1).all()


@pytest.mark.parametrize("error", ["none", "half a stride", "no center sampling", "class off by one", "crowd as object"])
def test_planted_errors_are_seen_by_the_comparison(error):
    crowd = np.array([False, True])
    annotation = Detections(np.array([[25.0, 25, 57, 57], [80, 20, 150, 90]]), np.ones(2), np.array([0, 1]), crowd=crowd)
    classes, distances, _ = plain.targets(annotation.boxes, annotation.labels, crowd, SIZES, STRIDES, RANGES, 1.5)
    planted = {
        "half a stride": Detections(annotation.boxes + 4, annotation.scores, annotation.labels, crowd=crowd),
        "class off by one": Detections(annotation.boxes, annotation.scores, annotation.labels + 1, crowd=crowd),
        "crowd as object": Detections(annotation.boxes, annotation.scores, annotation.labels),
    }.get(error, annotation)
    targets = box_targets(planted, SIZES, STRIDES, ranges=RANGES, radius=None if error == "no center sampling" else 1.5)
    same = targets["classes"].tolist() == classes and np.allclose(targets["boxes"], distances, rtol=1e-6)
    assert same == (error == "none")


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (Detections(np.array([[9.0, 0, 1, 5]]), np.ones(1), np.zeros(1, int)), "left <= right"),
        (Detections(np.array([[np.inf, 0, np.inf, 5]]), np.ones(1), np.zeros(1, int)), "expected finite"),
        (Detections(np.array([[0.0, 0, 1, 5]]), np.ones(1), np.array([1]), (Label("a"),)), "expected classes from 0 to 0, found 1"),
        (Detections(np.array([[0.0, 0, 1, 5]]), np.ones(1), np.array([-1])), "expected classes from 0 to any, found -1"),
    ],
)
def test_what_does_not_fit_is_refused(annotation, message):
    with pytest.raises(ValueError, match=message):
        box_targets(annotation, SIZES, STRIDES)


def test_levels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="as many sizes as strides and ranges, found 3, 2, 2"):
        box_targets(scene(0), SIZES, STRIDES[:2])
