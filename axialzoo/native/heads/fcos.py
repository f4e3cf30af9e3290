"""Plan of FCOS: a feature pyramid, and towers that all levels share."""

from __future__ import annotations

from axialzoo.native.builder import Builder, repeated
from axialzoo.native.heads.registry import register_plan
from axialzoo.native.program import Maps, View
from axialzoo.spec import Backbone
from axialzoo.spec.heads.fcos import FCOS
from axialzoo.spec.heads.pyramid import check_half


@register_plan(FCOS)
def plan_fcos(build: Builder, head: FCOS, backbone: Backbone, features: list[View]) -> Maps:
    """Append the head: maps of classes, boxes and centerness of each level."""
    levels = plan_pyramid(build, "head.pyramid", head.pyramid.extra(backbone), features)
    maps: dict[str, list[View]] = {"classes": [], "boxes": [], "centerness": []}
    for level, x in enumerate(levels):
        classes, boxes = (plan_tower(build, f"head.levels.{tower}", head, level, x) for tower in ("class_tower", "box_tower"))
        maps["classes"].append(build.biased("head.levels.classes", classes))
        scaled = build.weights.conv("head.levels.boxes", None, True, scale=f"head.levels.scales.{level}")
        maps["boxes"].append(build.convolution("head.levels.boxes", boxes, scaled, activation="relu"))
        maps["centerness"].append(build.biased("head.levels.centerness", boxes))
    return {name: list(views) for name, views in maps.items()}


def plan_tower(build: Builder, name: str, head: FCOS, level: int, x: View) -> View:
    """Append the convolutions of a tower, each with the norm of the level."""
    for index in range(head.depth):
        matrix = build.weights.conv(f"{name}.convs.{index}", f"{name}.norms.{index}.{level}", False)
        x = build.convolution(f"{name}.convs.{index}", x, matrix, activation=head.activation)
    return x


def plan_pyramid(build: Builder, name: str, extra: int, features: list[View]) -> list[View]:
    """Append a feature pyramid: coarse features are added to finer ones, finest first."""
    for coarse, fine in zip(features[1:], features):
        check_half(coarse.size, fine.size)
    merged: list[View] = [build.conv_norm(f"{name}.lateral.{index}", x) for index, x in enumerate(features)]
    for level in range(len(merged) - 1, 0, -1):
        fine = merged[level - 1]
        axes = repeated(fine.shape[1]), repeated(fine.shape[2])
        merged[level - 1] = build.resize(f"{name}.repeat.{level}", merged[level], axes, residual=fine)
    levels = [build.conv_norm(f"{name}.output.{index}", x) for index, x in enumerate(merged)]
    for index in range(extra):
        x = levels[-1] if index == 0 else build.activate(levels[-1], "relu")
        levels.append(build.conv_norm(f"{name}.extra.{index}", x, stride=2))
    return levels
