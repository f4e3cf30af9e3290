"""Segments are made of slots as deeplab2 makes them, pixel by pixel and mask by mask; planted errors are seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from axialzoo.ops.kernels import kernel, use_kernel
from axialzoo.spec.heads.mask_parts import PostprocessConfig
from axialzoo.tasks.segmentation.mask_decode import SlotMaps, decode_masks, slot_maps
from tests.golden.masks import described, stored

FILES = ("dl2_max_postprocess", "dl2_max_postprocess_maskwise", "dl2_max_postprocess_batch", "dl2_kmax_postprocess")
ALL = [(file, case) for file in FILES for case in described(file) if not case.startswith("_")]


def config_of(told: dict) -> PostprocessConfig:
    areas = {"thing_area": told["thing_area_limit"], "stuff_area": told["stuff_area_limit"]}
    pixel = told["pixel_confidence_threshold"]
    if told.get("transformer_post_processing", "pixelwise") == "pixelwise":
        least = told["transformer_class_confidence_threshold"]
        return PostprocessConfig("pixelwise", pixel, least, least, **areas)
    mask = told["maskwise_postprocessing"]
    least = [mask[f"transformer_class_confidence_threshold_{kind}"] for kind in ("thing", "stuff")]
    return PostprocessConfig(
        "maskwise", pixel, *least, mask["overlapping_threshold"], mask["reorder_class_weight"], mask["reorder_mask_weight"], **areas
    )


def panoptic(maps: SlotMaps, config: PostprocessConfig, told: dict, classes: int) -> np.ndarray:
    """Their map: label times divisor, plus the number of a thing's slot, or its rank where masks are pasted."""
    things, void = told["thing_class_ids"], told["void_label"]
    labels = [*things, *[label for label in range(classes + 1) if label != void and label not in things]][:classes]
    rank = np.argsort(maps.order) if config.method == "maskwise" else np.arange(len(maps.classes))
    actual = np.full(maps.slots.shape, void * told["label_divisor"], np.int64)
    areas = np.bincount((maps.slots + 1).ravel(), minlength=len(rank) + 1)[1:]
    for slot in np.flatnonzero(areas):
        label = labels[maps.classes[slot]]
        if maps.classes[slot] < len(things):
            if areas[slot] >= config.thing_area:
                actual[maps.slots == slot] = label * told["label_divisor"] + rank[slot] + 1
        elif areas[maps.classes == maps.classes[slot]].sum() >= config.stuff_area:
            actual[maps.slots == slot] = label * told["label_divisor"]
    return actual


def differing(file: str, case: str, change=lambda config: config) -> int:
    """Number of pixels that differ from theirs."""
    messages, arrays = described(file)[case], stored(file)
    config = config_of(messages)
    size, count = tuple(messages["image_shape"]), 0
    class_logits, mask_logits = arrays[f"{case}/transformer_class_logits"], arrays[f"{case}/pixel_space_mask_logits"]
    expected, scores = (arrays[f"{case}/{name}"].reshape(-1, *size) for name in ("out0", "out3"))
    for image in range(len(class_logits)):
        things = tuple(range(len(messages["thing_class_ids"])))
        maps = slot_maps(class_logits[image], mask_logits[image], size, things, change(config))
        count += int((panoptic(maps, config, messages, class_logits.shape[2] - 1) != expected[image]).sum())
        count += int((np.abs(maps.scores - scores[image]) > 2e-6).sum())
    return count


@pytest.fixture(params=["kernel", "plain"])
def path(request):
    if request.param == "plain":
        with use_kernel("plain"):
            yield request.param
    elif kernel() is None:
        pytest.skip("there is no compiled kernel here")
    else:
        yield request.param


@pytest.mark.parametrize(("file", "case"), ALL)
def test_every_pixel_is_theirs(file, case, path):
    assert differing(file, case) == 0


