"""Limits of objects: none on inputs larger than the model's; one that is reached says so, in JSON too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from axialzoo.image import resize_transform
from axialzoo.runtime.predict import predict
from axialzoo.spec import Label, Preprocessing, adapt, get_entry
from axialzoo.spec.heads.fcos import PostprocessConfig
from axialzoo.tasks import TTA, task_of
from axialzoo.tasks.detection.decode import decode
from axialzoo.tasks.segmentation.decode import Postprocess
from axialzoo.tasks.segmentation.decode import decode as decode_segments

LABELS = (Label("background", False), Label("cell"))
NUCLEI = get_entry("axial_deeplab_nuclei_xs").spec
SPEC = adapt(replace(NUCLEI, input_size=(32, 32)), postprocess={"top_k": 4, "instance_area": 0})


def grid(side: int) -> dict[str, np.ndarray]:
    """Maps of a picture with an object of 8 x 8 pixels at every 16th row and column: four in 32 x 32."""
    rows, columns = np.mgrid[:side, :side]
    inside = (rows % 16 < 8) & (columns % 16 < 8)
    center = ((rows % 16 == 4) & (columns % 16 == 4)).astype(np.float32)
    offset = np.stack([4 - rows % 16, 4 - columns % 16], -1).astype(np.float32)
    semantic = np.where(inside[..., None], [-9.0, 9.0], [9.0, -9.0]).astype(np.float32)
    return {"semantic": semantic, "center": center[..., None], "offset": offset}


def things(found) -> int:
    return sum(LABELS[item["label_id"]].thing for item in found.segments_info)


def test_objects_of_a_larger_input_are_not_limited():
    task = task_of(SPEC.head)
    for side, count in ((32, 4), (128, 64)):
        view = resize_transform(side, side, Preprocessing((32, 32), "none"))
        actual = task.decode(grid(side), SPEC, view, LABELS)
        assert things(actual) == count and not actual.warnings and "warnings" not in actual.to_json()
        assert {item["area"] for item in actual.segments_info if item["label_id"]} == {64}
        seen = np.zeros((1, side, side, 3), np.float32)
        compute = lambda x, side=side: {name: value[None] for name, value in grid(x.shape[1]).items()}  # noqa: E731
        tiled = task.predict_tta(compute, seen, SPEC, [view], TTA(tile=(32, 32), overlap=(0, 0)), LABELS)
        assert things(tiled[0]) == count


def test_a_limit_of_objects_that_is_reached_says_so():
    settings = Postprocess(nms_kernel=7, top_k=4)
    actual = decode_segments(**grid(64), settings=settings, labels=LABELS)
    assert things(actual) == 4
    (text,) = actual.to_json()["warnings"]
    assert "limit of 4 objects" in text and "16 centers" in text
    assert not decode_segments(**grid(32), settings=settings, labels=LABELS).warnings
    view = resize_transform(64, 64, Preprocessing((32, 32), "none"))
    assert task_of(SPEC.head).decode(grid(64), SPEC, view, LABELS, top_k=4).warnings  # asked for by name


def test_a_runner_warns_of_a_limit_that_was_reached():
    from axialzoo.checkpoint import Config

    class Fixed:
        config = Config("custom", replace(SPEC, input_size=(64, 64)), LABELS, Preprocessing((64, 64), "none"))

        def outputs(self, x):
            return {name: value[None] for name, value in grid(64).items()}

    with pytest.warns(UserWarning, match="limit of 4 objects was reached: 16 centers"):
        predict(Fixed(), [np.zeros((64, 64, 3), np.uint8)])


def test_a_limit_of_boxes_that_is_reached_says_so_and_larger_inputs_have_none():
    maps = {"classes": np.full((8, 8, 1), 9.0), "boxes": np.full((8, 8, 4), 0.4), "centerness": np.full((8, 8, 1), 9.0)}
    outputs = {name: [item] for name, item in maps.items()}
    config = PostprocessConfig(max_detections=10, per_level=20)
    actual = decode(outputs, [8], (64, 64), config)
    assert len(actual) == 10 and "limit of 10 boxes" in actual.to_json()["warnings"][0]
    exact = decode(outputs, [8], (64, 64), replace(config, max_detections=64, per_level=64))
    assert len(exact) == 64 and not exact.warnings and "warnings" not in exact.to_json()
    assert len(decode(outputs, [8], (64, 64), config, limited=False)) == 64
