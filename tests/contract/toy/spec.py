"""The first room: the spec, and a narrow model of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from axialzoo.spec import Backbone, Head, ModelEntry, Output, get_entry, register
from axialzoo.spec.heads import register_head
from axialzoo.spec.primitives import Layer, Linear


@register_head
@dataclass(frozen=True)
class Toy(Head):
    """The share of a picture that each class covers, as a logit, from the mean of the last endpoint."""

    kind: ClassVar[str] = "toy"
    task: ClassVar[str] = "covering"
    pipeline_tag: ClassVar[str] = "other"
    output_structure: ClassVar[Literal["tensor", "maps", "pyramids"]] = "tensor"
    num_classes: int = 2

    def endpoints(self, backbone: Backbone) -> tuple[int, ...]:
        return (len(backbone.feature_info()) - 1,)

    def layers(self, backbone: Backbone) -> Iterator[Layer]:
        yield Linear("head.out", backbone.channels, self.num_classes, None)

    def outputs(self, backbone: Backbone) -> dict[str, Output]:
        return {"cover": Output(self.num_classes, None)}


narrow = get_entry("axial_resnet_cifar10_xs")
register(ModelEntry("toy_xs", replace(narrow.spec, head=Toy()), "how much of a picture each class covers", "the tests"))
