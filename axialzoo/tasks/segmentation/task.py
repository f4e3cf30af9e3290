"""Pictures cut into segments: semantic, instance and panoptic segmentation are one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from axialzoo.image import ResizeTransform
from axialzoo.image.draw_segments import draw_comparison, draw_views
from axialzoo.spec import Head, Label, Model, SpecError, did_you_mean
from axialzoo.spec.heads.mask_transformer import MaskTransformer
from axialzoo.spec.heads.panoptic import Panoptic
from axialzoo.tasks.confusion import count_pixels
from axialzoo.tasks.results import Result, Segmentation
from axialzoo.tasks.segmentation.compact import check_map
from axialzoo.tasks.segmentation.decode import Postprocess, decode
from axialzoo.tasks.segmentation.grow import upsample_maps
from axialzoo.tasks.segmentation.mask_decode import decode_masks
from axialzoo.tasks.segmentation.mask_targets import mask_targets
from axialzoo.tasks.segmentation.metrics import SegmentationMetric
from axialzoo.tasks.segmentation.targets import targets
from axialzoo.tasks.segmentation.tta_maps import predict_tta
from axialzoo.tasks.task import Arrays, Task, is_larger
from axialzoo.tasks.tta import TTA, Compute

ALL = 1 << 30  # average precision counts all objects of a picture


class SegmentationTask(Task):
    """Pictures to segments, by Panoptic-DeepLab's maps (arXiv:1911.10194) or by the slots of a mask transformer (arXiv:2012.00759)."""

    name: ClassVar[str] = "segmentation"
    heads: ClassVar[tuple[type[Head], ...]] = (Panoptic, MaskTransformer)
    annotation_type: ClassVar[str] = "segments"
    supported_tta: ClassVar[tuple[str, ...]] = ("tile", "hflip", "scales")

    def targets(self, annotation: Segmentation, spec: Model, size: tuple[int, int]) -> dict[str, np.ndarray]:
        """Return the target maps at the stride of the head's maps: see :func:`axialzoo.tasks.segmentation.targets.targets`."""
        check_map(annotation, size, num_classes=spec.num_labels)
        if isinstance(spec.head, MaskTransformer):
            fine = None if spec.head.semantic is None else spec.head.semantic_stride(spec.backbone)
            return mask_targets(annotation, spec.head, spec.head.stride(spec.backbone), fine)
        head = panoptic(spec)
        stride = head.stride(spec.backbone)
        config, instances = head.targets, head.instances is not None
        weight = config.small_weight
        return targets(annotation, stride=stride, things=head.things, sigma=config.sigma, small_weight=weight, instances=instances)

    def decode(self, outputs: Arrays, spec: Model, view: ResizeTransform, labels: Sequence[Label] = (), **options: Any) -> Segmentation:
        """Decode the outputs to segments in the picture's own pixels.

        Args:
            outputs, spec, view, labels: As of every task.
            options: Of :func:`axialzoo.tasks.segmentation.decode.decode`, over what the checkpoint says; of a mask transformer, fields of
                :class:`~axialzoo.spec.heads.mask_parts.PostprocessConfig`.
        """
        if isinstance(spec.head, MaskTransformer):
            return in_picture(decode_slots(outputs, spec, view.size, tuple(labels), options), view)
        maps = upsample_maps(outputs, view.size, panoptic(spec).stride(spec.backbone))
        return self._read(maps, spec, view, labels, options)

    def predict_tta(
        self, compute: Compute, x: np.ndarray, spec: Model, views: Sequence[ResizeTransform], tta: TTA, labels: Sequence[Label] = ()
    ) -> list[Result]:
        """Predict picture by picture, from maps that are blended over tiles and averaged over mirror images and scales."""
        if isinstance(spec.head, MaskTransformer):
            raise SpecError(
                "mask transformer: expected no test-time augmentation, found tiles, mirror images or scales; the slots of two views are of "
                "different objects, so that their masks cannot be averaged; leave out --tile, --hflip and --scales"
            )
        stride, multiple = panoptic(spec).stride(spec.backbone), max(info["reduction"] for info in spec.backbone.feature_info())
        results: list[Result] = []
        for image, view in zip(x, views):
            maps = predict_tta(compute, image, tta, stride, multiple)
            results.append(self._read(maps, spec, view, labels, {}))
        return results

    def _read(
        self, maps: Mapping[str, Any], spec: Model, view: ResizeTransform, labels: Sequence[Label], options: Mapping[str, Any]
    ) -> Segmentation:
        """Decode maps at the size of the model's input to segments of the picture."""
        head = panoptic(spec)
        config = head.postprocess
        settings = {
            "center_threshold": config.threshold,
            "nms_kernel": config.nms_kernel,
            "top_k": None if is_larger(view.size, spec.input_size) else config.top_k,  # the limit is for pictures of the model's size
            "stuff_area": config.stuff_area,
            "instance_area": config.instance_area,
            "agreement": config.agreement,
        }
        segments = decode(**maps, settings=Postprocess(**{**settings, **options}), labels=tuple(labels), things=head.things)
        return in_picture(segments, view)

    def metric(self, spec: Model, labels: Sequence[Label] = ()) -> SegmentationMetric:
        if isinstance(spec.head, MaskTransformer):
            names = tuple(labels) or tuple(Label(f"class {index}", index in spec.head.things) for index in range(spec.head.num_classes))
            return SegmentationMetric(names, instances=True, max_detections=max(spec.head.slots, 100))
        head = panoptic(spec)
        names = tuple(labels) or tuple(Label(f"class {index}", index in head.things) for index in range(head.num_classes))
        return SegmentationMetric(names, instances=head.instances is not None, max_detections=ALL)

    def metric_packages(self, spec: Model) -> dict[str, str]:
        alone = isinstance(spec.head, Panoptic) and spec.head.instances is None  # classes alone, without average precision
        return {} if alone else {"pycocotools": "metrics"}

    def primary_metric(self, spec: Model) -> str:
        """Return ``pq``, or ``miou`` for a head without instances, which has no panoptic quality."""
        if isinstance(spec.head, MaskTransformer):
            return "pq"
        return "pq" if panoptic(spec).instances is not None else "miou"

    def confusion(self, result: Segmentation, annotation: Segmentation, classes: int) -> np.ndarray:
        return count_pixels(result, annotation, classes)

    def draw(
        self, picture: Image.Image, results: Mapping[str, Any], *, model: str = "", model_view: Image.Image | None = None
    ) -> Image.Image:
        """Draw the segments over the picture, one view for each heading; beside a ground truth, the picture itself too."""
        if set(results) == {"ground truth", "prediction"}:
            return draw_comparison(picture, results["ground truth"], results["prediction"], model=model or "prediction")
        return draw_views(picture, results, model=model)


