"""Image classification: global average pooling and a linear layer."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from axialzoo.spec import Backbone
from axialzoo.spec.heads.classifier import Classifier as Spec
from axialzoo.torch.heads.head_module import HeadModule, register_head


@register_head(Spec)
class Classifier(HeadModule[Tensor]):
    """The last endpoint to logits.

    Shapes:
        [(N, C, H', W')] of any height and width to (N, num_classes), or to the pooled features (N, C) without classes.
    """

    def __init__(self, spec: Spec, backbone: Backbone):
        super().__init__(spec)
        self.fc = nn.Linear(backbone.channels, spec.num_classes) if spec.num_classes else nn.Identity()

    def forward(self, features: Sequence[Tensor], pre_logits: bool = False) -> Tensor:
        x = features[-1].mean((2, 3))  # (N, C)
        return x if pre_logits else self.fc(x)

    def get_classifier(self) -> nn.Module:
        return self.fc
