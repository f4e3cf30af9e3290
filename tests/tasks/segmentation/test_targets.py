"""Targets are what deeplab2 makes of a ground truth, written down once more; decoded they give the ground truth back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axialzoo.tasks.results import Segmentation
from axialzoo.tasks.segmentation import targets
from tests.tasks.segmentation.plain import LABELS, THINGS, discs, pictures, same_segments
from tests.tasks.segmentation.plain import decode_with as decode


def slow(annotation: Segmentation, sigma: float, small_area: int, small_weight: float) -> dict[str, np.ndarray]:
    """Object by object and pixel by pixel, at the picture's size."""
    height, width = annotation.segmentation.shape
    expected = {name: np.zeros(annotation.segmentation.shape) for name in ("center", "offset_weight")}
    expected["semantic"], expected["offset"] = np.full(annotation.segmentation.shape, -1), np.zeros((height, width, 2))
    expected["semantic_weight"], expected["center_weight"] = (
        np.ones(annotation.segmentation.shape),
        (annotation.segmentation > 0).astype(float),
    )
    reach = int(3 * sigma + 1)
    for item in annotation.segments_info:
        inside = annotation.segmentation == item["id"]
        expected["semantic"][inside] = item["label_id"]
        if item["label_id"] not in THINGS or not inside.any():
            continue
        if item.get("iscrowd"):
            expected["center_weight"][inside] = 0
            continue
        ys, xs = np.nonzero(inside)
        row, column = round(ys.mean()), round(xs.mean())
        for y, x in zip(ys, xs):
            expected["offset"][y, x] = row - y, column - x
        expected["offset_weight"][inside] = 1
        if inside.sum() < small_area:
            expected["semantic_weight"][inside] = small_weight
        for y in range(max(row - reach, 0), min(row + reach + 1, height)):
            for x in range(max(column - reach, 0), min(column + reach + 1, width)):
                expected["center"][y, x] = max(expected["center"][y, x], np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2)))
    return expected


def assert_same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray], stride: int = 1) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        expected = value[::stride, ::stride] / (stride if name == "offset" else 1)
        assert found[name].dtype == (np.int32 if name == "semantic" else np.float32)
        assert np.allclose(found[name], expected, rtol=0, atol=1e-6), name


@settings(deadline=None, max_examples=50)
@given(pictures(), st.sampled_from([1.0, 2.0]), st.sampled_from([1, 2, 4]))
def test_targets_are_those_of_the_plain_version(annotation, sigma, stride):
    assert_same(targets(annotation, sigma=sigma, small_area=6, stride=stride), slow(annotation, sigma, 6, 3.0), stride)


def test_targets_of_usual_objects():
    annotation = discs(crowd=True)
    actual = targets(annotation, stride=4)
    assert_same(actual, slow(annotation, 8.0, 4096, 3.0), 4)
    assert actual["semantic"].shape == (16, 24) and actual["offset"].shape == (16, 24, 2)


def test_a_heat_map_ends_at_a_square():
    actual = targets(Segmentation(np.pad([[1]], 40).astype(np.int32), [{"id": 1, "label_id": 1}], LABELS))["center"]
    ys, xs = np.nonzero(actual)
    assert (ys.min(), ys.max(), xs.min(), xs.max()) == (15, 65, 15, 65)  # 6 * 8 + 3 = 51 pixels wide
    assert actual[40, 40] == 1 and actual[40, 48] == pytest.approx(np.exp(-0.5))


def test_crowds_count_in_the_semantic_map_alone():
    actual, crowd = targets(discs(crowd=True)), discs().segmentation == 5
    assert (actual["semantic"][crowd] == 1).all() and (actual["semantic_weight"][crowd] == 1).all()
    assert not actual["center_weight"][crowd].any() and not actual["offset_weight"][crowd].any() and not actual["offset"][crowd].any()
    counted = targets(discs())  # the planted error: the crowd is taken for an object
    assert counted["center_weight"][crowd].all() and counted["center"][crowd].max() == 1 > actual["center"][crowd].max()


def test_void_counts_nowhere():
    actual, void = targets(discs(), ignore=255), discs().segmentation == 0
    assert (actual["semantic"][void] == 255).all() and not actual["center_weight"][void].any() and not actual["offset_weight"][void].any()


@pytest.mark.parametrize("stride", [1, 4])
def test_decoded_targets_are_the_truth(stride):
    annotation, actual = discs(), targets(discs(), stride=stride)
    back = decode(np.maximum(actual["semantic"], 0), actual["center"], actual["offset"], labels=LABELS, nms_kernel=3)
    small = Segmentation(annotation.segmentation[::stride, ::stride], annotation.segments_info, LABELS)
    assert same_segments(back, small, small.segmentation > 0)


def test_offsets_left_in_the_pictures_pixels_are_caught():
    actual = targets(discs(), stride=4)
    wrong = decode(np.maximum(actual["semantic"], 0), actual["center"], actual["offset"] * 4, labels=LABELS, nms_kernel=3)
    small = Segmentation(discs().segmentation[::4, ::4], discs().segments_info, LABELS)
    assert not same_segments(wrong, small, small.segmentation > 0)


def test_semantic_targets_alone():
    actual = targets(discs(), instances=False, stride=2)
    assert set(actual) == {"semantic", "semantic_weight"}
    assert np.array_equal(actual["semantic"], targets(discs(), stride=2)["semantic"])


def test_what_does_not_fit_is_refused():
    nameless = Segmentation(discs().segmentation, discs().segments_info)
    with pytest.raises(ValueError, match="things: expected"):
        targets(nameless)
    assert targets(nameless, things=THINGS)["offset_weight"].any()
    with pytest.raises(ValueError, match="stride of at least 1"):
        targets(discs(), stride=0)
    with pytest.raises(ValueError, match="found \\[1000\\] too"):
        targets(Segmentation(discs().segmentation, discs().segments_info[1:], LABELS))
