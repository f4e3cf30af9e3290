"""Image classification: global average pooling and a linear layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from axialzoo.keras.heads.head_module import HeadModule, register_head
from axialzoo.keras.linear import Linear
from axialzoo.keras.pooling import GlobalAverage
from axialzoo.spec import Backbone
from axialzoo.spec.heads.classifier import Classifier as Spec


@register_head(Spec)
class Classifier(HeadModule):
    """The last endpoint to logits.

    Shapes:
        [(N, H', W', C)] of any height and width to (N, num_classes), or to the pooled features (N, C) without classes.
    """

    def __init__(self, spec: Spec, backbone: Backbone, dtype: Any):
        super().__init__(spec, dtype)
        self.pool = GlobalAverage(name="pool", dtype=dtype)
        self.fc = Linear(spec.num_classes, name="fc", dtype=self.output_dtype) if spec.num_classes else None
        if self.fc is not None:
            with keras.name_scope("head"):  # where its variables are
                self.fc.build((None, backbone.channels))

    def __call__(self, features: Sequence[Any], pre_logits: bool = False) -> Any:
        x = self.pool(features[-1])  # (N, C)
        return x if pre_logits or self.fc is None else self.fc(x)

    def get_classifier(self) -> Any:
        return self.fc
