"""Inference of a deeplab2 model from the shapes of its tensors; settings that shapes do not show have deeplab2's defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from axialzoo.spec import Backbone, Model, SpecError, adapt
from axialzoo.spec.heads.classifier import Classifier
from axialzoo.spec.heads.mask_transformer import MaskTransformer
from axialzoo.spec.heads.panoptic import Decoder, Instances, Panoptic, Skip
from axialzoo.spec.zoo.deeplab2 import backbone

from .deeplab2_names import places
from .mask_infer import infer_masks, is_mask_transformer, mask_options_from_shapes, memory_arguments

ASSUMED = "no registered model: built from the tensors' shapes, with ReLU, output stride 16 and no drop path, which they do not show"
ASSUMED_CLUSTERING = (
    "no registered model: built from the tensors' shapes, with kMaX-DeepLab's activation and strides, which they do not show"
)
ASSUMED_RATES = "atrous rates 6, 12 and 18"
ASSUMED_THINGS = "no class a thing, which tensors do not show: say things=(...) when loading"
RATES = (6, 12, 18)

Shapes = Mapping[str, tuple[int, ...]]


def shapes_of(spec: Model) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of a model's tensors in their checkpoints; those of the backbone are below the encoder."""
    return {place.key: place.shape for place in places(spec)}


def head_of(shapes: Shapes) -> type:
    """Return the kind of head whose tensors are among `shapes`."""
    if is_mask_transformer(shapes):
        return MaskTransformer
    return Panoptic if any(not key.startswith("_") for key in shapes) else Classifier


def infer(shapes: Shapes, *, activation: str = "relu", output_stride: int = 16) -> Model | None:
    """Infer the model with exactly these tensors, where deeplab2's arguments can build one; else None.

    Args:
        shapes: Shapes by key; those of the backbone are below the encoder.
        activation, output_stride: Settings that shapes do not show; the defaults are deeplab2's.
    """
    try:
        kind = head_of(shapes)
        clustering = kind is MaskTransformer and "memory_feature" not in shapes  # the encoders of kMaX-DeepLab
        if clustering:
            activation, output_stride = "gelu" if "_stem/_conv1_bn_act/_conv/kernel" in shapes else "relu", 32
        spec = fit_to_shapes(_backbone(shapes, activation, output_stride), shapes)
        if kind is Panoptic:
            spec = replace(spec, head=_head(shapes, spec.backbone))
        elif kind is MaskTransformer:
            decoder = (
                _decoder(shapes, "semantic_decoder", spec.backbone)
                if "semantic_decoder/_aspp/_proj_conv_bn_act/_conv/kernel" in shapes
                else None
            )
            spec = replace(spec, head=infer_masks(shapes, spec.backbone, decoder))
    except (KeyError, IndexError, ValueError, ZeroDivisionError, StopIteration):  # shapes of another architecture
        return None
    return spec if shapes_of(spec) == shapes else None


def fit_to_shapes(spec: Model, shapes: Shapes) -> Model:
    """Return `spec` with the file's image channels and classes, where its tensors show them, and without a classifier."""
    stem = shapes.get("_stem/_conv/kernel", shapes.get("_stem/_conv1_bn_act/_conv/kernel", ()))
    if isinstance(spec.head, MaskTransformer):
        return adapt(spec, in_channels=stem[2] if len(stem) == 4 else None, **mask_options_from_shapes(spec.head, shapes))
    last, classes = shapes.get("semantic_last_layer/kernel", ()), 0
    if isinstance(spec.head, Panoptic):
        classes = last[3] if len(last) == 4 else spec.num_classes
        if classes != spec.num_classes:
            spec = replace(spec, head=replace(spec.head, things=()))
    try:
        return adapt(spec, num_classes=classes, in_channels=stem[2] if len(stem) == 4 else None)
    except SpecError:
        return adapt(spec, num_classes=classes or None)


def _backbone(shapes: Shapes, activation: str, output_stride: int) -> Model:
    beta = "_stem/_conv1_bn_act/_conv/kernel" in shapes
    stem = shapes["_stem/_conv1_bn_act/_conv/kernel" if beta else "_stem/_conv/kernel"]
    blocks = {match[0]: (int(match[1]), int(match[2])) for key in shapes if (match := re.match(r"_stage(\d)/_block(\d+)", key))}
    filters = {block: shapes[f"{block}/_conv3_bn/_conv/kernel"][3] // 4 for block in blocks if f"{block}/_conv3_bn/_conv/kernel" in shapes}
    axial = sorted((at, block) for block, at in blocks.items() if f"{block}/_attention/_width_axis/qkv_kernel" in shapes)
    expansion, key = 2, 1
    if axial:
        (stage, index), block = axial[0]
        values, projected = shapes[f"{block}/_attention/_width_axis/qkv_kernel"]
        expansion, key = values // filters[block], (projected - values) // 2 // filters[block]
    return backbone(
        "resnet_beta" if beta else {7: "resnet", 3: "wider_resnet"}[stem[0]],
        depths=tuple(sum(at == number for at, _ in blocks.values()) for number in (2, 3, 4, 5)),
        width=filters["_stage5/_block1"] / 512,
        stem_width=stem[3] / 64,
        axial_from=(1 << stage - (index == 1)) if axial else 0,
        expansion=expansion,
        key=key,
        activation=activation,
        output_stride=output_stride,
        squeeze_excite=any("/_squeeze_and_excite/" in name for name in shapes),
        decoder_stacks=sum(bool(re.fullmatch(r"_decoder_stage\d+/_block1/_conv1_bn_act/_conv/kernel", name)) for name in shapes) // 4,
        **memory_arguments(shapes),
    )


def _decoder(shapes: Shapes, item: str, backbone: Backbone) -> Decoder:
    """Infer a decoder. Each skip takes the coarsest endpoint with its channels, as deeplab2 takes its ``res3``, then its ``res2``."""
    stages = [info for info in backbone.feature_info() if info["module"].startswith("stages")]
    rates = RATES if f"{item}/_aspp/_conv_bn_act/_conv/kernel" in shapes else ()
    skips, below = [], stages[-1]["reduction"] + 1
    while (key := f"{item}/_low_level_conv{len(skips) + 1}/_conv/kernel") in shapes:
        *_, inputs, outputs = shapes[key]
        fits = (info["reduction"] for info in reversed(stages) if info["num_chs"] == inputs and info["reduction"] < below)
        below = next(fits)
        skips.append(Skip(below, outputs))
    width = shapes[f"{item}/_aspp/_proj_conv_bn_act/_conv/kernel"][3]
    channels = shapes[f"{item}/_fusion_conv1/_conv1_bn_act/_pointwise/_conv/kernel"][3] if skips else width
    return Decoder(channels, width, rates, tuple(skips), 0.1 if rates else 0.0)


def _head(shapes: Shapes, backbone: Backbone) -> Panoptic:
    def hidden_channels(item: str) -> int:
        return shapes[f"{item}/kernel"][2]

    instances = None
    if "instance_center_head_last_layer/kernel" in shapes:
        centers, offsets = hidden_channels("instance_center_head_last_layer"), hidden_channels("instance_regression_head_last_layer")
        instances = Instances(_decoder(shapes, "instance_decoder", backbone), centers, offsets)
    classes = shapes["semantic_last_layer/kernel"][3]
    return Panoptic(classes, (), _decoder(shapes, "semantic_decoder", backbone), hidden_channels("semantic_last_layer"), instances)
