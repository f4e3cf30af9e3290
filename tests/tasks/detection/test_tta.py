"""Boxes of a picture and of its mirror image: turned back, of two that are of one object one stays."""

from __future__ import annotations

import numpy as np
import pytest

from axialzoo.image import resize_transform
from axialzoo.tasks import TTA, Detections, run_views, tta_from_options
from axialzoo.tasks.detection.decode import flip_boxes
from tests.tasks.detection.scenes import SIZE
from tests.tasks.detection.test_task import LONGER, SPEC, TASK, apart, in_view, maps_of


def network(annotation: Detections, turned: bool = True):
    """A network that knows the ground truth of a picture, dark on the left, and of its mirror image; without `turned` it does not see that
    it is one."""
    other = Detections(flip_boxes(annotation.boxes, SIZE[1]), annotation.scores, annotation.labels)

    def compute(x: np.ndarray) -> dict[str, list[np.ndarray]]:
        said = other if turned and x[0, 0, 0, 0] > x[0, 0, -1, 0] else annotation
        return {name: [level[None] for level in maps] for name, maps in maps_of(TASK.targets(said, SPEC, SIZE)).items()}

    return compute


X = np.broadcast_to(np.linspace(-1, 1, SIZE[1], dtype=np.float32)[:, None], (1, *SIZE, 3))


@pytest.mark.parametrize("picture", [SIZE, (90, 200)])
def test_both_looks_find_the_same_boxes_and_none_is_told_twice(picture):
    view, counted = resize_transform(*picture, LONGER), 0
    for seed in range(12):
        annotation, seen = in_view(seed, view)
        once = run_views(TASK, network(seen), X, SPEC, [view], TTA())[0]
        both = run_views(TASK, network(seen), X, SPEC, [view], tta_from_options(hflip=True))[0]
        assert apart(both, annotation) < apart(once, annotation) + 1e-3 and (np.diff(both.scores) <= 0).all()
        assert len(both) <= len(once) + 1  # a small object has locations in one of the two grids alone, now and then
        counted += len(annotation)
    assert counted > 10


def test_boxes_that_stay_in_the_mirror_are_caught():
    view = resize_transform(*SIZE, LONGER)
    seen = in_view(3, view)[1]
    right, wrong = (run_views(TASK, network(seen, turned), X, SPEC, [view], tta_from_options(hflip=True))[0] for turned in (True, False))
    assert len(wrong) > len(right)
    assert flip_boxes(flip_boxes(seen.boxes, SIZE[1]), SIZE[1]) == pytest.approx(seen.boxes)
