"""Which model deeplab2's tensors are of, from their shapes: all that shows in them, and the rest as deeplab2 has it by default."""

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
from .mask_infer import infer_masks, is_mask_transformer, masks_as_found, memory_arguments

ASSUMED = "no registered model: built from the tensors' shapes, with ReLU, output stride 16 and no drop path, which they do not show"
ASSUMED_CLUSTERING = (
    "no registered model: built from the tensors' shapes, with kMaX-DeepLab's activation and strides, which they do not show"
)
ASSUMED_RATES = "atrous rates 6, 12 and 18"
ASSUMED_THINGS = "no class a thing, which tensors do not show: say things=(...) when loading"
RATES = (6, 12, 18)

Shapes = Mapping[str, tuple[int, ...]]


def shapes_of(spec: Model) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a model's tensors in their checkpoints, the backbone's below the encoder."""
    return {place.key: place.shape for place in places(spec)}


def head_of(found: Shapes) -> type:
    """Return the kind of head whose tensors are among them."""
    if is_mask_transformer(found):
        return MaskTransformer
    return Panoptic if any(not key.startswith("_") for key in found) else Classifier


def infer(found: Shapes, *, activation: str = "relu", output_stride: int = 16) -> Model | None:
    """The model that has exactly these tensors, where deeplab2's own arguments can make one: all that shows in shapes.

    Args:
        found: By key, the backbone's below the encoder.
        activation, output_stride: What does not show; by default as deeplab2 has them.
    """
    try:
        kind = head_of(found)
        clustering = kind is MaskTransformer and "memory_feature" not in found  # kMaX-DeepLab's own encoders
        if clustering:
            activation, output_stride = "gelu" if "_stem/_conv1_bn_act/_conv/kernel" in found else "relu", 32
        spec = as_found(_backbone(found, activation, output_stride), found)
        if kind is Panoptic:
            spec = replace(spec, head=_head(found, spec.backbone))
        elif kind is MaskTransformer:
            decoder = (
                _decoder(found, "semantic_decoder", spec.backbone)
                if "semantic_decoder/_aspp/_proj_conv_bn_act/_conv/kernel" in found
                else None
            )
            spec = replace(spec, head=infer_masks(found, spec.backbone, decoder))
    except (KeyError, IndexError, ValueError, ZeroDivisionError, StopIteration):  # of shapes that no such model has
        return None
    return spec if shapes_of(spec) == found else None


def as_found(spec: Model, found: Shapes) -> Model:
    """`spec` with the file's image channels and classes, where its tensors have shapes that tell; without a classifier."""
    stem = found.get("_stem/_conv/kernel", found.get("_stem/_conv1_bn_act/_conv/kernel", ()))
    if isinstance(spec.head, MaskTransformer):
        return adapt(spec, in_channels=stem[2] if len(stem) == 4 else None, **masks_as_found(spec.head, found))
    last, classes = found.get("semantic_last_layer/kernel", ()), 0
    if isinstance(spec.head, Panoptic):
        classes = last[3] if len(last) == 4 else spec.num_classes
        if classes != spec.num_classes:
            spec = replace(spec, head=replace(spec.head, things=()))
    try:
        return adapt(spec, num_classes=classes, in_channels=stem[2] if len(stem) == 4 else None)
    except SpecError:
        return adapt(spec, num_classes=classes or None)


def _backbone(found: Shapes, activation: str, output_stride: int) -> Model:
    beta = "_stem/_conv1_bn_act/_conv/kernel" in found
    stem = found["_stem/_conv1_bn_act/_conv/kernel" if beta else "_stem/_conv/kernel"]
    seen = {match[0]: (int(match[1]), int(match[2])) for key in found if (match := re.match(r"_stage(\d)/_block(\d+)", key))}
    filters = {block: found[f"{block}/_conv3_bn/_conv/kernel"][3] // 4 for block in seen if f"{block}/_conv3_bn/_conv/kernel" in found}
    axial = sorted((at, block) for block, at in seen.items() if f"{block}/_attention/_width_axis/qkv_kernel" in found)
    expansion, key = 2, 1
    if axial:
        (stage, index), block = axial[0]
        values, projected = found[f"{block}/_attention/_width_axis/qkv_kernel"]
        expansion, key = values // filters[block], (projected - values) // 2 // filters[block]
    return backbone(
        "resnet_beta" if beta else {7: "resnet", 3: "wider_resnet"}[stem[0]],
        depths=tuple(sum(at == number for at, _ in seen.values()) for number in (2, 3, 4, 5)),
        width=filters["_stage5/_block1"] / 512,
        stem_width=stem[3] / 64,
        axial_from=(1 << stage - (index == 1)) if axial else 0,
        expansion=expansion,
        key=key,
        activation=activation,
        output_stride=output_stride,
        squeeze_excite=any("/_squeeze_and_excite/" in name for name in found),
        decoder_stacks=sum(bool(re.fullmatch(r"_decoder_stage\d+/_block1/_conv1_bn_act/_conv/kernel", name)) for name in found) // 4,
        **memory_arguments(found),
    )


def _decoder(found: Shapes, item: str, backbone: Backbone) -> Decoder:
    """Of skips, the coarsest endpoint of the stages that has the channels: deeplab2 takes in its ``res3``, then its ``res2``."""
    stages = [info for info in backbone.feature_info() if info["module"].startswith("stages")]
    rates = RATES if f"{item}/_aspp/_conv_bn_act/_conv/kernel" in found else ()
    skips, below = [], stages[-1]["reduction"] + 1
    while (key := f"{item}/_low_level_conv{len(skips) + 1}/_conv/kernel") in found:
        *_, inputs, outputs = found[key]
        fits = (info["reduction"] for info in reversed(stages) if info["num_chs"] == inputs and info["reduction"] < below)
        below = next(fits)
        skips.append(Skip(below, outputs))
    width = found[f"{item}/_aspp/_proj_conv_bn_act/_conv/kernel"][3]
    channels = found[f"{item}/_fusion_conv1/_conv1_bn_act/_pointwise/_conv/kernel"][3] if skips else width
    return Decoder(channels, width, rates, tuple(skips), 0.1 if rates else 0.0)


def _head(found: Shapes, backbone: Backbone) -> Panoptic:
    def between(item: str) -> int:
        return found[f"{item}/kernel"][2]

    instances = None
    if "instance_center_head_last_layer/kernel" in found:
        centers, offsets = between("instance_center_head_last_layer"), between("instance_regression_head_last_layer")
        instances = Instances(_decoder(found, "instance_decoder", backbone), centers, offsets)
    classes = found["semantic_last_layer/kernel"][3]
    return Panoptic(classes, (), _decoder(found, "semantic_decoder", backbone), between("semantic_last_layer"), instances)
