"""A class for every pixel, from logits at the size of the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from axialzoo.image import ResizeTransform
from axialzoo.image.draw_segments import draw_comparison, draw_views
from axialzoo.spec import Head, Label, Model
from axialzoo.spec.heads.unet import UNet
from axialzoo.tasks.confusion import count_pixels
from axialzoo.tasks.results import Result, Segmentation
from axialzoo.tasks.segmentation.compact import check_map
from axialzoo.tasks.segmentation.decode import Postprocess, decode
from axialzoo.tasks.segmentation.targets import targets
from axialzoo.tasks.segmentation.task import in_picture
from axialzoo.tasks.segmentation.tta_maps import predict_tta
from axialzoo.tasks.semantic_segmentation.metrics import MaskMetric
from axialzoo.tasks.task import Arrays, Task
from axialzoo.tasks.tta import TTA, Compute


class SemanticSegmentationTask(Task):
    """Pictures to one segment a class, by logits of every pixel."""

    name: ClassVar[str] = "semantic_segmentation"
    heads: ClassVar[tuple[type[Head], ...]] = (UNet,)
    annotation_type: ClassVar[str] = "segments"
    supported_tta: ClassVar[tuple[str, ...]] = ("tile", "hflip", "scales")

    def targets(self, annotation: Segmentation, spec: Model, size: tuple[int, int]) -> dict[str, np.ndarray]:
        """Return ``semantic`` (H, W) int32: the class of each pixel, -1 for none."""
        check_map(annotation, size, num_classes=_unet(spec).num_labels)
        return {"semantic": targets(annotation, instances=False)["semantic"]}

    def decode(self, outputs: Arrays, spec: Model, view: ResizeTransform, labels: Sequence[Label] = (), **options: Any) -> Segmentation:
        """Decode the outputs to one segment for each class, in the picture's own pixels.

        Args:
            outputs, spec, view, labels: As of every task.
            options: ``stuff_area``: classes of fewer pixels are void.
        """
        return _segments(two_logits(outputs), view, labels, **options)

    def predict_tta(
        self, compute: Compute, x: np.ndarray, spec: Model, views: Sequence[ResizeTransform], tta: TTA, labels: Sequence[Label] = ()
    ) -> list[Result]:
        """Predict picture by picture, from probabilities that are blended over tiles and averaged over mirror images and scales."""
        multiple = 2 * max(info["reduction"] for info in spec.backbone.feature_info())
        segments: list[Result] = []
        for image, view in zip(x, views):
            maps = predict_tta(lambda tiles: two_logits(compute(tiles)), image, tta, 1, multiple)
            segments.append(_segments(maps, view, labels))
        return segments

    def metric(self, spec: Model, labels: Sequence[Label] = ()) -> MaskMetric:
        count = _unet(spec).num_labels
        return MaskMetric(tuple(labels) or tuple(Label(f"class {index}", False) for index in range(count)))

    def primary_metric(self, spec: Model) -> str:
        return "iou"

    def confusion(self, result: Segmentation, annotation: Segmentation, classes: int) -> np.ndarray:
        return count_pixels(result, annotation, classes)

    def draw(
        self, picture: Image.Image, results: Mapping[str, Any], *, model: str = "", model_view: Image.Image | None = None
    ) -> Image.Image:
        """Draw the segments over the picture, one view for each heading; beside a ground truth, the picture itself too."""
        if set(results) == {"ground truth", "prediction"}:
            return draw_comparison(picture, results["ground truth"], results["prediction"], model=model or "prediction")
        return draw_views(picture, results, model=model)


def two_logits(outputs: Arrays) -> dict[str, np.ndarray]:
    """Return maps with a logit for each class: a single logit, (..., 1), gets a 0 for class 0, so that its sigmoid is their softmax."""
    semantic = np.asarray(outputs["semantic"])
    return {"semantic": np.concatenate([np.zeros_like(semantic), semantic], -1) if semantic.shape[-1] == 1 else semantic}


def _segments(maps: Mapping[str, np.ndarray], view: ResizeTransform, labels: Sequence[Label], **options: Any) -> Segmentation:
    return in_picture(decode(**maps, settings=Postprocess(**options), labels=tuple(labels), things=()), view)


def _unet(spec: Model) -> UNet:
    assert isinstance(spec.head, UNet)
    return spec.head
