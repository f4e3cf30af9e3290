"""The planner: a spec, its tensors and a size to a program."""

from __future__ import annotations

from axialzoo.native.arena import place
from axialzoo.native.backbone import plan_backbone
from axialzoo.native.builder import Builder, no_plan
from axialzoo.native.heads import PLANS
from axialzoo.native.passes import fuse_activations, hoist
from axialzoo.native.program import Maps, Program
from axialzoo.native.shapes import Shapes
from axialzoo.native.strips import group
from axialzoo.native.weights import Weights
from axialzoo.spec import Model


def plan(spec: Model, weights: Weights, batch: int, size: tuple[int, int]) -> Program:
    """Return the program of a network in evaluation for images of one size.

    Args:
        spec: The network; without a head the outputs are its endpoints, activated.
        weights: Folded weights of its checkpoint; plans of several sizes share them.
        batch, size: N, and (H, W) of the images.

    Raises:
        NoPlan: naming a part of the network that the native runtime cannot run.
    """
    backbone, head = spec.backbone, spec.head
    build = Builder(weights, (batch, *size, backbone.in_channels))
    endpoints, memory = plan_backbone(build, backbone)
    if head is None:
        outputs: Maps = {"features": [_activated(build, spec, x) for x in endpoints]}
    else:
        if type(head) not in PLANS:
            raise no_plan(f"the head {head.kind!r}")
        features = [endpoints[index] for index in head.endpoints(backbone)]
        if head.unactivated:
            features += [] if memory is None else [memory]
        else:
            features = [_activated(build, spec, x) for x in features]
        outputs = PLANS.of(head)(build, head, backbone, [*features, build.image] if head.takes_image else features)
    program = build.program(outputs)
    fuse_activations(program)
    hoist(program)
    program.strips = group(program)
    place(program)
    return program


def check_plan(spec: Model) -> None:
    """Refuse a network that the native runtime cannot run.

    Raises:
        NoPlan: naming the part.
    """
    plan(spec, Shapes(spec), 1, spec.input_size)


def _activated(build: Builder, spec: Model, x):
    return build.activate(x, spec.backbone.activation) if spec.backbone.pre_activation else x
