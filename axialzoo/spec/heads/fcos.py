"""FCOS (arXiv:1904.01355, arXiv:2006.09214): objects in boxes, told at each location of each level of a pyramid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import ClassVar, Literal

from axialzoo.spec.backbone import ACTIVATIONS, Backbone
from axialzoo.spec.check import require, require_choice, require_count, require_number
from axialzoo.spec.heads.head import Head, Output, register_head
from axialzoo.spec.heads.pyramid import Pyramid
from axialzoo.spec.primitives import BatchNorm, Conv, Layer, Scale

INFINITY = float("inf")

PRIOR = 0.01  # how likely each class is at the start, so that the many locations of background do not drown the rest (arXiv:1708.02002)
SPREAD = 0.01  # of the last convolutions' weights at the start


@dataclass(frozen=True)
class TargetConfig:
    """Settings of the targets in training.

    Attributes:
        ends: Largest reach in pixels of the model's input, from a location to the farthest side of its box, of each level but the last,
            which has no end; none for the paper's, 8 strides of each level.
        radius: A location is of a box where it lies at most so many strides from the box's centre; None: anywhere inside.
    """

    ends: tuple[float, ...] = ()
    radius: float | None = 1.5

    def __post_init__(self):
        for end in self.ends:
            require_number("TargetConfig", "ends", end, 1e-3, 1e9)
        require(list(self.ends) == sorted(set(self.ends)), f"TargetConfig.ends: expected growing numbers, found {list(self.ends)}")
        if self.radius is not None:
            require_number("TargetConfig", "radius", self.radius, 1e-3, 1e9)


@dataclass(frozen=True)
class PostprocessConfig:
    """Settings of the way from maps to boxes.

    Attributes:
        threshold: Least score.
        per_level: How many candidates of a level go on at most, the best.
        suppression: ``"greedy"``, or Soft-NMS (arXiv:1704.04503), ``"gaussian"`` or ``"linear"``.
        overlap: Intersection over union above which a box is taken away (greedy) or its score lowered (linear).
        max_detections: How many boxes to give at most, the best.
    """

    threshold: float = 0.05
    per_level: int = 1000
    suppression: str = "greedy"
    overlap: float = 0.6
    max_detections: int = 100

    def __post_init__(self):
        for name in ("threshold", "overlap"):
            require_number("PostprocessConfig", name, getattr(self, name), 0.0, 1.0)
        for name in ("per_level", "max_detections"):
            require_count("PostprocessConfig", name, getattr(self, name))
        require_choice("PostprocessConfig", "suppression", self.suppression, ("greedy", "gaussian", "linear"))


@register_head
@dataclass(frozen=True)
class FCOS(Head):
    """Detection head of FCOS: for each level a map of ``classes`` (logits), ``boxes`` (distances of 0 or more to left, top, right and
    bottom, in strides of the level) and ``centerness`` (logits).

    Attributes:
        num_classes: How many classes.
        pyramid: The levels.
        depth: Convolutions before the last, of the classes and of the boxes each; all levels share them.
        activation: After each of them.
        targets: Settings of the targets in training.
        postprocess: Settings of the way from maps to boxes.
    """

    kind: ClassVar[str] = "fcos"
    task: ClassVar[str] = "detection"
    pipeline_tag: ClassVar[str] = "object-detection"
    output_structure: ClassVar[Literal["tensor", "maps", "pyramids"]] = "pyramids"
    num_classes: int = 80
    pyramid: Pyramid = field(default_factory=Pyramid)
    depth: int = 4
    activation: str = "relu"
    targets: TargetConfig = TargetConfig()
    postprocess: PostprocessConfig = PostprocessConfig()

    def __post_init__(self):
        require_count("FCOS", "num_classes", self.num_classes)
        require_count("FCOS", "depth", self.depth, least=0)
        require_choice("FCOS", "activation", self.activation, ACTIVATIONS)
        ends, levels = self.targets.ends, len(self.pyramid.strides)
        require(
            len(ends) in (0, levels - 1),
            f"TargetConfig.ends: expected none, or one for each of the {levels} levels but the last, found {ends}",
        )

    @property
    def strides(self) -> tuple[int, ...]:
        """Strides of the levels."""
        return self.pyramid.strides

    @property
    def ranges(self) -> list[tuple[float, float]]:
        """Least and largest reach of each level, in pixels of the model's input."""
        ends = self.targets.ends or tuple(8.0 * stride for stride in self.strides[:-1])
        return list(pairwise((0.0, *ends, INFINITY)))

    def endpoints(self, backbone: Backbone) -> tuple[int, ...]:
        return self.pyramid.endpoints(backbone)

    def layers(self, backbone: Backbone) -> Iterator[Layer]:
        yield from self.pyramid.layers("head.pyramid", backbone)
        channels, name = self.pyramid.channels, "head.levels"
        first, *rest = ((stride, stride) for stride in self.strides)
        more = tuple(rest)
        for tower in ("class_tower", "box_tower"):
            for index in range(self.depth):
                yield Conv(f"{name}.{tower}.convs.{index}", channels, channels, first, more, 3)
                for level, stride in enumerate((first, *rest)):  # the convolutions are shared, the norms are not
                    yield BatchNorm(f"{name}.{tower}.norms.{index}.{level}", channels, channels, stride)
        for map, count in self.maps().items():
            yield Conv(f"{name}.{map}", channels, count, first, more, 3, bias=True)
        for level, stride in enumerate((first, *rest)):
            yield Scale(f"{name}.scales.{level}", 4, 4, stride)

    def maps(self) -> dict[str, int]:
        """Return the channels of each map of a level."""
        return {"classes": self.num_classes, "boxes": 4, "centerness": 1}

    def outputs(self, backbone: Backbone) -> dict[str, Output]:
        """Describe the outputs of the finest level; `strides` has the strides of all levels."""
        return {name: Output(channels, self.strides[0]) for name, channels in self.maps().items()}

    def canonical(self) -> FCOS:
        return replace(self, num_classes=1, targets=TargetConfig(), postprocess=PostprocessConfig())

    @classmethod
    def options(cls) -> tuple[str, ...]:
        return ("targets", "postprocess")
