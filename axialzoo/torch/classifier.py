"""Image classification: a backbone, global average pooling and a linear classifier."""

from __future__ import annotations

from torch import Tensor, nn

from axialzoo.spec import Model
from axialzoo.torch.backbone import AxialBackbone


class AxialClassifier(AxialBackbone):
    """Images to logits.

    Args:
        spec: What it computes; ``num_classes=0`` gives the pooled features.

    Shapes:
        ``(N, 3, H, W)`` of any height and width to ``(N, num_classes)``.
    """

    def __init__(self, spec: Model):
        super().__init__(spec)
        self.num_classes = spec.num_classes
        self.classifier = nn.Linear(self.num_features, spec.num_classes) if spec.num_classes else None

    def forward_features(self, x: Tensor) -> Tensor:
        """The last stage's output, activated: (N, C, H', W')."""
        return self.endpoints(x)[-1]

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """(N, C, H', W') to logits (N, num_classes), or to the pooled features (N, C)."""
        x = x.mean((2, 3))  # (N, C)
        return x if pre_logits or self.classifier is None else self.classifier(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))
