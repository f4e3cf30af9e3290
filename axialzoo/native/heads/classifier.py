"""Plan of global average pooling and a linear layer."""

from __future__ import annotations

from axialzoo.native.builder import Builder
from axialzoo.native.heads.registry import register_plan
from axialzoo.native.program import Maps, View
from axialzoo.spec import Backbone
from axialzoo.spec.heads.classifier import Classifier


@register_plan(Classifier)
def plan_classifier(build: Builder, head: Classifier, backbone: Backbone, features: list[View]) -> Maps:
    """Append the head: the last endpoint to logits, or to the pooled features without classes."""
    x = build.mean("head.mean", features[-1])
    return {"logits": build.biased("head.fc", x) if head.num_classes else x}
