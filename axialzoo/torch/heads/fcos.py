"""FCOS (arXiv:1904.01355, arXiv:2006.09214): at each location the class, how far the box's sides are, and how central it is."""

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
    """A feature pyramid, and at each of its levels what :class:`Levels` says.

    Shapes:
        The endpoints, [(N, C, H', W')], to maps of each level: see :class:`Levels`. They are float32 under autocast too.
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
    """Classes, boxes and centerness of each level of a pyramid; the convolutions are those of all levels.

    Args:
        channels: Of each level, and of the towers.
        classes: How many.
        levels: How many.
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
        self.scales = nn.ParameterList([torch.ones(1) for _ in range(levels)])
        starts = {self.classes: -math.log((1 - PRIOR) / PRIOR), self.boxes: 1.0, self.centerness: 0.0}  # boxes: a relu's gradient lives
        for conv, start in starts.items():
            assert conv.bias is not None
            nn.init.normal_(conv.weight, std=SPREAD)
            nn.init.constant_(conv.bias, start)

    def forward(self, features: Sequence[Tensor], pre_logits: bool = False) -> dict[str, list[Tensor]]:
        outputs: dict[str, list[Tensor]] = {"classes": [], "boxes": [], "centerness": []}
        for level, x in enumerate(features):
            x, y = self.class_tower(x, level), self.box_tower(x, level)  # (N, channels, H, W) each
            device = "cpu" if x.is_meta else x.device.type  # shapes alone have no precision to switch
            with torch.autocast(device, enabled=False):  # distances need more than 8 bits
                x, y = (one.to(self.classes.weight.dtype) for one in (x, y))
                outputs["classes"].append(x if pre_logits else self.classes(x))
                outputs["boxes"].append(F.relu(self.boxes(y) * self.scales[level]))
                outputs["centerness"].append(self.centerness(y))
        return outputs


class Tower(nn.Module):
    """3 x 3 convolutions that all levels share, each with a norm of the level's own, and activated.

    The norms are not shared: the levels' values are spread differently, so that the moving statistics of one norm for all would
    follow whichever level came last, and fit none. With a norm a level (as arXiv:1911.09070 has it) they fit, and a
    level's statistics come of N H W values: for small batches take no more levels than the objects need.

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
