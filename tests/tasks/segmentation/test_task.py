"""Segmentation as a task: from a head's maps to segments of the picture, and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from axialzoo.image import resize_transform
from axialzoo.spec import Label, Model, Preprocessing, get_entry
from axialzoo.tasks import Segmentation, batch_targets, task_of
from axialzoo.tasks.segmentation.grow import upsample_maps


def at_stride_2(spec: Model) -> Model:
    """The model with maps of every other pixel: a head less its finest skip."""
    head = spec.head
    decoder = replace(head.semantic, skips=head.semantic.skips[:-1])
    instances, config = replace(head.instances, decoder=decoder), replace(head.postprocess, nms_kernel=5)
    targets = replace(head.targets, sigma=4.0)
    return replace(spec, head=replace(head, semantic=decoder, instances=instances, targets=targets, postprocess=config))


SPEC = at_stride_2(get_entry("axial_deeplab_nuclei_xs").spec)
TASK = task_of(SPEC.head)
LABELS = (Label("background", False), Label("nucleus"))
SIDE = 64


def annotation() -> Segmentation:
    """A long bar, and two discs that touch its ends: their centers are nearer to the ends than the bar's own."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    ids = np.ones((SIDE, SIDE), np.int32)
    ids[20:30, 4:61] = 2
    for number, (row, column, radius) in enumerate([(38, 9, 9), (38, 54, 9)], 3):
        ids[((rows - row) ** 2 + (columns - column) ** 2 < radius**2) & (ids == 1)] = number
    info = [{"id": item, "label_id": int(item > 1), "score": 1.0, "area": int((ids == item).sum())} for item in range(1, 5)]
    return Segmentation(ids, info, LABELS)


def perfect(said: Segmentation) -> dict[str, np.ndarray]:
    """Outputs of a network without error."""
    built = TASK.targets(said, SPEC, said.segmentation.shape)
    logits = 20.0 * (built["semantic"][..., None] == np.arange(2)) - 10.0
    return {"semantic": logits.astype(np.float32), "center": built["center"][..., None], "offset": built["offset"]}


def quality(found: Segmentation, said: Segmentation) -> float:
    metric = TASK.metric(SPEC, LABELS)
    metric.update(found, said)
    return metric.compute()["pq"]


def test_the_figure_is_one_that_the_metric_tells():
    alone = replace(SPEC, head=replace(SPEC.head, instances=None))
    assert [TASK.primary_metric(spec) for spec in (SPEC, alone)] == ["pq", "miou"]
    for spec in (SPEC, alone):
        metric = TASK.metric(spec, LABELS)
        assert TASK.primary_metric(spec) not in metric.compute()
        metric.update(annotation(), annotation())
        assert metric.compute()[TASK.primary_metric(spec)] == 1.0


def test_perfect_maps_give_the_truth_back():
    actual = TASK.decode(perfect(annotation()), SPEC, resize_transform(SIDE, SIDE, Preprocessing(resize="none")), LABELS)
    assert len(actual) == 4 and quality(actual, annotation()) > 0.93


def test_rows_and_columns_of_offsets_the_other_way_round_would_be_seen():
    maps = perfect(annotation())
    maps["offset"] = maps["offset"][..., ::-1]
    actual = TASK.decode(maps, SPEC, resize_transform(SIDE, SIDE, Preprocessing(resize="none")), LABELS)
    assert quality(actual, annotation()) < 0.85


def test_offsets_grow_with_their_maps():
    maps = perfect(annotation())
    whole = upsample_maps(maps, (SIDE, SIDE), 2)
    assert np.allclose(whole["offset"][::2, ::2], 2 * maps["offset"], atol=1e-5)


def test_offsets_that_do_not_lead_to_the_middle_would_be_seen():
    maps, view = perfect(annotation()), resize_transform(SIDE, SIDE, Preprocessing(resize="none"))
    right = quality(TASK.decode(maps, SPEC, view, LABELS), annotation())
    assert quality(TASK.decode({**maps, "offset": -maps["offset"]}, SPEC, view, LABELS), annotation()) < right - 0.05


def test_segments_come_in_the_pictures_own_pixels():
    view = resize_transform(2 * SIDE, 2 * SIDE, Preprocessing(size=(SIDE, SIDE), resize="squash"))
    actual = TASK.decode(perfect(annotation()), SPEC, view, LABELS)
    assert actual.segmentation.shape == (2 * SIDE, 2 * SIDE)
    assert sum(item["area"] for item in actual.segments_info) == 4 * SIDE * SIDE
    large = Segmentation(annotation().segmentation.repeat(2, 0).repeat(2, 1), annotation().segments_info, LABELS)
    assert quality(actual, large) > 0.9


@pytest.mark.parametrize("size", [(65, 97), (64, 64)])
def test_maps_grow_so_that_each_value_stays_at_its_pixel(size):
    value = np.random.default_rng(0).standard_normal((-(-size[0] // 4), -(-size[1] // 4), 3)).astype(np.float32)
    assert np.allclose(upsample_maps({"semantic": value}, size, 4)["semantic"][::4, ::4], value, atol=1e-6)


def test_a_head_without_instances_gives_a_segment_for_each_class():
    spec = replace(SPEC, head=replace(SPEC.head, instances=None))
    actual = TASK.decode(
        {"semantic": perfect(annotation())["semantic"]}, spec, resize_transform(SIDE, SIDE, Preprocessing(resize="none")), LABELS
    )
    assert sorted(item["label_id"] for item in actual.segments_info) == [0, 1]
    metric = TASK.metric(spec, LABELS)
    metric.update(actual, annotation())
    assert set(metric.compute()) == {"miou", "per_class"}


def test_small_objects_weigh_what_the_head_says():
    heavy = replace(SPEC, head=replace(SPEC.head, targets=replace(SPEC.head.targets, small_weight=3.0)))
    alike, weighed = (TASK.targets(annotation(), spec, (SIDE, SIDE))["semantic_weight"] for spec in (SPEC, heavy))
    assert SPEC.head.targets.small_weight == 1.0 and (alike == 1).all()
    assert np.array_equal(weighed, np.where(annotation().segmentation[::2, ::2] > 1, 3.0, 1.0))


def test_targets_of_a_batch_have_the_batch_first():
    built = batch_targets(TASK, [annotation(), annotation()], SPEC, (SIDE, SIDE))
    assert {name: array.shape for name, array in built.items()} == {
        **dict.fromkeys(("semantic", "semantic_weight", "center", "center_weight", "offset_weight"), (2, SIDE // 2, SIDE // 2)),
        "offset": (2, SIDE // 2, SIDE // 2, 2),
    }


def test_a_result_beside_the_truth_is_a_picture():
    picture = Image.new("RGB", (SIDE, SIDE), (60, 60, 60))
    assert (
        TASK.draw(picture, {"ground truth": annotation(), "prediction": annotation()}).width
        > TASK.draw(picture, {"PyTorch": annotation()}).width
    )
