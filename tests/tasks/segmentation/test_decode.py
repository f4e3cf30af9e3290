"""Maps become segments as the plain version says, within bounds of memory, and what does not fit is refused."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from axialzoo.spec.labels import Label
from axialzoo.tasks.segmentation.centers import connected_component, find_centers
from axialzoo.tasks.segmentation.grouping import nearest_center
from tests.tasks.segmentation import plain
from tests.tasks.segmentation.plain import LABELS, THINGS, discs, perfect_maps, same_segments
from tests.tasks.segmentation.plain import decode_with as decode

HEATS = arrays.arrays(np.float32, (7, 9), elements=st.sampled_from([-0.5, 0.0, 0.1, 0.25, 0.5, 0.75, 1.0]))


@settings(deadline=None, max_examples=60)
@given(HEATS, st.sampled_from([-1.0, 0.0, 0.1, 0.4]), st.integers(1, 8))
def test_centers_are_the_peaks(heat, threshold, kernel):
    where, heights = find_centers(heat, threshold, kernel, every_tie=True)
    assert [tuple(item) for item in where] == plain.centers(heat, threshold, kernel)
    assert heights.tolist() == [heat[y, x] for y, x in where]
    few, best = find_centers(heat[..., None], threshold, kernel, 3, every_tie=True)
    assert sorted(best, reverse=True) == sorted(heights, reverse=True)[:3]
    assert len(few) == min(3, len(where))


@settings(deadline=None, max_examples=100)
@given(arrays.arrays(bool, (9, 8)))
def test_touching_pixels_are_those_a_flood_reaches(mask):
    where = np.argwhere(mask)
    expected, left = {}, [tuple(item) for item in where.tolist()]
    for number, pixel in enumerate(list(left)):
        flood = [pixel] if pixel not in expected else []
        while flood:
            y, x = flood.pop()
            if (y, x) in left and (y, x) not in expected:
                expected[y, x] = number
                flood += [(y + down, x + right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    assert connected_component(where, mask.shape).tolist() == [expected[item] for item in left]


def test_an_object_with_a_flat_top_is_not_cut():
    annotation, maps = discs(), perfect_maps(discs())
    maps["center"] = np.minimum(maps["center"], 0.9)  # as with few digits: the highest pixels are equally high
    assert same_segments(decode(**maps, labels=LABELS), annotation, annotation.segmentation > 0)
    noisy = maps["offset"] + np.random.default_rng(0).normal(0, 1, maps["offset"].shape).astype(np.float32)
    assert same_segments(decode(maps["semantic"], maps["center"], noisy, labels=LABELS), annotation, annotation.segmentation > 0)
    assert not same_segments(
        decode(maps["semantic"], maps["center"], noisy, labels=LABELS, every_tie=True), annotation, annotation.segmentation > 0
    )


def test_two_objects_of_one_height_stay_two():
    heat = np.zeros((9, 9), np.float32)
    heat[4, 2] = heat[4, 5] = 1
    assert find_centers(heat, 0.1, 13)[0].tolist() == [[4, 2], [4, 5]]
    heat[4, 2:6] = 1
    assert find_centers(heat, 0.1, 13)[0].tolist() == [[4, 4]]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.sampled_from([(70, 300), (5, 9), (65, 257)]), st.sampled_from([0.0, 3.0, 100.0]))
def test_each_pixel_goes_to_the_nearest_center(seed, count, size, spread):
    rng = np.random.default_rng(seed)
    middles = rng.integers(0, size, (count, 2))
    offset = (rng.standard_normal((*size, 2)) * spread).round(1).astype(np.float32)
    where = np.zeros(size, bool)
    where[rng.integers(0, size[0], 200), rng.integers(0, size[1], 200)] = True
    actual = nearest_center(offset, middles, where)
    expected = plain.nearest(offset.astype(np.float64), middles, where)
    distance = [((np.argwhere(where) + offset[where] - middles[part[where] - 1]) ** 2).sum(1) for part in (actual, expected)]
    assert np.allclose(*distance, rtol=1e-5, atol=1e-3) and not actual[~where].any()


@pytest.mark.parametrize("merge", ["native", "tensorflow"])
def test_perfect_maps_give_the_truth(merge):
    annotation = discs()
    actual = decode(**perfect_maps(annotation), labels=LABELS, merge=merge)
    assert same_segments(actual, annotation, annotation.segmentation > 0)
    assert [item["id"] for item in actual.segments_info] == list(range(1, len(actual) + 1))
    assert [item["area"] for item in actual.segments_info] == [
        int((actual.segmentation == item["id"]).sum()) for item in actual.segments_info
    ]
    scores = [item["score"] for item in actual.segments_info]
    assert scores == sorted(scores, reverse=True)


def test_planted_offsets_as_columns_and_rows_are_caught():
    annotation, maps = discs(), perfect_maps(discs())
    swapped = decode(**{**maps, "offset": maps["offset"][..., ::-1]}, labels=LABELS)
    assert not same_segments(swapped, annotation, annotation.segmentation > 0)


def test_scores_are_probability_times_height():
    annotation, maps = discs(), perfect_maps(discs(), logit=2.0)
    maps["center"] = maps["center"] * np.float32(0.5)
    actual = decode(**maps, labels=LABELS)
    probability = np.exp(2) / (np.exp(2) + 3)
    for item in actual.segments_info:
        inside = (actual.segmentation == item["id"]) & (
            annotation.segmentation > 0
        )  # what is void is called sky or road with a probability of 1/4
        mean = np.where(inside, probability, 0.25)[actual.segmentation == item["id"]].mean()
        assert item["score"] == pytest.approx(mean * (0.5 if LABELS[item["label_id"]].thing else 1), rel=1e-5)
    again = decode(
        np.exp(maps["semantic"]) / np.exp(maps["semantic"]).sum(-1, keepdims=True),
        maps["center"],
        maps["offset"],
        labels=LABELS,
        activation=None,
    )
    assert [item["score"] for item in again.segments_info] == pytest.approx([item["score"] for item in actual.segments_info], rel=1e-5)
    classes = maps["semantic"].argmax(-1)
    known = decode(classes, maps["center"], maps["offset"], labels=LABELS, probability=np.full(classes.shape, 0.5, np.float32))
    assert {item["score"] for item in known.segments_info} == {0.25, 0.5}


def test_an_object_scores_as_its_pixels_agree():
    annotation, maps = discs(), perfect_maps(discs())
    maps["offset"] = maps["offset"] + np.random.default_rng(0).normal(0, 2, maps["offset"].shape).astype(np.float32)
    before, after = (decode(**maps, labels=LABELS, agreement=weight) for weight in (0.0, 3.0))
    scores = {after.segmentation[before.segmentation == item["id"]][0]: item["score"] for item in before.segments_info}
    rows, columns = np.mgrid[: annotation.segmentation.shape[0], : annotation.segmentation.shape[1]]
    for item in after.segments_info:
        inside, agreed = after.segmentation == item["id"], 1.0
        if LABELS[item["label_id"]].thing:
            at = np.stack([rows[inside], columns[inside]], 1) + maps["offset"][inside]  # (pixels, 2)
            squares = ((at - at.mean(0)) ** 2).sum(1)
            agreed = np.exp(-3.0 * squares * np.pi / inside.sum()).mean()
            assert agreed < 0.95
        assert item["score"] == pytest.approx(scores[item["id"]] * agreed, rel=1e-4)


def test_two_objects_found_as_one_score_less_where_pixels_must_agree():
    maps = perfect_maps(discs())
    heat, scores = np.zeros_like(maps["center"]), []
    (first, second), alone = np.argwhere(maps["center"] == 1)[:2], maps["center"].max()
    heat[tuple((first + second) // 2)] = alone  # one center between two objects, whose offsets lead to their own
    for weight in (0.0, 4.0):
        actual = decode(maps["semantic"], heat, maps["offset"], labels=LABELS, agreement=weight)
        scores.append(next(item["score"] for item in actual.segments_info if LABELS[item["label_id"]].thing))
    assert scores[1] < 0.5 * scores[0]


def test_an_object_has_the_class_of_most_of_its_pixels():
    maps = perfect_maps(discs())
    inside = discs().segmentation == 4
    rows = np.flatnonzero(inside.any(1))
    maps["semantic"][rows[0] : rows[0] + 5][inside[rows[0] : rows[0] + 5]] = [0, 0, 0, 9]  # a part of a nucleus looks like a cell
    actual = decode(**maps, labels=LABELS)
    assert same_segments(actual, discs(), discs().segmentation > 0)
    assert (actual.class_map[inside] == 3).any()  # the classes of pixels are as they were


def test_semantic_maps_alone_give_one_segment_a_class():
    actual = decode(perfect_maps(discs())["semantic"], labels=LABELS)
    assert sorted(item["label_id"] for item in actual.segments_info) == [0, 1, 2, 3]
    assert np.array_equal(actual.class_map, perfect_maps(discs())["semantic"].argmax(-1))


def test_small_segments_and_the_void_class_are_of_no_segment():
    maps, areas = perfect_maps(discs()), {item["id"]: item["area"] for item in discs().segments_info}
    actual = decode(**maps, labels=LABELS, instance_area=areas[3] + 1)
    assert (
        not actual.segmentation[(discs().segmentation == 3) | (discs().segmentation == 5)].any()
        and actual.segmentation[discs().segmentation == 4].all()
    )
    assert len(decode(**maps, labels=LABELS, instance_area=areas[3])) == len(actual) + 1
    assert not decode(**maps, labels=LABELS, void=2).segmentation[discs().segmentation == 7].any()
    assert decode(**maps, labels=LABELS, void=2).class_map.min() == -1
    road = int((maps["semantic"].argmax(-1) == 2).sum())
    assert [len(decode(**maps, labels=LABELS, stuff_area=road, merge=merge)) for merge in ("tensorflow", "native")] == [6, 5]


def test_things_without_any_center_are_one_object_or_void():
    maps = perfect_maps(discs())
    maps["center"] = np.zeros_like(maps["center"])
    native, tensorflow = (decode(**maps, labels=LABELS, merge=merge) for merge in ("native", "tensorflow"))
    things = np.isin(maps["semantic"].argmax(-1), THINGS)
    assert (
        len(np.unique(native.segmentation[things])) == 1 and native.segmentation[things].all() and not tensorflow.segmentation[things].any()
    )
    assert [item["score"] for item in native.segments_info if LABELS[item["label_id"]].thing] == [0]


def large(height: int = 513, width: int = 1025, count: int = 100):
    rng = np.random.default_rng(0)
    middles = np.stack([rng.integers(0, height, count), rng.integers(0, width, count)], 1)
    heat = np.zeros((height, width), np.float32)
    heat[tuple(middles.T)] = 0.9
    at = middles[rng.integers(0, count, height * width)].reshape(height, width, 2)
    offset = (at - np.stack(np.mgrid[:height, :width], -1)).astype(np.float32)
    return rng.integers(0, 4, (height, width)).astype(np.int32), heat, offset


def test_memory_stays_under_ten_maps_of_labels():
    semantic, heat, offset = large()
    tracemalloc.start()
    actual = decode(semantic, heat, offset, things=(1, 2, 3))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(actual) > 80
    assert peak < 10 * actual.segmentation.nbytes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offset": None}, "both or neither"),
        ({"offset": np.zeros((3, 4, 2), np.float32)}, "offset: expected shape"),
        ({"center": np.zeros((64, 95), np.float32)}, "center: expected"),
        ({"center": np.full((64, 96), np.nan, np.float32)}, "center: expected finite"),
        ({"offset": np.full((64, 96, 2), np.inf, np.float32)}, "offset: expected finite"),
        ({"labels": LABELS[:3]}, "labels: expected 4"),
        ({"labels": ()}, "things: expected"),
        ({"things": (1, 4)}, "things: expected classes from 0 to 3, found \\[4\\]"),
        ({"merge": "cuda"}, "merge: expected"),
        ({"top_k": 0}, "top_k: expected"),
        ({"activation": "sigmoid"}, "activation: expected"),
        ({"semantic": np.zeros((64, 96))}, "semantic: expected"),
        ({"semantic": np.full((64, 96, 4), np.nan, np.float32)}, "semantic: expected finite"),
        ({"semantic": np.full((64, 96, 4), np.inf, np.float32)}, "semantic: expected finite"),
        ({"semantic": np.full((64, 96), 4)}, "expected classes from -1"),
        ({"probability": np.zeros((64, 96))}, "probability: expected only"),
        ({"semantic": np.zeros((64, 96), int), "probability": np.zeros((6, 9))}, "probability: expected shape"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        decode(**{**perfect_maps(discs()), "labels": LABELS, "top_k": 3, **change})


def test_labels_say_what_things_are():
    maps, other = perfect_maps(discs()), tuple(Label(label.name, thing=not label.thing) for label in LABELS)
    assert same_segments(decode(**maps, labels=LABELS), decode(**maps, things=THINGS))
    assert not same_segments(decode(**maps, labels=other), decode(**maps, things=THINGS))
