"""Boxes, classes and masks follow from a map of segments."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings

from tests.tasks.segmentation.plain import discs, pictures


@settings(deadline=None, max_examples=60)
@given(pictures())
def test_boxes_and_classes_are_those_of_the_pixels(segments):
    for item, box, mask in zip(segments.segments_info, segments.boxes, segments.masks):
        rows, columns = np.nonzero(segments.segmentation == item["id"])
        assert np.array_equal(mask, segments.segmentation == item["id"])
        assert (segments.class_map[mask] == item["label_id"]).all()
        expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else [0, 0, 0, 0]
        assert box.tolist() == expected
    assert (segments.class_map[segments.segmentation == 0] == -1).all() and segments.boxes.shape == (len(segments), 4)


def test_objects_become_boxes():
    assert discs(crowd=True).to_detections().crowd.tolist() == [False, False, True, False]
    assert discs().to_detections().boxes.tolist()[0] == [11, 7, 30, 26]