@pytest.mark.parametrize("method", ["pixelwise", "maskwise"])
@pytest.mark.parametrize("stride", [4, None])
@pytest.mark.parametrize(("slots", "threshold"), [(5, 0.4), (33, 0.34), (33, 0.2), (1, 0.5)])
def test_the_compiled_kernel_and_numpy_decode_alike(method, stride, slots, threshold, path):
    random = np.random.default_rng(slots)
    class_logits = random.standard_normal((slots, 5)).astype("float32") * 4
    mask_logits = np.round(random.standard_normal((7, 10, slots)) * 4).astype("float32")  # ties among them
    config = PostprocessConfig(method, threshold, 0.3, 0.6, overlap=0.1)
    maps = slot_maps(class_logits, mask_logits, (27, 38), (0, 1), config, stride)
    probabilities = plain_probabilities(mask_logits, (27, 38), stride)  # (H, W, S)
    assert (np.take_along_axis(probabilities, maps.best[..., None], 2)[..., 0] >= probabilities.max(2) - 1e-6).all()
    if method == "pixelwise":
        confident = maps.confidence >= np.where(np.isin(maps.classes, (0, 1)), np.float32(0.3), np.float32(0.6))
        probabilities = probabilities[..., confident] / probabilities[..., confident].sum(2, keepdims=True)
        assert slots == 1 or 0 < confident.sum() < slots
    if probabilities.shape[2]:
        assert np.abs(maps.scores - probabilities.max(2)).max() <= 1e-5
    with use_kernel("plain"):
        other = slot_maps(class_logits, mask_logits, (27, 38), (0, 1), config, stride)
    assert np.array_equal(maps.order, other.order) and (maps.slots != other.slots).mean() < 0.01  # ties alone


def plain_probabilities(logits: np.ndarray, size: tuple[int, int], stride: int | None) -> np.ndarray:
    """Softmax over slots of logits (h, w, S) that are interpolated one axis after the other."""
    for axis, length in enumerate(size):
        side = logits.shape[axis]
        place = np.linspace(0, side - 1, length) if stride is None else np.minimum(np.arange(length) / stride, side - 1)
        logits = np.apply_along_axis(lambda line: np.interp(place, np.arange(line.size), line), axis, logits)  # noqa: B023
    weights = np.exp(logits - logits.max(2, keepdims=True))
    return weights / weights.sum(2, keepdims=True)


@pytest.mark.parametrize(
    "change",
    [{"pixel_threshold": 0.6}, {"overlap": 0.2}, {"class_weight": 0.0, "mask_weight": 0.0}, {"thing_threshold": 0.99}],
)
def test_another_setting_is_caught(change):
    cases = [case for file, case in ALL if file == "dl2_max_postprocess_maskwise"]
    assert any(differing("dl2_max_postprocess_maskwise", case, lambda config: replace(config, **change)) for case in cases)


def test_segments_have_ids_from_the_best_on_and_scores():
    messages, arrays = described("dl2_max_postprocess")["confident"], stored("dl2_max_postprocess")
    logits = arrays["confident/transformer_class_logits"][0], arrays["confident/pixel_space_mask_logits"][0]
    segments = decode_masks(*logits, (65, 65), (0, 1, 2), config_of(messages))
    assert [item["id"] for item in segments.segments_info] == list(range(1, len(segments) + 1)) and len(segments) > 2
    scores = [item["score"] for item in segments.segments_info]
    assert scores == sorted(scores, reverse=True) and 0 < scores[-1] <= scores[0] <= 1
    assert [int((segments.segmentation == item["id"]).sum()) for item in segments.segments_info] == [
        item["area"] for item in segments.segments_info
    ]


def test_an_image_without_a_confident_slot_has_no_segment():
    logits = np.zeros((4, 3), np.float32), np.zeros((5, 5, 4), np.float32)
    assert len(decode_masks(*logits, (17, 17), (0,), PostprocessConfig())) == 0
    assert len(decode_masks(*logits, (17, 17), (0,), PostprocessConfig("maskwise"))) == 0


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="slots"):
        decode_masks(np.zeros((4, 3)), np.zeros((5, 5, 3)), (17, 17), (0,), PostprocessConfig())
    with pytest.raises(ValueError, match="finite"):
        decode_masks(np.full((4, 3), np.nan), np.zeros((5, 5, 4)), (17, 17), (0,), PostprocessConfig())
