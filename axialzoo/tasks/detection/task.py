"""The task of object detection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from axialzoo.image import ResizeTransform
from axialzoo.image.draw_boxes import draw_views
from axialzoo.spec import Head, Label, Model
from axialzoo.spec.heads.fcos import FCOS
from axialzoo.tasks.confusion import count_boxes
from axialzoo.tasks.detection.decode import decode, flip_boxes, merge_views
from axialzoo.tasks.detection.metrics import BoxMetric
from axialzoo.tasks.detection.targets import box_targets
from axialzoo.tasks.results import Detections, Result, Segmentation
from axialzoo.tasks.task import Arrays, Task, is_larger
from axialzoo.tasks.tta import TTA, Compute


class DetectionTask(Task):
    """Detects objects by FCOS's maps (arXiv:1904.01355). Annotations may be segments too: the boxes of things are used."""

    name: ClassVar[str] = "detection"
    heads: ClassVar[tuple[type[Head], ...]] = (FCOS,)
    annotation_type: ClassVar[str] = "boxes"
    supported_tta: ClassVar[tuple[str, ...]] = ("hflip",)

    def targets(self, annotation: Detections | Segmentation, spec: Model, size: tuple[int, int]) -> dict[str, np.ndarray]:
        """Return ``classes`` (L,), ``boxes`` (L, 4) and ``centerness`` (L,) of the L locations of all levels: see
        :func:`axialzoo.tasks.detection.targets.box_targets`."""
        head, boxes = fcos(spec), as_boxes(annotation)
        wrong = [int(index) for index in boxes.labels if not 0 <= index < head.num_classes]
        if wrong:
            raise ValueError(f"annotation: expected classes from 0 to {head.num_classes - 1}, found {wrong[0]}")
        return box_targets(boxes, head.pyramid.sizes(size), head.strides, ranges=head.ranges, radius=head.targets.radius)

    def decode(self, outputs: Arrays, spec: Model, view: ResizeTransform, labels: Sequence[Label] = (), **options: Any) -> Detections:
        """Decode the outputs to boxes in the picture's own pixels.

        Args:
            outputs, spec, view, labels: As of every task.
            options: ``threshold``, ``per_level``, ``suppression``, ``overlap``, ``max_detections``, over what the checkpoint says:
                see :class:`axialzoo.spec.heads.fcos.PostprocessConfig`.

        Raises:
            ValueError, SpecError: for maps or options that do not fit.
        """
        return self._read(outputs, spec, view, labels, options)

    def predict_tta(
        self, compute: Compute, x: np.ndarray, spec: Model, views: Sequence[ResizeTransform], tta: TTA, labels: Sequence[Label] = ()
    ) -> list[Result]:
        """Merge the boxes of each picture with those of its mirror image: of two boxes of one object, the better stays."""
        config, width = fcos(spec).postprocess, x.shape[2]
        detections: list[list[Detections]] = [[] for _ in views]
        for _, hflip in tta.ways((x.shape[1], width)):
            outputs = compute(np.ascontiguousarray(x[:, :, ::-1] if hflip else x))
            for index, view in enumerate(views):
                own = {name: [level[index] for level in maps] for name, maps in outputs.items()}
                detections[index].append(self._read(own, spec, view, labels, {}, width if hflip else None))
        most = [None if is_larger(view.size, spec.input_size) else config.max_detections for view in views]
        return [merge_views(boxes, config.overlap, limit) for boxes, limit in zip(detections, most)]

    def _read(
        self,
        outputs: Arrays,
        spec: Model,
        view: ResizeTransform,
        labels: Sequence[Label],
        options: Mapping[str, Any],
        flip_width: int | None = None,
    ) -> Detections:
        """Decode maps to boxes of the picture. `flip_width`: width of the model's input if it was mirrored; the boxes are flipped back."""
        head = fcos(spec)
        unknown = sorted(set(options) - set(OPTIONS))
        if unknown:
            raise ValueError(f"options: expected some of {', '.join(OPTIONS)}, found {', '.join(unknown)}")
        config = replace(head.postprocess, **options)

        def to_picture(boxes: np.ndarray) -> np.ndarray:
            return view.to_picture(boxes if flip_width is None else flip_boxes(boxes, flip_width))

        limited = not is_larger(view.size, spec.input_size) or not {"per_level", "max_detections"}.isdisjoint(options)
        how = {"to_picture": to_picture, "limited": limited, "labels": tuple(labels)}
        return decode(outputs, head.strides, view.picture, config, **how)

    def metric(self, spec: Model, labels: Sequence[Label] = ()) -> BoxMetric:
        return BoxMetric(tuple(labels))

    def metric_packages(self, spec: Model) -> dict[str, str]:
        return {"pycocotools": "metrics"}

    def primary_metric(self, spec: Model) -> str:
        return "box_ap50"

    def confusion(self, result: Detections, annotation: Detections, classes: int) -> np.ndarray:
        return count_boxes(result, annotation, classes)

    def draw(
        self, picture: Image.Image, results: Mapping[str, Any], *, model: str = "", model_view: Image.Image | None = None
    ) -> Image.Image:
        """Draw the boxes on the picture, one view for each heading; a ground truth has no scores. Boxes of low score are left out."""
        return draw_views(picture, {heading: likely(as_boxes(result)) for heading, result in results.items()}, model=model)


SHOWN = 0.5  # least score of a box that is drawn
OPTIONS = ("threshold", "per_level", "suppression", "overlap", "max_detections")


def fcos(spec: Model) -> FCOS:
    """Return the head of a model of this task."""
    assert isinstance(spec.head, FCOS)
    return spec.head


def likely(detections: Detections, least: float = SHOWN) -> Detections:
    """Return the boxes whose score is at least `least`."""
    keep = np.flatnonzero(np.asarray(detections.scores) >= least)
    boxes, scores, labels = (values[keep] for values in (detections.boxes, detections.scores, detections.labels))
    crowd = None if detections.crowd is None else detections.crowd[keep]
    return Detections(boxes, scores, labels, detections.categories, crowd, detections.warnings)


def as_boxes(annotation: Detections | Segmentation) -> Detections:
    """Return boxes as they are, and the boxes of the things among segments."""
    return annotation.to_detections() if isinstance(annotation, Segmentation) else annotation
