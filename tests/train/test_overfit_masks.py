"""A small MaX-DeepLab learns twenty photographs of COCO by heart: PQ above 0.9."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from PIL import Image

from axialzoo.data import open_data
from axialzoo.spec import Model
from axialzoo.spec.heads.mask_parts import PostprocessConfig, TargetConfig
from axialzoo.spec.heads.mask_transformer import MaskTransformer
from axialzoo.spec.transformer import Memory
from axialzoo.spec.zoo.deeplab2 import backbone
from axialzoo.spec.zoo.mask_transformers import COCO_THINGS
from axialzoo.tasks import Segmentation, batch_targets, task_of
from axialzoo.tasks.segmentation.mask_decode import decode_masks
from axialzoo.tasks.segmentation.metrics import SegmentationMetric
from tests.data.made import SHARED

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(not (SHARED / "coco_panoptic200").is_dir(), reason="coco_panoptic200 is not in shared/datasets here"),
]
PHOTOGRAPHS, SIDE, LEAST = 20, 161, 0.02  # least share of a picture that a segment covers: smaller ones are a few pixels at stride 4
BATCH, RATE, BETAS, WARMUP = 10, 3e-3, (0.9, 0.98), 20
STEPS = 300
WIDTHS = {"depths": (1, 1, 1, 1), "width": 0.125, "stem_width": 0.25}
Step = Callable[[np.ndarray, dict[str, np.ndarray], float], float]


def spec_of() -> Model:
    """A small MaX-DeepLab of 777,048 parameters, with COCO's classes."""
    slots, channels = 16, 64
    features = backbone(**WIDTHS, memory=Memory(slots, channels), transformer_width=0.5, transformer_ffn=128).backbone
    features = replace(features, norm=replace(features.norm, momentum=0.1))  # few steps
    head = MaskTransformer(133, COCO_THINGS, slots, channels, 64, 64, targets=TargetConfig(slots))
    return Model(features, head, (SIDE, SIDE))


@cache
def photographs() -> tuple[np.ndarray, list[Segmentation]]:
    """The photographs with the fewest segments: (N, SIDE, SIDE, 3) from -1 to 1, and their segments."""
    data, pictures = open_data(SHARED / "coco_panoptic200"), []
    for split in data.splits.values():
        for index in range(len(split)):
            sample = split[index]
            height, width = sample.annotation.segmentation.shape
            rows, columns = (((np.arange(SIDE) + 0.5) * side / SIDE).astype(int) for side in (height, width))
            ids = sample.annotation.segmentation[rows][:, columns]
            info = [
                row for row in sample.annotation.segments_info if not row.get("iscrowd") and (ids == row["id"]).sum() >= LEAST * SIDE**2
            ]
            ids = np.where(np.isin(ids, [row["id"] for row in info]), ids, 0)
            if info:
                pixels = sample.picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
                pictures.append((np.asarray(pixels, np.float32) / 127.5 - 1, Segmentation(ids.astype(np.int32), info, data.labels)))
    pictures = sorted(pictures, key=lambda picture: len(picture[1]))[:PHOTOGRAPHS]
    return np.stack([pixels for pixels, _ in pictures]), [annotation for _, annotation in pictures]


def train(step: Step, spec: Model) -> None:
    """Take steps of batches of the photographs, without augmentation; the rate falls linearly."""
    pixels, annotations = photographs()
    random, order = np.random.default_rng(0), np.empty(0, int)
    for number in range(STEPS):
        if len(order) < BATCH:
            order = random.permutation(PHOTOGRAPHS)
        batch, order = order[:BATCH], order[BATCH:]
        targets = batch_targets(task_of(spec.head), [annotations[index] for index in batch], spec, (SIDE, SIDE))
        step(pixels[batch], targets, RATE * min((number + 1) / WARMUP, 1) * (1 - 0.98 * number / STEPS))


def quality(compute: Callable[[np.ndarray], dict[str, np.ndarray]], spec: Model) -> dict[str, float]:
    """Measure segments decoded from outputs, channels last, of one photograph at a time."""
    pixels, annotations = photographs()
    metric = SegmentationMetric(annotations[0].categories, average_precision=False)
    for x, annotation in zip(pixels, annotations):
        outputs = compute(x[None])
        logits = outputs["class_logits"][0], outputs["mask_logits"][0]
        metric.update(decode_masks(*logits, (SIDE, SIDE), COCO_THINGS, PostprocessConfig("pixelwise", 0.3, 0.4, 0.4), stride=4), annotation)
    return metric.compute()


def test_twenty_photographs_are_learned_in_pytorch():
    import torch

    from axialzoo.torch import build, loss_of
    from axialzoo.train.torch_loop import on_device

    torch.manual_seed(0)
    spec = spec_of()
    model, loss = build(spec).train(), loss_of(spec.head)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, BETAS, weight_decay=0.0)

    def step(x: np.ndarray, targets: dict[str, np.ndarray], rate: float) -> float:
        optimizer.param_groups[0]["lr"] = rate
        outputs = model(torch.from_numpy(x).permute(0, 3, 1, 2))
        total = loss(outputs, on_device(targets, torch.device("cpu")), spec.head)["total"]
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        return float(total.detach())

    def compute(x: np.ndarray) -> dict[str, np.ndarray]:
        with torch.no_grad():
            outputs = model(torch.from_numpy(x).permute(0, 3, 1, 2))
        return {name: (y.permute(0, 2, 3, 1) if y.dim() == 4 else y).numpy() for name, y in outputs.items()}

    assert quality(compute, spec).get("pq", 0) < 0.1
    train(step, spec)
    model.eval()
    assert quality(compute, spec)["pq"] > 0.9