def decode_slots(
    outputs: Arrays, spec: Model, size: tuple[int, int], labels: tuple[Label, ...], options: Mapping[str, Any]
) -> Segmentation:
    """Decode the slots of a mask transformer to segments of the model's input, of `size`."""
    head = spec.head
    assert isinstance(head, MaskTransformer)
    known = [field.name for field in fields(head.postprocess)]
    for name in options:
        if name not in known:
            raise SpecError(f"decode: unknown option {name!r}{did_you_mean(name, known)}; known: {', '.join(known)}")
    config = replace(head.postprocess, **options)
    stride = head.stride(spec.backbone)
    return decode_masks(outputs["class_logits"], outputs["mask_logits"], size, head.things, config, stride=stride, labels=labels)


def panoptic(spec: Model) -> Panoptic:
    """Return the head of a model of this task."""
    assert isinstance(spec.head, Panoptic)
    return spec.head


def in_picture(segments: Segmentation, view: ResizeTransform) -> Segmentation:
    """Move segments of the model's input to the picture. Areas are counted anew; segments without a pixel are left out."""
    if view.size == view.picture and (view.top, view.left) == (0, 0):
        return segments
    ids = view.map_to_picture(segments.segmentation)
    areas = np.bincount(ids.reshape(-1), minlength=int(segments.segmentation.max(initial=0)) + 1)
    info = [{**segment, "area": int(areas[segment["id"]])} for segment in segments.segments_info if areas[segment["id"]]]
    return Segmentation(ids, info, segments.categories, view.map_to_picture(segments.class_map, fill=-1), segments.warnings)
