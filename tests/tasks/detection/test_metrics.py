"""Average precision is what a plain count gives, in a known case what it must be, and nothing is printed."""

from __future__ import annotations

import numpy as np
import pytest

from axialzoo.spec.labels import Label
from axialzoo.tasks.coco import coco_average_precision
from axialzoo.tasks.detection.metrics import BoxMetric
from axialzoo.tasks.results import Detections
from tests.tasks.detection import plain

THRESHOLDS = np.arange(10) * 0.05 + 0.5


def pictures(seed: int, crowds: bool) -> list[tuple[Detections, Detections]]:
    """(result, truth) of a few pictures of two classes; scores differ, since equal ones have no order between pictures."""
    rng = np.random.default_rng(seed)
    built = []
    for _ in range(3):
        n = int(rng.integers(1, 6))
        corner = rng.uniform(0, 60, (n, 2))
        annotation = np.concatenate([corner, corner + rng.uniform(8, 30, (n, 2))], 1)
        actual = annotation[rng.integers(n, size=n + 2)] + rng.normal(0, 2, (n + 2, 4))
        actual[:, 2:] = np.maximum(actual[:, 2:], actual[:, :2] + 1)
        indices = rng.integers(2, size=n)
        scores = np.sort(rng.uniform(size=n + 2))[::-1]
        crowd = (rng.uniform(size=n) < 0.3) if crowds else None
        built.append((Detections(actual, scores, rng.integers(2, size=n + 2)), Detections(annotation, np.ones(n), indices, crowd=crowd)))
    return built


def measured(made: list[tuple[Detections, Detections]], **options) -> dict:
    metric = BoxMetric(**options)
    for result, annotation in made:
        metric.update(result, annotation)
    return metric.compute()


def counted(made: list[tuple[Detections, Detections]], index: int, thresholds=THRESHOLDS) -> float | None:
    annotations, results = [], []
    for result, annotation in made:
        crowd = np.zeros(len(annotation), bool) if annotation.crowd is None else annotation.crowd
        annotations.append([(box, many) for box, many, item in zip(annotation.boxes, crowd, annotation.labels) if item == index])
        results.append([(score, box) for box, score, item in zip(result.boxes, result.scores, result.labels) if item == index])
    if all(many for annotation in annotations for _, many in annotation):
        return None
    return float(np.mean([plain.average_precision(annotations, results, threshold) for threshold in thresholds]))


@pytest.mark.parametrize("crowds", [False, True])
def test_equal_to_the_plain_count(crowds):
    for seed in range(60):
        built = pictures(seed, crowds)
        actual, expected = measured(built), [counted(built, index) for index in (0, 1)]
        for index in (0, 1):
            assert actual["per_class"].get(f"class {index}", {}).get("box_ap") == pytest.approx(expected[index], abs=1e-9), seed
        known = [value for value in expected if value is not None]
        assert actual["box_ap"] == pytest.approx(np.mean(known), abs=1e-9)
        halves = [counted(built, index, [0.5]) for index in (0, 1) if expected[index] is not None]
        assert actual["box_ap50"] == pytest.approx(np.mean(halves), abs=1e-9)


def test_what_is_found_exactly_is_one_and_what_is_not_there_is_none():
    built = [(annotation, annotation) for _, annotation in pictures(0, False)]
    actual = measured(built, labels=(Label("a"), Label("b"), Label("never")))
    assert actual["box_ap"] == actual["box_ap75"] == actual["box_ap_small"] == pytest.approx(1)
    assert actual["box_ap_large"] is None and actual["per_class"]["never"] == {"box_ap": None}
    assert list(actual) == [*(f"box_ap{end}" for end in ("", "50", "75", "_small", "_medium", "_large")), "per_class"]


@pytest.mark.parametrize(("side", "name"), [(20, "small"), (50, "medium"), (100, "large")])
def test_sizes_are_those_of_coco(side, name):
    box = Detections(np.array([[3.0, 3, 3 + side, 3 + side]]), np.ones(1), np.zeros(1, int))
    actual = measured([(box, box)])
    assert [actual[f"box_ap_{size}"] for size in ("small", "medium", "large")] == [
        pytest.approx(1) if size == name else None for size in ("small", "medium", "large")
    ]


def test_without_pictures_or_boxes_all_is_none_and_without_finds_zero():
    nothing = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))
    for built in ([], [(nothing, nothing)]):
        assert {**measured(built), "per_class": None} == dict.fromkeys(measured([]), None)
    actual = measured([(nothing, annotation) for _, annotation in pictures(0, False)])
    assert actual["box_ap"] == actual["box_ap50"] == 0
    assert measured([(result, nothing) for result, _ in pictures(0, False)])["box_ap"] is None


def test_it_is_silent(capfd):
    measured(pictures(0, False))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("error", ["xywh", "flip", "class", "half a stride"])
def test_planted_errors_lower_it(error):
    annotations = [annotation for _, annotation in pictures(1, False)]
    results = []
    for annotation in annotations:
        boxes, indices = annotation.boxes, annotation.labels
        if error == "xywh":
            boxes = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)  # right and bottom taken for width and height
        elif error == "flip":
            boxes = boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [100, 0, 100, 0]
        elif error == "class":
            indices = indices + 1
        else:
            boxes = boxes + 4
        results.append(Detections(boxes, annotation.scores, indices))
    assert measured(list(zip(annotations, annotations)))["box_ap"] == pytest.approx(1)
    assert measured(list(zip(results, annotations)))["box_ap"] < 0.5


def test_masks_are_counted_by_the_same_function():
    from pycocotools import mask

    def picture(left: int, **more) -> list[dict]:
        pixels = np.zeros((40, 40), np.uint8)
        pixels[5:25, left : left + 20] = 1
        return [{"label_id": 7, "area": 400, "segmentation": mask.encode(np.asfortranarray(pixels)), **more}]

    assert coco_average_precision([picture(5)], [picture(5, score=0.9)], "segm")["ap"] == pytest.approx(1)
    shifted = coco_average_precision([picture(5)], [picture(9, score=0.9)], "segm")  # 16 of 24 columns: 2 / 3
    assert shifted["ap"] == pytest.approx(0.4) and shifted["per_class"] == {7: pytest.approx(0.4)} and shifted["ap75"] == 0


@pytest.mark.parametrize(
    ("boxes", "index", "score", "message"),
    [
        ([9, 0, 1, 5], 0, 1, "result: expected finite boxes left, top, right, bottom"),
        ([0, 0, 1, 5], 0, np.nan, "finite scores"),
        ([0, 0, 1, 5], 1, 1, "result: expected classes from 0 to 0, found 1"),
    ],
)
def test_what_does_not_fit_is_refused(boxes, index, score, message):
    result = Detections(np.array([boxes], float), np.array([score], float), np.array([index]))
    annotation = Detections(np.array([[0.0, 0, 1, 5]]), np.ones(1), np.zeros(1, int))
    with pytest.raises(ValueError, match=message):
        BoxMetric((Label("a"),)).update(result, annotation)
    with pytest.raises(ValueError, match="more than one 'a'"):
        BoxMetric((Label("a"), Label("a")))
    with pytest.raises(ValueError, match="expected as many results as annotations, found 1 and 0"):
        coco_average_precision([], [[]])
