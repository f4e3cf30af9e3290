"""Global average pooling and a linear layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from axialzoo.spec.backbone import Backbone
from axialzoo.spec.check import require_count
from axialzoo.spec.heads.head import Head, Output, register_head
from axialzoo.spec.primitives import Layer, Linear


@register_head
@dataclass(frozen=True)
class Classifier(Head):
    """One vector of logits an image, from the mean of the last endpoint over all positions.

    Attributes:
        num_classes: Width of the logits; 0 gives the mean itself, the pooled features.
    """

    kind: ClassVar[str] = "classifier"
    task: ClassVar[str] = "classification"
    pipeline_tag: ClassVar[str] = "image-classification"
    output_structure: ClassVar[Literal["tensor", "maps", "pyramids"]] = "tensor"
    num_classes: int = 1000

    def __post_init__(self):
        require_count("Classifier", "num_classes", self.num_classes, least=0)

    def endpoints(self, backbone: Backbone) -> tuple[int, ...]:
        return (len(backbone.feature_info()) - 1,)

    def layers(self, backbone: Backbone) -> Iterator[Layer]:
        if self.num_classes:
            yield Linear("head.fc", backbone.channels, self.num_classes, None)

    def outputs(self, backbone: Backbone) -> dict[str, Output]:
        return {"logits": Output(self.num_classes or backbone.channels, None)}
