"""PQ, mIoU and AP are what their definitions say; void and crowds count where they should."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Segmentation
from axialzoo.tasks.segmentation import PanopticQuality, SegmentationMetric
from axialzoo.tasks.segmentation.overlap import MeanOverlap
from axialzoo.tasks.segmentation.precision import AveragePrecision
from axialzoo.tasks.segmentation.quality import compare
from tests.tasks.segmentation import plain
from tests.tasks.segmentation.plain import LABELS, discs, pictures


def moved(segments: Segmentation, rows: int = 3) -> Segmentation:
    return Segmentation(np.roll(segments.segmentation, rows, 0), segments.segments_info, segments.categories)


@settings(deadline=None, max_examples=150)
@given(pictures(crowds=False), pictures())
def test_panoptic_quality_is_that_of_the_plain_version(result, annotation):
    for actual, expected in zip(compare(result, annotation, 4), plain.panoptic_quality(result, annotation, 4)):
        assert np.allclose(actual, expected, atol=1e-12)


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(pictures(), pictures()), min_size=1, max_size=3))
def test_mean_overlap_is_that_of_the_plain_version(pairs):
    metric = MeanOverlap(LABELS)
    for result, annotation in pairs:
        metric.update(result, annotation)
    if "miou" in metric.compute():
        assert metric.compute()["miou"] == pytest.approx(plain.mean_overlap(pairs, 4))
    else:
        assert all((annotation.class_map < 0).all() for _, annotation in pairs)


def test_what_is_found_in_void_is_no_error():
    annotation, result = (
        discs(),
        Segmentation(
            np.where(discs().segmentation == 0, 9, discs().segmentation), [*discs().segments_info, {"id": 9, "label_id": 3}], LABELS
        ),
    )
    assert compare(result, annotation, 4)[2].tolist() == [0, 0, 0, 0]
    counted = Segmentation(
        np.where(annotation.segmentation == 0, 9, annotation.segmentation), [*annotation.segments_info, {"id": 9, "label_id": 0}], LABELS
    )
    assert compare(result, counted, 4)[2].tolist() == [0, 0, 0, 1]  # the planted error: void is a class
    metric, wrong = MeanOverlap(LABELS), MeanOverlap(LABELS)
    metric.update(result, annotation)
    wrong.update(result, counted)
    assert metric.compute()["miou"] == 1 > wrong.compute()["miou"]


def test_crowds_are_neither_missed_nor_wrongly_found():
    annotation, plain_truth = discs(crowd=True), discs()
    without = Segmentation(
        np.where(annotation.segmentation == 5, 0, annotation.segmentation),
        [item for item in discs().segments_info if item["id"] != 5],
        LABELS,
    )
    assert compare(without, annotation, 4)[3].tolist() == [0, 0, 0, 0]
    half = np.where((annotation.segmentation == 5) & (np.arange(96) % 4 == 0), 50, without.segmentation)
    parts = Segmentation(half, [*without.segments_info, {"id": 50, "label_id": 1}], LABELS)
    assert compare(parts, annotation, 4)[2].tolist() == [0, 0, 0, 0]
    assert compare(without, plain_truth, 4)[3].tolist() == [0, 1, 0, 0]  # the planted error: the crowd is an object
    assert compare(parts, plain_truth, 4)[2].tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("instances", [True, False])
def test_a_faultless_result_scores_one(instances):
    metric = SegmentationMetric(LABELS, instances=instances, average_precision=False)
    metric.update(discs(), discs())
    actual = metric.compute()
    per_class = actual.pop("per_class")
    assert set(actual) == {"miou"} | ({f"{a}{b}" for a in ("pq", "sq", "rq") for b in ("", "_things", "_stuff")} if instances else set())
    assert set(actual.values()) == {1.0}
    assert set(per_class) == {label.name for label in LABELS} and per_class["nucleus"]["iou"] == 1
    assert not instances or per_class["nucleus"]["tp"] == 3


def test_what_cannot_be_measured_is_left_out_and_never_nan():
    empty = Segmentation(np.zeros((8, 8), np.int32), [], LABELS)
    metric = SegmentationMetric(LABELS, average_precision=False)
    assert metric.compute() == {"per_class": {}}
    metric.update(empty, empty)
    assert metric.compute() == {"per_class": {}}
    stuff = Segmentation(np.ones((8, 8), np.int32), [{"id": 1, "label_id": 0}], LABELS)
    metric.update(empty, stuff)
    actual = metric.compute()
    assert actual["pq"] == actual["sq"] == actual["miou"] == 0 and "pq_things" not in actual
    json.dumps(actual, allow_nan=False)


def test_pictures_come_one_by_one():
    together, half = PanopticQuality(LABELS), PanopticQuality(LABELS)
    for result, annotation in [(discs(), discs()), (moved(discs()), discs(crowd=True))]:
        together.update(result, annotation)
        half.update(result, annotation)
        half.compute()
    assert together.compute() == half.compute()
    assert 0 < together.compute()["pq_things"] < 1


def test_what_does_not_fit_is_refused():
    metric = SegmentationMetric(LABELS, average_precision=False)
    small = Segmentation(discs().segmentation[1:], discs().segments_info, LABELS)
    with pytest.raises(ValueError, match="as large as the ground truth's"):
        metric.update(small, discs())
    with pytest.raises(ValueError, match="label_id: expected classes from 0 to 3"):
        metric.update(Segmentation(np.ones((4, 4), np.int32), [{"id": 1, "label_id": 4}]), Segmentation(np.zeros((4, 4), np.int32), []))
    with pytest.raises(ValueError, match="'nucleus'"):
        SegmentationMetric((Label("nucleus"), Label("nucleus")))
    with pytest.raises(ValueError, match="each once"):
        metric.update(Segmentation(np.ones((4, 4), np.int32), [{"id": 1, "label_id": 1}] * 2), Segmentation(np.zeros((4, 4), np.int32), []))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools' decode
@settings(deadline=None, max_examples=80)
@given(pictures())
def test_masks_of_average_precision_are_those_of_the_map(segments):
    from pycocotools import mask

    rows = AveragePrecision(LABELS)._rows(segments)
    things = [item for item in segments.segments_info if LABELS[item["label_id"]].thing and (segments.segmentation == item["id"]).any()]
    assert len(rows) == len(things)
    for row, item in zip(rows, things):
        assert np.array_equal(mask.decode(row["segmentation"]), segments.segmentation == item["id"]) and row["label_id"] == item["label_id"]
