"""Maps that say exactly what is there give the boxes back, and errors that are easy to make are caught."""

from __future__ import annotations

import math

import numpy as np
import pytest

from axialzoo.spec.labels import Label
from axialzoo.tasks.detection import decode as module
from axialzoo.tasks.detection.decode import locations
from axialzoo.tasks.detection.metrics import BoxMetric
from axialzoo.tasks.results import Detections
from tests.tasks.detection.scenes import CLASSES, SIZE, SIZES, STRIDES, located, perfect_outputs, scene
from tests.tasks.detection.scenes import decode_with as decode

SUPPRESSIONS = ("greedy", "gaussian", "linear")


def difference(result: Detections, annotation: Detections) -> float:
    """Pixels between each box and its nearest of the same class, at most; infinite where the numbers differ."""
    if len(result) != len(annotation):
        return math.inf
    apart = np.abs(result.boxes[:, None] - annotation.boxes[None]).max(-1)  # (n, n)
    apart[result.labels[:, None] != annotation.labels[None]] = math.inf
    return max(apart.min(0).max(), apart.min(1).max()) if len(annotation) else 0.0


def seen(seed: int) -> Detections:
    """Boxes that the maps can tell."""
    annotation = scene(seed, apart=0.5)
    some = located(annotation)
    return Detections(annotation.boxes[some], annotation.scores[some], annotation.labels[some])


