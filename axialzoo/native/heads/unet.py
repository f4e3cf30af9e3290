"""Plan of U-Net's decoder, alone or beside a local branch on patches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from axialzoo.native.backbone import plan_stage, plan_stem
from axialzoo.native.builder import Builder, centred
from axialzoo.native.heads.registry import register_plan
from axialzoo.native.program import Maps, View
from axialzoo.spec import Backbone
from axialzoo.spec.heads.unet import LocalBranch, UNet


@register_plan(UNet)
def plan_unet(build: Builder, head: UNet, backbone: Backbone, features: list[View]) -> Maps:
    """Append the head: the endpoints and the image to logits of every pixel."""
    *endpoints, image = features
    x = plan_steps(build, "head.decoder", head.bottleneck, endpoints, image.size)
    if head.local is not None:
        x = plan_local(build, head, head.local, backbone, x, image)
        x = build.biased("head.merge", x, activation="relu")
    return {"semantic": build.biased("head.classes", x)}


def plan_steps(build: Builder, name: str, bottleneck: bool, endpoints: list[View], size: tuple[int, int]) -> View:
    """Append the steps of a decoder: a convolution, upsampling, ReLU and the sum with an endpoint, up to the size of the image."""
    x, skips = endpoints[-1], list(endpoints if bottleneck else endpoints[:-1])
    for index in range(len(endpoints) + bottleneck):
        skip = skips.pop() if skips else None
        x = build.biased(f"{name}.{index}", x, stride=2 if bottleneck and index == 0 else 1)
        rows, columns = (centred(before, after, 0.5) for before, after in zip(x.size, size if skip is None else skip.size))
        x = build.resize(f"{name}.{index}.double", x, (rows, columns), residual=skip, activation="relu", late=True)
    return x


def plan_local(build: Builder, head: UNet, local: LocalBranch, backbone: Backbone, x: View, image: View) -> View:
    """Append the branch on patches, and return the sum of its features and those of the global branch."""
    encoder, batch, (height, width) = local.encoder(backbone), image.shape[0], image.size
    rows, columns = local.patch(height), local.patch(width)
    patches = build.new(local.grid**2 * batch, (rows, columns), image.channels)
    cells = [(index // local.grid * rows, index % local.grid * columns) for index in range(local.grid**2)]
    for index, (top, left) in enumerate(cells):
        cell = images_of(patches, index * batch, batch)
        inside = min(rows, max(height - top, 0)), min(columns, max(width - left, 0))
        if inside != (rows, columns):
            zeros = build.constant(np.zeros(image.channels), cell.shape, (0, 0, 0))
            build.add("head.local.zeros", zeros, None, out=cell)
        if min(inside) > 0:
            build.add("head.local.patch", window(image, (top, left), inside), None, out=cell.crop(*inside))
    y, endpoints = plan_stem(build, "head.local.stem", encoder, patches), []
    for index, stage in enumerate(local.stages):
        y = plan_stage(build, f"head.local.stages.{index}", encoder, stage, y)
        endpoints.append(y)
    y = plan_steps(build, "head.local.decoder", local.bottleneck, endpoints, (rows, columns))
    covered = min(height, local.grid * rows), min(width, local.grid * columns)
    total = build.new(batch, image.size, x.channels)
    if covered != image.size:  # beyond the patches the features of the global branch count twice
        build.add("head.local.beyond", x, x, out=total)
    for index, (top, left) in enumerate(cells):
        inside = min(rows, max(height - top, 0)), min(columns, max(width - left, 0))
        if min(inside) > 0:
            cell = images_of(y, index * batch, batch).crop(*inside)
            build.add("head.local.join", cell, window(x, (top, left), inside), out=window(total, (top, left), inside))
    return total


def images_of(x: View, first: int, count: int) -> View:
    """Return the map of `count` images from `first` on."""
    return replace(x, shape=(count, *x.shape[1:]), offset=x.offset + first * x.strides[0])


def window(x: View, corner: tuple[int, int], size: tuple[int, int]) -> View:
    """Return the rows and columns of a map from `corner` on."""
    offset = x.offset + corner[0] * x.strides[1] + corner[1] * x.strides[2]
    return replace(x, shape=(x.shape[0], *size, x.channels), offset=offset)
