"""The second room, in PyTorch: the layers and the loss."""

from __future__ import annotations

from torch import nn

from axialzoo.torch.heads import HeadModule, register_head
from axialzoo.torch.losses import register_loss
from tests.contract.toy.spec import Toy


@register_head(Toy)
class ToyHead(HeadModule):
    def __init__(self, spec, backbone):
        super().__init__(spec)
        self.out = nn.Linear(backbone.channels, spec.num_classes)

    def forward(self, features, pre_logits=False):
        x = features[-1].mean((2, 3))  # (N, C)
        return x if pre_logits else self.out(x)  # (N, classes)

    def get_classifier(self):
        return self.out


@register_loss(Toy)
def toy_loss(outputs, targets, head):
    """Mean squared error of the shares."""
    return {"total": (outputs.float().sigmoid() - targets["cover"]).square().mean()}