def random_maps(seed: int) -> dict[str, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    return {
        "classes": [rng.normal(-2, 2, (*size, CLASSES)) for size in SIZES],
        "boxes": [rng.exponential(1.5, (*size, 4)) for size in SIZES],
        "centerness": [rng.normal(0, 2, (*size, 1)) for size in SIZES],
    }


@pytest.mark.parametrize("suppression", ["greedy", "linear"])
def test_targets_as_outputs_give_the_boxes_back(suppression):
    actual = 0
    for seed in range(60):
        annotation = seen(seed)
        options = {"suppression": suppression, "overlap": 0.55, "threshold": 0.01 if suppression == "greedy" else 0.05}
        result = decode(perfect_outputs(annotation), STRIDES, SIZE, **options)
        assert difference(result, annotation) < 1e-3, seed
        actual += len(result)
    assert actual > 150


def test_scores_are_the_root_of_class_times_centerness():
    maps = random_maps(3)
    result = decode(maps, STRIDES, SIZE, threshold=0.0, per_level=10**6, overlap=1.0, max_detections=10**6)
    expected = [
        math.sqrt(1 / (1 + math.exp(-z)) / (1 + math.exp(-float(c))))
        for classes, centerness in zip(maps["classes"], maps["centerness"])
        for row, central in zip(classes.reshape(-1, CLASSES), centerness.ravel())
        for z, c in zip(row, [central] * CLASSES)
    ]
    assert len(result) == len(expected)
    assert np.allclose(result.scores, sorted(expected, reverse=True), rtol=1e-12)


def test_results_are_clipped_limited_and_fall_in_score():
    for suppression in SUPPRESSIONS:
        result = decode(random_maps(1), STRIDES, (90, 150), max_detections=20, suppression=suppression)
        assert len(result) == 20 and (np.diff(result.scores) <= 0).all() and (result.scores >= 0.05).all()
        assert (result.boxes >= 0).all() and (result.boxes <= [150, 90, 150, 90]).all()
        assert (result.boxes[:, :2] < result.boxes[:, 2:]).all()


def test_the_best_of_each_level_go_on():
    options = {"threshold": 0.0, "overlap": 1.0, "max_detections": 10**6}
    full = decode(random_maps(2), STRIDES, SIZE, per_level=10**6, **options)
    few = decode(random_maps(2), STRIDES, SIZE, per_level=5, **options)
    assert len(few) == 15 and few.scores[0] == full.scores[0]


def test_boxes_go_back_to_the_picture_that_was_resized():
    annotation = seen(5)
    result = decode(perfect_outputs(annotation), STRIDES, (48, 80), to_picture=lambda boxes: boxes / 2)
    assert len(annotation) and difference(result, Detections(annotation.boxes / 2, annotation.scores, annotation.labels)) < 1e-3


def test_extreme_logits_are_certain_and_raise_no_warning():
    maps = {"classes": [np.array([[[1e4, -1e4]]])], "boxes": [np.ones((1, 1, 4))], "centerness": [np.array([[[1e4]]])]}
    result = decode(maps, [8], (8, 8))
    assert result.scores.tolist() == [1.0] and result.labels.tolist() == [0]


def test_nothing_above_the_threshold_is_no_box():
    maps = {"classes": [np.full((2, 2, 3), -50.0)], "boxes": [np.ones((2, 2, 4))], "centerness": [np.zeros((2, 2, 1))]}
    for suppression in SUPPRESSIONS:
        result = decode(maps, [8], (16, 16), suppression=suppression)
        assert len(result) == 0 and result.boxes.shape == (0, 4) and result.to_json() == {"boxes": []}


# planted errors


def test_planted_half_pixel_of_stride_offset_is_caught(monkeypatch):
    right = locations
    monkeypatch.setattr(module, "locations", lambda height, width, stride: right(height, width, stride) - stride / 2)
    annotation = seen(5)
    assert difference(decode(perfect_outputs(annotation), STRIDES, SIZE), annotation) > 3


def test_planted_reading_of_xywh_as_xyxy_is_caught():
    annotation = seen(5)
    xywh = np.concatenate([annotation.boxes[:, :2], annotation.boxes[:, 2:] - annotation.boxes[:, :2]], 1)
    with pytest.raises(ValueError, match="left <= right"):
        perfect_outputs(Detections(xywh, annotation.scores, annotation.labels))
    lucky = (xywh[:, 2:] >= xywh[:, :2]).all(1)  # those that still look like boxes
    assert (
        lucky.any()
        and difference(
            decode(perfect_outputs(Detections(xywh[lucky], np.ones(lucky.sum()), annotation.labels[lucky])), STRIDES, SIZE), annotation
        )
        > 3
    )


def test_planted_flip_without_moving_the_boxes_is_caught():
    annotation = seen(5)
    flipped = {
        name: [item[:, ::-1] for item in maps] for name, maps in perfect_outputs(annotation).items()
    }  # left and right stay as they were
    mirrored = Detections(
        annotation.boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [SIZE[1], 0, SIZE[1], 0], annotation.scores, annotation.labels
    )
    moved = {**flipped, "boxes": [item[..., [2, 1, 0, 3]] for item in flipped["boxes"]]}
    assert difference(decode(moved, STRIDES, SIZE), mirrored) < 1e-3
    assert difference(decode(moved, STRIDES, SIZE), annotation) > 3
    assert difference(decode(flipped, STRIDES, SIZE), mirrored) > 3


def test_planted_class_off_by_one_is_caught():
    annotation, metric = seen(5), BoxMetric()
    shifted = perfect_outputs(annotation)
    shifted["classes"] = [np.roll(item, 1, -1) for item in shifted["classes"]]
    result = decode(shifted, STRIDES, SIZE)
    assert difference(result, annotation) > 3
    metric.update(result, annotation)
    assert metric.compute()["box_ap"] < 0.5


def test_planted_score_without_centerness_is_caught(monkeypatch):
    right = module.sigmoid
    monkeypatch.setattr(module, "sigmoid", lambda x: np.ones_like(x) if x.shape[-1] == 1 else right(x))
    with pytest.raises(AssertionError):
        test_scores_are_the_root_of_class_times_centerness()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": []}, "expected classes, boxes, centerness, found"),
        ({"boxes": [np.ones((2, 2, 4))] * 2}, "a map for each of the 1 strides"),
        ({"boxes": [np.ones((4, 2, 2))]}, "outputs at stride 8: expected classes, boxes, centerness \\(height, width, channels\\)"),
        ({"classes": [np.ones((2, 2, 2))]}, "outputs at stride 8"),
        ({"classes": [np.full((2, 2, 1), np.nan)]}, "outputs\\['classes'\\] at stride 8: expected finite"),
        ({"boxes": [np.full((2, 2, 4), -0.5)]}, "distances of 0 or more, found -0.5"),
    ],
)
def test_maps_that_do_not_fit_are_refused(change, message):
    maps = {"classes": [np.ones((2, 2, 1))], "boxes": [np.ones((2, 2, 4))], "centerness": [np.ones((2, 2, 1))]}
    with pytest.raises(ValueError, match=message):
        decode({**maps, **change}, [8], (16, 16), labels=(Label("a"),))


def test_an_unknown_suppression_is_refused():
    with pytest.raises(ValueError, match=r"expected one of \['greedy', 'gaussian', 'linear'\], found 'hard'"):
        decode(random_maps(0), STRIDES, SIZE, suppression="hard")
