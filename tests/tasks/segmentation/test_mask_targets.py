"""Masks are made of annotations as deeplab2 makes them, and what does not fit is left out by name or refused."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from axialzoo.image import resize_transform
from axialzoo.spec import Preprocessing, SpecError, adapt, get_entry
from axialzoo.spec.heads.mask_parts import SemanticBranch
from axialzoo.tasks import Segmentation, task_of
from axialzoo.tasks.segmentation.mask_targets import TooManyThingsWarning, mask_targets
from tests.golden.masks import described, stored

CASES = [case for case in described("dl2_targets") if not case.startswith("_")]
HEAD = get_entry("max_deeplab_s").spec.head


def labels_of(told: dict) -> list[int]:
    """Label of each class: things first."""
    things, ignore = told["thing_class_ids"], told["ignore_label"]
    return [*things, *[label for label in range(told["num_classes"]) if label not in things and label != ignore]]


def annotation(panoptic: np.ndarray, told: dict) -> Segmentation:
    """Their labels as segments; a thing without a number is a crowd."""
    divisor, ignore, things, labels = told["label_divisor"], told["ignore_label"], told["thing_class_ids"], labels_of(told)
    ids, info = np.zeros(panoptic.shape, np.int32), []
    for value in np.unique(panoptic):
        label, number = divmod(int(value), divisor)
        if label == ignore:
            continue
        ids[panoptic == value] = len(info) + 1
        crowd = {"iscrowd": 1} if label in things and number == 0 else {}
        info.append({"id": len(info) + 1, "label_id": labels.index(label), "score": 1.0, "area": 1, **crowd})
    return Segmentation(ids, info)


@pytest.mark.parametrize("case", [case for case in CASES if "size_raw" in case or "resized" not in case])
def test_masks_classes_and_weights_are_theirs(case, monkeypatch):
    messages, arrays = described("dl2_targets")[case], stored("dl2_targets")
    panoptic, things = arrays[f"{case}/label"], messages["thing_class_ids"]
    if panoptic.shape != arrays[f"{case}/semantic_gt"].shape:
        pytest.skip("padded by their reader, not by the targets")
    classes = messages["num_classes"] - (messages["ignore_label"] < messages["num_classes"])
    most = arrays[f"{case}/thing_id_class_gt"].shape[0]
    small = messages["focus_small_instances"] or {"threshold": 0, "weight": 1.0}
    monkeypatch.setattr(sys.modules[mask_targets.__module__], "SMALL_AREA", small["threshold"])
    labels = labels_of(messages)
    order = tuple(labels.index(label) if label in labels else -1 for label in range(messages["num_classes"]))
    head = replace(
        HEAD, num_classes=classes, things=tuple(range(len(things))), semantic=SemanticBranch(order=order),
        targets=replace(HEAD.targets, max_things=most, small_weight=small["weight"]),
    )  # fmt: skip
    targets = mask_targets(annotation(panoptic, messages), head, 1, 1)
    ids, expected = targets["mask_ids"], arrays[f"{case}/thing_id_mask_gt"]
    assert np.array_equal(np.where(ids < most, ids, -1), expected)
    named = arrays[f"{case}/thing_id_class_gt"]
    assert [things[target] if target >= 0 else -1 for target in targets["mask_classes"][:most]] == named.tolist()
    void = arrays[f"{case}/semantic_gt"] == messages["ignore_label"]
    assert np.array_equal(targets["void"] > 0, void)
    assert np.array_equal(targets["semantic"], np.where(void, -1, arrays[f"{case}/semantic_gt"]))
    assert np.array_equal(targets["semantic_weight"], arrays[f"{case}/semantic_loss_weight"])


def squares(count: int) -> Segmentation:
    ids = np.zeros((32, 32), np.int32)
    for number in range(count):
        ids[4 * (number // 8) : 4 * (number // 8) + 2 + number % 2, 4 * (number % 8) : 4 * (number % 8) + 3] = number + 1
    return Segmentation(ids, [{"id": number + 1, "label_id": 0, "score": 1.0, "area": 6} for number in range(count)])


def test_the_smallest_objects_beyond_the_most_are_left_out_with_a_warning():
    head = replace(HEAD, targets=replace(HEAD.targets, max_things=4), semantic=None)
    with pytest.warns(TooManyThingsWarning, match="the 4 smallest"):
        targets = mask_targets(squares(8), head, 1)
    assert sorted(np.unique(targets["mask_ids"])) == [-1, 0, 1, 2, 3]
    areas = [int((targets["mask_ids"] == number).sum()) for number in range(4)]
    assert areas == [9] * 4


def test_pictures_without_things_and_without_anything_have_targets():
    stuff = Segmentation(np.ones((32, 32), np.int32), [{"id": 1, "label_id": 132, "score": 1.0, "area": 1024}])
    for segments, exists in ((stuff, True), (Segmentation(np.zeros((32, 32), np.int32), []), False)):
        targets = mask_targets(segments, HEAD, 4, 4)
        assert (targets["mask_ids"] >= 0).all() == exists and (targets["void"] == 0).all() == exists
        assert (targets["semantic"] == 133).all() if exists else (targets["semantic"] == -1).all()


def test_more_classes_than_the_head_has_are_refused():
    many = Segmentation(np.ones((8, 8), np.int32), [{"id": 1, "label_id": 133, "score": 1.0, "area": 64}])
    with pytest.raises(ValueError, match="from 0 to 132"):
        mask_targets(many, HEAD, 1)


def test_tiles_are_refused_with_the_reason():
    from axialzoo.tasks import tta_from_options

    spec = adapt(get_entry("kmax_deeplab_nuclei_xs").spec, input_size=(64, 64))
    with pytest.raises(SpecError, match="slots of two views"):
        view = resize_transform(64, 64, Preprocessing(size=(64, 64), resize="none"))
        task_of(spec.head).predict_tta(lambda x: {}, np.zeros((1, 64, 64, 3), np.float32), spec, [view], tta_from_options(tile=32))
