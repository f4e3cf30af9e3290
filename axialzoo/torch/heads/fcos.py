"""FCOS (arXiv:1904.01355, arXiv:2006.09214): the class, the distances to the box's sides and the centerness of each location."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from axialzoo.spec import Backbone, Norm
from axialzoo.spec.heads.fcos import FCOS as Spec
from axialzoo.spec.heads.fcos import PRIOR, SPREAD
from axialzoo.torch.blocks import ACTIVATIONS
from axialzoo.torch.heads.head_module import HeadModule, register_head
from axialzoo.torch.heads.pyramid import FeaturePyramid
from axialzoo.torch.norm import BatchNorm, apply_norm


@register_head(Spec)
class FCOS(HeadModule[dict[str, list[Tensor]]]):
    """A feature pyramid, and an :class:`FCOSPredictor` on its levels.

    Shapes:
        The endpoints, [(N, C, H', W')], to maps of each level: see :class:`FCOSPredictor`. They are float32 under autocast too.
    """

    def __init__(self, spec: Spec, backbone: Backbone):
        super().__init__(spec)
        pyramid, norm = spec.pyramid, backbone.norm
        self.pyramid = FeaturePyramid(pyramid.inputs(backbone), pyramid.channels, norm, pyramid.extra(backbone))
        self.levels = FCOSPredictor(pyramid.channels, spec.num_classes, len(pyramid.strides), norm, spec.depth, spec.activation)

    def forward(self, features: Sequence[Tensor], pre_logits: bool = False) -> dict[str, list[Tensor]]:
        return self.levels(self.pyramid(features), pre_logits)

    def get_classifier(self) -> nn.Module:
        return self.levels.classes


class FCOSPredictor(nn.Module):
    """Classes, boxes and centerness of each level of a pyramid; all levels share the convolutions.

    Args:
        channels: Channels of each level and of the towers.
        classes: Number of classes.
        levels: Number of levels.
        depth: Convolutions of each of the two towers.

    Shapes:
        ``(N, channels, H, W)`` of each level to, of each level, ``classes`` ``(N, classes, H, W)`` logits, ``boxes`` ``(N, 4, H, W)``
        distances of 0 or more to left, top, right and bottom in strides of the level, ``centerness`` ``(N, 1, H, W)`` logits.
    """

    def __init__(self, channels: int, classes: int, levels: int, norm: Norm, depth: int = 4, activation: str = "relu"):
        super().__init__()
        self.class_tower = Tower(channels, levels, norm, depth, activation)
        self.box_tower = Tower(channels, levels, norm, depth, activation)
        self.classes = nn.Conv2d(channels, classes, 3, padding=1)
        self.boxes = nn.Conv2d(channels, 4, 3, padding=1)
        self.centerness = nn.Conv2d(channels, 1, 3, padding=1)
        self.scales = _Scales(levels)
        starts = {self.classes: -math.log((1 - PRIOR) / PRIOR), self.boxes: 1.0, self.centerness: 0.0}  # 1: a relu's gradient is not 0
        for conv, start in starts.items():
            assert conv.bias is not None
            nn.init.normal_(conv.weight, std=SPREAD)
            nn.init.constant_(conv.bias, start)

    def forward(self, features: Sequence[Tensor], pre_logits: bool = False) -> dict[str, list[Tensor]]:
        outputs: dict[str, list[Tensor]] = {"classes": [], "boxes": [], "centerness": []}
        for level, x in enumerate(features):
            x, y = self.class_tower(x, level), self.box_tower(x, level)  # (N, channels, H, W) each
            device = "cpu" if x.is_meta else x.device.type  # meta tensors have no autocast
            with torch.autocast(device, enabled=False):  # distances need more than 8 bits
                x, y = x.to(self.classes.weight.dtype), y.to(self.classes.weight.dtype)
                outputs["classes"].append(x if pre_logits else self.classes(x))
                outputs["boxes"].append(F.relu(self.scales(self.boxes(y), level)))
                outputs["centerness"].append(self.centerness(y))
        return outputs


class _Scales(nn.Module):
    """A factor of each level for its distances; a module, so that hooks see it."""

    def __init__(self, levels: int):
        super().__init__()
        for level in range(levels):
            self.register_parameter(str(level), nn.Parameter(torch.ones(1)))

    def forward(self, x: Tensor, level: int) -> Tensor:
        return x * getattr(self, str(level))


class Tower(nn.Module):
    """3 x 3 convolutions that all levels share, each followed by the level's own norm and an activation.

    The levels do not share norms: their values are distributed differently, so that the moving statistics of a shared norm would
    follow the last level and fit none. Each level has its own norm instead (as in arXiv:1911.09070), whose statistics come from
    N H W values. For small batches take no more levels than the objects need.

    Shapes:
        ``(N, channels, H, W)`` to the same.
    """

    def __init__(self, channels: int, levels: int, norm: Norm, depth: int, activation: str):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(depth)])
        self.norms = nn.ModuleList([nn.ModuleList([BatchNorm(channels, norm) for _ in range(levels)]) for _ in range(depth)])
        self.activation = ACTIVATIONS[activation]
        for conv in self.convs:
            assert isinstance(conv, nn.Conv2d)
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor, level: int) -> Tensor:
        for conv, norms in zip(self.convs, self.norms):
            assert isinstance(norms, nn.ModuleList)
            x = apply_norm(norms[level], conv(x), None, self.activation)
        return x
