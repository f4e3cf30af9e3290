"""Masks of classes from one logit or several, in the picture's own pixels, in tiles and mirrored; targets of the head."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from axialzoo.checkpoint import CheckpointError, Config, default_config
from axialzoo.image import resize_transform
from axialzoo.spec import Label, Preprocessing, adapt, get_entry
from axialzoo.tasks import run_views, task_of, tta_from_options
from axialzoo.tasks.results import Segmentation
from axialzoo.tasks.semantic_segmentation.task import two_logits

LABELS = (Label("background", False), Label("gland"))
SPEC = get_entry("medical_transformer_xs").spec
ONE = adapt(SPEC, num_classes=1)
TASK = task_of(SPEC.head)
VIEW = resize_transform(4, 6, Preprocessing(size=(4, 6), resize="none"))


def logits() -> np.ndarray:
    """(4, 6, 1): the right half is the second class."""
    return np.where(np.arange(6) < 3, -2.0, 2.0)[None, :, None].repeat(4, 0).astype("float32")


def test_one_logit_and_two_that_say_the_same_decode_alike():
    item = TASK.decode({"semantic": logits()}, ONE, VIEW, LABELS)
    two = TASK.decode(two_logits({"semantic": logits()}), SPEC, VIEW, LABELS)
    assert np.array_equal(item.class_map, np.arange(6)[None].repeat(4, 0) >= 3) and np.array_equal(item.class_map, two.class_map)
    assert [info["score"] for info in item.segments_info] == [info["score"] for info in two.segments_info]
    assert item.segments_info[0]["score"] == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-6)
    assert [info["area"] for info in item.segments_info] == [12, 12]


def test_a_threshold_on_the_logit_instead_of_its_probability_is_caught():
    """The authors' test.py writes logits of at least 0.5."""
    between = np.full((4, 6, 1), 0.3, "float32")
    assert TASK.decode({"semantic": between}, ONE, VIEW, LABELS).class_map.min() == 1


def test_targets_are_the_classes_and_void():
    target = Segmentation(np.array([[0, 1, 2]], np.int32), [{"id": 1, "label_id": 0}, {"id": 2, "label_id": 1}], LABELS)
    assert TASK.targets(target, ONE, (1, 3))["semantic"].tolist() == [[-1, 0, 1]]
    beyond = Segmentation(np.array([[1]], np.int32), [{"id": 1, "label_id": 2}], ())
    with pytest.raises(ValueError, match="expected classes from 0 to 1, found 2"):
        TASK.targets(beyond, ONE, (1, 1))


@pytest.mark.parametrize("options", [{"tile": 32, "overlap": 8}, {"hflip": True}, {"tile": 32, "hflip": True, "scales": (1.0, 2.0)}])
@pytest.mark.parametrize("spec", [SPEC, ONE])
def test_tiles_mirror_images_and_scales_of_maps_of_single_pixels_change_nothing(spec, options):
    """A network whose logit is that of the pixel itself."""

    def compute(x):
        return {"semantic": x[..., :1] if spec is ONE else np.concatenate([0 * x[..., :1], x[..., :1]], -1)}

    x = np.repeat(np.where(np.arange(64) < 32, -3.0, 3.0)[None, None, :, None], 48, 1).astype("float32")
    view = resize_transform(48, 64, Preprocessing(size=(48, 64), resize="none"))
    (result,) = run_views(TASK, compute, x, spec, [view], tta_from_options(**options), LABELS)
    assert np.array_equal(result.class_map, np.broadcast_to(np.arange(64) >= 32, (48, 64)))


def test_a_checkpoint_with_one_logit_has_two_labels():
    assert Config("custom", ONE, LABELS, default_config(ONE).preprocessing).labels == LABELS
    with pytest.raises(CheckpointError, match=r"one per class \(2\), found 1"):
        Config("custom", ONE, LABELS[:1], default_config(ONE).preprocessing)


def test_results_and_targets_are_drawn():
    picture = Image.new("RGB", (6, 4))
    result = TASK.decode({"semantic": logits()}, ONE, VIEW, LABELS)
    assert TASK.draw(picture, {"ground truth": result, "prediction": result}).width > 12
    assert TASK.draw(picture, {"PyTorch": result}, model="x").height > 4
