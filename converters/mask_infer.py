"""Inference of a deeplab2 mask transformer from the shapes of its tensors; other settings have deeplab2's defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from axialzoo.spec import Backbone
from axialzoo.spec.heads.mask_parts import SemanticBranch
from axialzoo.spec.heads.mask_transformer import MaskTransformer
from axialzoo.spec.heads.panoptic import Decoder
from axialzoo.spec.transformer import Memory, Transformer
from axialzoo.spec.zoo.mask_transformers import KMAX_COCO, MAX_POSTPROCESS, kmeans_decoder, pixel_decoder

Shapes = Mapping[str, tuple[int, ...]]


def is_mask_transformer(shapes: Shapes) -> bool:
    """Return whether `shapes` holds tensors of a mask transformer's head."""
    return "transformer_class_head/_conv/kernel" in shapes


def memory_arguments(shapes: Shapes) -> dict:
    """Return the arguments of `axialzoo.spec.zoo.deeplab2.backbone` for tokens and transformers; empty without them."""
    if "memory_feature" not in shapes:
        return {}
    _, tokens, channels = shapes["memory_feature"]
    transformer = "_stage5/_block1_transformer/"
    filters = shapes[f"{transformer}_memory_qkv_conv_bn/_conv/kernel"][2] // 4
    steps = {match[1] for key in shapes if (match := re.match(r"_decoder_stage(\d+)_extra/_block1/", key))}
    blocks = {match[1] for key in shapes if (match := re.match(r"_decoder_stage\d+_extra/_block(\d+)/", key))}
    backbone_steps = {match[1] for key in shapes if (match := re.match(r"_decoder_stage(\d+)/_block1/", key))}
    return {
        "memory": Memory(tokens, channels),
        "transformer_from": 16 if any(key.startswith("_stage4/_block1_transformer/") for key in shapes) else 32,
        "transformer_width": filters / 128,
        "transformer_ffn": shapes[f"{transformer}_memory_ffn_conv1_bn_act/_conv/kernel"][2],
        "extra_stacks": (len(steps - backbone_steps) - 2) // 4,
        "extra_blocks": len(blocks),
    }


def infer_masks(shapes: Shapes, backbone: Backbone, semantic: Decoder | None) -> MaskTransformer:
    """Return the head that has exactly these tensors.

    Args:
        shapes: Shapes by key; those of the backbone are below the encoder.
        backbone: The backbone.
        semantic: Decoder of the semantic branch, if it has one.
    """
    classes, kernel = shapes["transformer_class_head/_conv/kernel"][2] - 1, shapes["pixel_space_head/final_conv/kernel"]
    common: dict[str, Any] = {"pixel_channels": kernel[2], "mask_channels": kernel[3]}
    outputs = shapes["semantic_last_layer/kernel"][3]
    branch = SemanticBranch(semantic, shapes["semantic_last_layer/kernel"][2], order_of(outputs, classes))
    if backbone.memory is not None:
        branch = replace(branch, from_neck=semantic is None)
        embed = shapes["_class_feature_extra/_conv/kernel"][2]
        return MaskTransformer(
            classes, slots=backbone.memory.tokens, embed_channels=embed, semantic=branch, postprocess=MAX_POSTPROCESS, **common
        )
    widths, depths, axial, stage = [], [], 0, 0
    while (key := f"pixel_decoder/_stages/{stage}/_block1/_conv3_bn/_conv/kernel") in shapes:
        widths.append(shapes[key][3] // 4)
        depths.append(len({match[1] for name in shapes if (match := re.match(rf"pixel_decoder/_stages/{stage}/_block(\d+)/", name))}))
        axial += any(name.startswith(f"pixel_decoder/_stages/{stage}/_block1/_attention/") for name in shapes)
        stage += 1
    _, slots, channels = shapes["transformer_decoder/cluster_centers"]
    layer = "transformer_decoder/_kmax_decoder/0/_block1_transformer/"
    width = shapes[f"{layer}_pixel_conv1_bn_act/_conv/kernel"][2]
    values = shapes[f"{layer}_pixel_v_conv_bn/_conv/kernel"][2]
    keys = (shapes[f"{layer}_memory_qkv_conv_bn/_conv/kernel"][2] - values) // 2
    hidden = shapes[f"{layer}_memory_ffn_conv1_bn_act/_conv/kernel"][2]
    heads = shapes[f"{layer}_memory_attention/_batch_norm_similarity/gamma"][0]
    max_length = (shapes["pixel_decoder/_stages/0/_block1/_attention/_height_axis/_query_rpe/embeddings"][0] + 1) // 2
    decoder = pixel_decoder(backbone.channels, tuple(widths), tuple(depths), axial, max_length=max_length)
    return MaskTransformer(
        classes,
        slots=slots,
        embed_channels=shapes["transformer_decoder/_class_embedding_projection/_conv/kernel"][2],
        pixel_decoder=decoder,
        kmeans=kmeans_decoder(slots, channels, 0.2, Transformer(width, keys, values, heads, hidden)),
        semantic=replace(branch, activated=False),
        activation="gelu",
        activate_pixels=False,
        postprocess=KMAX_COCO,
        **common,
    )


def order_of(outputs: int, classes: int) -> tuple[int, ...]:
    """Return the class of each channel of the semantic branch; with an extra channel, the first is "no class", as in COCO."""
    return (-1, *range(classes)) if outputs == classes + 1 else ()


def mask_options_from_shapes(head: MaskTransformer, shapes: Shapes) -> dict[str, Any]:
    """Return classes and slots of the file, as :func:`axialzoo.spec.adapt` takes them, where its tensors show them."""
    changes, last = {}, shapes.get("transformer_class_head/_conv/kernel", ())
    if len(last) == 3 and last[2] - 1 != head.num_classes:
        changes["num_classes"] = last[2] - 1
    tokens = shapes.get("memory_feature" if head.kmeans is None else "transformer_decoder/cluster_centers", ())
    if len(tokens) == 3 and tokens[1] != head.slots:
        changes["slots"] = tokens[1]
    return changes
