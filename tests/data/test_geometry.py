"""Labels go where the picture goes."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from axialzoo.data import DataError, Sample
from axialzoo.data.annotations import validate_boxes, validate_segments
from axialzoo.data.augment import ScaleCrop
from axialzoo.data.colour import Colours, draw_colours
from axialzoo.data.elastic import displacement, elastic_deform
from axialzoo.data.geometry import Geometry, whole
from axialzoo.data.mosaic import mosaic
from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Detections, Segmentation

LABELS = (Label("disc"), Label("ground", thing=False))


def discs(seed: int, height: int = 60, width: int = 80, count: int = 4) -> Sample:
    """Bright rectangles on black, one a quarter of the picture, each of a grey of its own, with their segments."""
    rng = np.random.default_rng(seed)
    ids, pixels = np.full((height, width), count + 1, np.int32), np.zeros((height, width), np.uint8)
    for number in range(1, count + 1):
        top, left = rng.integers(0, height // 2 - 20), rng.integers(0, width // 2 - 20)
        top, left = top + height // 2 * ((number - 1) // 2), left + width // 2 * ((number - 1) % 2)
        rows, columns = rng.integers(10, 20, 2)
        ids[top : top + rows, left : left + columns] = number
    left_over = np.unique(ids)
    pixels = np.where(ids == count + 1, 0, 40 + 40 * ids).astype(np.uint8)
    info = [{"id": int(number), "label_id": int(number == count + 1)} for number in left_over]
    return Sample(f"discs {seed}", Image.fromarray(pixels).convert("RGB"), validate_segments(ids, info, LABELS, "discs"))


def as_boxes(sample: Sample) -> Sample:
    assert isinstance(sample.annotation, Segmentation)
    return Sample(sample.name, sample.picture, sample.annotation.to_detections())


POLICY = ScaleCrop(rot90=True, color_jitter=0.0, min_visible=0.0)
CASES = st.tuples(st.integers(0, 10**6), st.sampled_from([(64, 64), (48, 96), (100, 37)]))


def moved(case, **changes) -> tuple[Sample, Geometry, Sample]:
    seed, size = case
    sample = discs(seed % 50)
    geometry = dataclasses.replace(POLICY.draw(60, 80, size, np.random.default_rng(seed)), **changes)
    return sample, geometry, geometry.sample(sample)


def misplaced(boxes: Detections, segments: Segmentation) -> float:
    """Largest distance in pixels between boxes and the boxes of masks of the same objects, in order. Masks without a pixel have none."""
    theirs = {(int(i), *np.round(b, 3)) for i, b in zip(boxes.labels, boxes.boxes)}
    actual = segments.to_detections()
    worst = 0.0
    for box in actual.boxes:
        worst = max(worst, min((np.abs(np.array(other[1:]) - box).max() for other in theirs), default=np.inf))
    return worst


@settings(max_examples=150, deadline=None)
@given(CASES)
def test_boxes_of_moved_masks_are_moved_boxes(case):
    sample, geometry, after = moved(case)
    seen = {item["id"]: box for item, box in zip(after.annotation.segments_info, after.annotation.boxes)}
    for item, box in zip(sample.annotation.segments_info[:-1], as_boxes(sample).annotation.boxes):
        mine = geometry.boxes(validate_boxes([box], [0], LABELS, (80, 60), "one")).boxes
        assert len(mine) <= 1 and (len(mine) or item["id"] not in seen or (seen[item["id"]][2:] - seen[item["id"]][:2]).min() <= 2)
        if len(mine):
            assert np.abs(mine[0] - seen[item["id"]]).max() <= 1


@settings(max_examples=100, deadline=None)
@given(CASES)
def test_maps_go_where_the_picture_goes(case):
    """A picture that is its own map stays one."""
    sample, geometry, after = moved(case)
    picture = Image.fromarray((sample.annotation.segmentation * 20).astype(np.uint8))
    nearest = np.asarray(geometry.picture(picture, (0,), Image.Resampling.NEAREST)) // 20
    assert (nearest != after.annotation.segmentation).mean() < 0.04  # where a centre lies between two pixels Pillow may take the other
    planted = dataclasses.replace(geometry, mirrored=not geometry.mirrored).segments(sample.annotation).segmentation
    assert (planted != after.annotation.segmentation).mean() > 0.04 or (
        after.annotation.segmentation % 5 == 0
    ).mean() > 0.9  # or there is nearly nothing to see


@settings(max_examples=50, deadline=None)
@given(CASES)
def test_areas_are_counted_and_no_segment_is_empty(case):
    _, _, after = moved(case)
    numbers, counts = np.unique(after.annotation.segmentation[after.annotation.segmentation > 0], return_counts=True)
    assert {item["id"]: item["area"] for item in after.annotation.segments_info} == dict(zip(numbers.tolist(), counts.tolist()))
    assert after.picture.size == after.annotation.segmentation.shape[::-1]


@pytest.mark.parametrize(("change", "times"), [({"mirrored": True}, 2), ({"turns": 1}, 4), ({"turns": 2}, 2), ({"turns": 3}, 4)])
def test_mirroring_twice_and_turning_round_change_nothing(change, times):
    sample = discs(3)
    after = sample
    for _ in range(times):
        after = whole(after.picture.height, after.picture.width, **change).sample(after)
    assert np.array_equal(np.asarray(after.picture), np.asarray(sample.picture)) and np.array_equal(
        after.annotation.segmentation, sample.annotation.segmentation
    )
    boxes, start = as_boxes(sample), as_boxes(sample).annotation
    for _ in range(times):
        boxes = whole(boxes.picture.height, boxes.picture.width, **change).sample(boxes)
    assert np.array_equal(boxes.annotation.boxes, start.boxes) and np.array_equal(boxes.annotation.categories, start.categories)
    once = whole(60, 80, **change).sample(sample)
    assert once.picture.size != sample.picture.size or not np.array_equal(np.asarray(once.picture), np.asarray(sample.picture))


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_points_follow_single_pixels(turns, mirrored):
    pixels = np.zeros((5, 7), np.int32)
    pixels[1, 4] = 9
    geometry = whole(5, 7, turns=turns, mirrored=mirrored)
    row, column = np.argwhere(geometry.map(pixels) == 9)[0]
    assert geometry.points(np.array([[4.5, 1.5]])).tolist() == [[column + 0.5, row + 0.5]]
    assert np.array_equal(np.asarray(geometry.picture(Image.fromarray(pixels.astype(np.uint8)), (0,))), geometry.map(pixels))


def exact(geometry_of) -> float:
    """Largest distance of the boxes of a mirrored and enlarged picture from the boxes of its masks."""
    sample = discs(1, count=1)
    geometry = Geometry((0, 0, 80, 60), (120, 160), (120, 160), mirrored=True)
    return float(
        np.abs(geometry_of(geometry, as_boxes(sample).annotation).boxes - geometry.segments(sample.annotation).to_detections().boxes).max()
    )


def test_boxes_and_masks_agree_exactly_where_the_scale_is_whole():
    assert exact(lambda geometry, boxes: geometry.boxes(boxes)) == 0


@pytest.mark.parametrize(
    "planted",
    [
        lambda geometry, boxes: dataclasses.replace(geometry, mirrored=False).boxes(boxes),
        lambda geometry, boxes: geometry.boxes(dataclasses.replace(boxes, boxes=boxes.boxes + 0.5)),
        lambda geometry, boxes: geometry.boxes(  # width and height read as right and bottom's distance from the left and top once more
            dataclasses.replace(boxes, boxes=np.concatenate([boxes.boxes[:, :2], boxes.boxes[:, :2] + boxes.boxes[:, 2:]], 1))
        ),
        lambda geometry, boxes: geometry.boxes(dataclasses.replace(boxes, boxes=boxes.boxes[:, [1, 0, 3, 2]])),
    ],
    ids=["mirrored without its boxes", "half a pixel off", "xywh read as xyxy", "x and y swapped"],
)
def test_a_planted_error_would_be_seen(planted):
    assert exact(planted) >= 0.5


def test_a_class_off_by_one_would_be_seen():
    """A class and what is seen there belong together before and after: the grey of each object says which it is."""
    sample = discs(2)
    geometry = POLICY.draw(60, 80, (64, 64), np.random.default_rng(5))

    def wrong(annotation: Segmentation) -> float:
        after = geometry.sample(dataclasses.replace(sample, annotation=annotation))
        dark = np.asarray(after.picture.convert("L")) < 20
        return float(((after.annotation.class_map == 1) != dark)[after.annotation.segmentation > 0].mean())

    info = [{**item, "label_id": 1 - item["label_id"]} for item in sample.annotation.segments_info]
    assert wrong(sample.annotation) < 0.05 and wrong(dataclasses.replace(sample.annotation, segments_info=info)) > 0.9


def test_objects_of_which_little_is_left_are_dropped_and_crowds_stay():
    boxes = Detections(
        np.array([[0.0, 0, 10, 10], [15, 0, 25, 10], [18, 0, 28, 10]]), np.ones(3), np.array([0, 0, 0]), LABELS, np.zeros(3, bool)
    )
    cut = Geometry((0, 0, 20, 10), (10, 20), (10, 20), visible=0.3)
    assert cut.boxes(boxes).boxes.tolist() == [[0, 0, 10, 10], [15, 0, 20, 10]]
    crowd = dataclasses.replace(boxes, crowd=np.array([False, False, True]))
    assert cut.boxes(crowd).boxes.tolist() == [[0, 0, 10, 10], [15, 0, 20, 10], [18, 0, 20, 10]]
    assert len(cut.boxes(dataclasses.replace(boxes, boxes=boxes.boxes + 30))) == 0


def test_padding_is_void_and_of_the_fill_colour():
    sample = discs(0)
    after = Geometry((0, 0, 80, 60), (30, 40), (64, 64), at=(10, 20)).sample(sample, (1, 2, 3))
    assert after.annotation.segmentation[:10].max() == 0 and after.annotation.class_map[0, 0] == -1
    assert after.picture.getpixel((0, 0)) == (1, 2, 3) and after.picture.size == (64, 64)
    with pytest.raises(ValueError, match="to fit on a canvas"):
        Geometry((0, 0, 80, 60), (30, 40), (64, 64), at=(40, 40))


def test_elastic_displacement_moves_maps_as_pictures():
    sample = discs(4)
    shift = displacement(60, 80, 3.0, np.random.default_rng(0))
    after = elastic_deform(sample, shift)
    assert shift.shape == (60, 80, 2) and 1 < np.abs(shift).max() < 20
    dark = np.asarray(after.picture.convert("L")) < 40
    assert ((after.annotation.class_map == 1) != dark).mean() < 0.03 and (
        sample.annotation.segmentation != after.annotation.segmentation
    ).mean() > 0.01
    assert ((sample.annotation.class_map == 1) != dark).mean() > 0.03  # a map left where it was would be seen
    assert np.array_equal(elastic_deform(sample, np.zeros_like(shift)).annotation.segmentation, sample.annotation.segmentation)
    with pytest.raises(DataError, match="elastic displacement needs segments, found Detections"):
        elastic_deform(as_boxes(sample), shift)


def test_four_pictures_in_one_keep_their_labels():
    samples = [discs(seed) for seed in range(4)]
    actual = mosaic(samples, POLICY, (96, 128), (0, 0, 0), np.random.default_rng(1))
    dark = np.asarray(actual.picture.convert("L")) < 20
    inside = actual.annotation.segmentation > 0
    assert actual.picture.size == (128, 96) and ((actual.annotation.class_map == 1) != dark)[inside].mean() < 0.06
    assert sum(item["label_id"] == 1 for item in actual.annotation.segments_info) == 1  # the grounds are one segment of stuff
    assert sum(item["area"] for item in actual.annotation.segments_info) == inside.sum()
    boxes = mosaic([as_boxes(item) for item in samples], POLICY, (96, 128), (0, 0, 0), np.random.default_rng(1))
    things = actual.annotation.to_detections()
    assert len(boxes.annotation) == len(things) and misplaced(boxes.annotation, actual.annotation) <= 0.5
    with pytest.raises(DataError, match="a mosaic needs boxes or segments"):
        mosaic([Sample("a", samples[0].picture, 1)] * 4, POLICY, (96, 128), (0, 0, 0), np.random.default_rng(1))


def test_colours_change_the_picture_alone():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8))
    assert np.array_equal(np.asarray(Colours().picture(picture)), np.asarray(picture))
    assert np.asarray(Colours(brightness=0.5).picture(picture)).mean() == pytest.approx(np.asarray(picture).mean() / 2, abs=1)
    grey = np.asarray(Colours(saturation=0.0).picture(picture))
    assert (grey == grey[..., :1]).all()
    drawn = [draw_colours(0.2, np.random.default_rng(seed)) for seed in range(50)]
    assert all(0.8 <= item.brightness <= 1.2 and 0.8 <= item.gamma <= 1.25 for item in drawn)
    reddish = np.asarray(Colours(color_cast=(1.0, 0.5, 0.0)).picture(picture), "int64")
    assert np.array_equal(reddish[..., 0], np.asarray(picture)[..., 0]) and (reddish[..., 2] == 0).all()
    assert np.abs(reddish[..., 1] - np.asarray(picture)[..., 1] / 2).max() <= 0.5
    tints = [draw_colours(0.2, np.random.default_rng(seed), 0.3) for seed in range(50)]
    assert [replace(item, color_cast=(1.0, 1.0, 1.0)) for item in tints] == drawn  # a tint is drawn after the rest
    assert all(0.7 <= factor <= 1.3 for item in tints for factor in item.color_cast) and len({item.color_cast[2] for item in tints}) == 50


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scales", (2.0, 0.5)),
        ("scales", (0.0, 1.0)),
        ("hflip", 1),
        ("color_jitter", 2.0),
        ("color_cast", -0.1),
        ("mosaic", -0.1),
        ("min_visible", 1.1),
    ],
)
def test_policies_name_what_they_do_not_take(field, value):
    with pytest.raises(ValueError, match=rf"ScaleCrop\.{field}"):
        ScaleCrop(**{field: value})
