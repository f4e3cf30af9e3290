"""F1 and IoU per picture and pooled: by hand, beside the Medical Transformer's scripts, and the mistakes that are easy to make."""

from __future__ import annotations

import numpy as np
import pytest

from axialzoo.spec import Label
from axialzoo.tasks.results import Segmentation
from axialzoo.tasks.semantic_segmentation import MaskMetric
from tests.golden.medt import described, golden

LABELS = (Label("background", False), Label("gland"))


def segments(classes) -> Segmentation:
    """A map of classes, -1 for none."""
    classes = np.asarray(classes, np.int32)
    info = [{"id": int(c) + 1, "label_id": int(c), "score": 1.0, "area": int((classes == c).sum())} for c in np.unique(classes) if c >= 0]
    return Segmentation(classes + 1, info, LABELS)


def measured(*pairs, labels=LABELS) -> dict:
    metric = MaskMetric(labels)
    for prediction, target in pairs:
        metric.update(segments(prediction), segments(target))
    return metric.compute()


SMALL = ([[1, 0], [0, 0]], [[1, 1], [0, 0]])  # prediction, target: tp 1, fp 0, fn 1
LARGE = (np.ones((4, 4)), np.ones((4, 4)))  # tp 16
EMPTY = (np.zeros((4, 4)), np.zeros((4, 4)))
MISSED = (np.zeros((2, 2)), [[1, 1], [1, 1]])
INVENTED = ([[1, 0], [0, 0]], np.zeros((2, 2)))


def test_per_picture_means_weigh_pictures_and_pooled_ones_pixels():
    metrics = measured(SMALL, LARGE)
    assert metrics["f1"] == pytest.approx((2 / 3 + 1) / 2) and metrics["f1_pooled"] == pytest.approx(34 / 35)
    assert metrics["iou"] == pytest.approx((1 / 2 + 1) / 2) and metrics["iou_pooled"] == pytest.approx(17 / 18)


def test_pooled_for_per_picture_is_caught():
    metrics = measured(SMALL, LARGE)
    assert abs(metrics["f1"] - metrics["f1_pooled"]) > 0.1 and abs(metrics["iou"] - metrics["iou_pooled"]) > 0.1


def test_a_network_that_predicts_nothing_scores_0_where_there_is_something_and_1_by_the_authors_scripts():
    metrics = measured(MISSED)
    assert metrics["f1"] == metrics["iou"] == metrics["f1_pooled"] == metrics["iou_pooled"] == 0.0
    assert metrics["f1_medt"] == metrics["iou_medt"] == 1.0


def test_a_picture_with_nothing_in_it_scores_1_if_nothing_is_predicted_and_0_if_something_is():
    assert measured(EMPTY)["f1"] == 1.0 and measured(EMPTY)["f1_pooled"] is None
    assert measured(INVENTED)["f1"] == 0.0 and measured(INVENTED)["f1_medt"] == 1.0


def test_figures_are_of_the_second_of_two_classes_and_the_mean_of_more():
    assert measured(SMALL)["per_class"]["background"]["f1"] == pytest.approx(4 / 5)
    labels = (*LABELS, Label("wall", False))
    metrics = measured(([[0, 1, 2]], [[0, 1, 1]]), labels=labels)
    assert metrics["iou"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert metrics["miou"] == pytest.approx((1 + 1 / 2 + 0) / 3)


def test_pixels_of_no_class_do_not_count():
    assert measured(([[1, 1, 0]], [[1, -1, 0]]))["f1"] == 1.0


def test_without_a_picture_there_is_nothing_to_say():
    assert MaskMetric(LABELS).compute() == {
        **dict.fromkeys(("f1", "iou", "f1_pooled", "iou_pooled", "f1_medt", "iou_medt", "miou")),
        "per_class": {},
    }


@pytest.mark.parametrize("case", ["overlap", "nothing_predicted", "greys"])
def test_the_authors_matlab_scripts_are_reproduced(case):
    """`performancemetrics_ax.m` and `_glas.m`: greys to classes, labels of 130 and 131 of neither."""
    prediction, label = golden()[f"metrics/{case}/prediction"], golden()[f"metrics/{case}/label"]
    target = np.where(label > 131, 1, np.where((label == 130) | (label == 131), -1, 0))
    for script, above in (("ax", 131), ("glas", 130)):
        metrics, expected = measured((prediction > above, target)), described()["metrics"][case][script]
        assert metrics["f1_medt"] == pytest.approx(expected["F1"]) and metrics["iou_medt"] == pytest.approx(expected["IoU"])


def test_the_authors_mean_over_pictures_is_reproduced():
    pairs = []
    for case in ("overlap", "nothing_predicted", "greys"):
        prediction, label = golden()[f"metrics/{case}/prediction"], golden()[f"metrics/{case}/label"]
        pairs.append((prediction > 130, np.where(label > 131, 1, np.where((label == 130) | (label == 131), -1, 0))))
    expected = described()["metrics_mean"]["glas"]
    assert measured(*pairs)["f1_medt"] == pytest.approx(expected["F1"]) and measured(*pairs)["iou_medt"] == pytest.approx(expected["IoU"])
    assert abs(measured(*pairs)["f1"] - expected["F1"]) > 0.1  # the empty prediction that scores 1
