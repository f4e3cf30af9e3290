"""Pictures cut into segments: semantic, instance and panoptic segmentation are one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from axialzoo.image import View
from axialzoo.image.draw_segments import draw_comparison, draw_views
from axialzoo.spec import Head, Label, Model
from axialzoo.spec.heads.panoptic import Panoptic
from axialzoo.tasks.base import Arrays, Task
from axialzoo.tasks.results import Segments
from axialzoo.tasks.segmentation.decode import decode
from axialzoo.tasks.segmentation.grow import grown
from axialzoo.tasks.segmentation.metrics import SegmentationMetric
from axialzoo.tasks.segmentation.targets import targets


class Segmentation(Task):
    """Pictures to segments, by Panoptic-DeepLab's maps (arXiv:1911.10194)."""

    name: ClassVar[str] = "segmentation"
    heads: ClassVar[tuple[type[Head], ...]] = (Panoptic,)
    pipeline_tag: ClassVar[str] = "image-segmentation"
    truth: ClassVar[str] = "segments"
    figure: ClassVar[str] = "pq"

    def targets(self, truth: Segments, spec: Model, size: tuple[int, int]) -> dict[str, np.ndarray]:
        """As :func:`axialzoo.tasks.segmentation.targets.targets` makes them, at the stride of the head's maps."""
        head = panoptic(spec)
        stride = head.stride(spec.backbone)
        reading, instances = head.reading, head.instances is not None
        settings = {"sigma": reading.sigma, "small_weight": reading.small_weight}
        return targets(truth, stride=stride, things=head.things, instances=instances, **settings)

    def decode(self, outputs: Arrays, spec: Model, view: View, labels: Sequence[Label] = (), **options: Any) -> Segments:
        """Segments in the picture's own pixels.

        Args:
            outputs, spec, view, labels: As of every task.
            options: Of :func:`axialzoo.tasks.segmentation.decode.decode`, over what the checkpoint says.
        """
        head = panoptic(spec)
        reading = head.reading
        maps = grown(outputs, view.size, head.stride(spec.backbone))
        settings = {
            "center_threshold": reading.threshold,
            "nms_kernel": reading.kernel,
            "top_k": reading.top_k,
            "stuff_area": reading.stuff_area,
            "instance_area": reading.instance_area,
        }
        found = decode(**maps, labels=tuple(labels), things=head.things, **{**settings, **options})
        return in_picture(found, view)

    def metric(self, spec: Model, labels: Sequence[Label] = ()) -> SegmentationMetric:
        head = panoptic(spec)
        names = tuple(labels) or tuple(Label(f"class {index}", index in head.things) for index in range(head.num_classes))
        return SegmentationMetric(names, instances=head.instances is not None, max_detections=max(head.reading.top_k, 100))

    def draw(self, picture: Image.Image, results: Mapping[str, Any], *, model: str = "", seen: Image.Image | None = None) -> Image.Image:
        """The picture under its segments, one view for each heading; beside a truth, the picture itself too."""
        if set(results) == {"truth", "prediction"}:
            return draw_comparison(picture, results["truth"], results["prediction"], model=model or "prediction")
        return draw_views(picture, results, model=model)


def panoptic(spec: Model) -> Panoptic:
    """The head of a model of this task."""
    assert isinstance(spec.head, Panoptic)
    return spec.head


def in_picture(segments: Segments, view: View) -> Segments:
    """Segments of the model's input as segments of the picture: areas counted anew, those without a pixel left out."""
    if view.size == view.picture and (view.top, view.left) == (0, 0):
        return segments
    ids = view.map_to_picture(segments.map)
    areas = np.bincount(ids.reshape(-1), minlength=int(segments.map.max(initial=0)) + 1)
    info = [{**one, "area": int(areas[one["id"]])} for one in segments.segments_info if areas[one["id"]]]
    return Segments(ids, info, segments.labels, view.map_to_picture(segments.classes, fill=-1))
