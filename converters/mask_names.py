"""Names of the tensors of a mask transformer in deeplab2's checkpoints: tokens, transformers, and the head with its decoders.

stages.3.transformers.0.memory_qkv.linear.weight   (2K+V, C)
encoder/_stage5/_block1_transformer/_memory_qkv_conv_bn/_conv/kernel   (1, C, 2K+V)
head.kmeans.2.predictor.classes.weight   (classes + 1, C)
transformer_decoder/_kmax_decoder/2/_block1_transformer/_auxiliary_clustering_predictor/_transformer_class_head/_conv/kernel
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from axialzoo.spec import Backbone, Parameter
from axialzoo.spec.heads.mask_transformer import MaskTransformer
from axialzoo.spec.transformer import Transformer

LAYERS = {  # layers of a transformer
    "memory_reduce": "_memory_conv1_bn_act",
    "pixel_reduce": "_pixel_conv1_bn_act",
    "memory_qkv": "_memory_qkv_conv_bn",
    "pixel_qkv": "_pixel_qkv_conv_bn",
    "pixel_value": "_pixel_v_conv_bn",
    "memory_attention": "_memory_attention",
    "pixel_attention": "_pixel_attention",
    "memory_expand": "_memory_conv3_bn",
    "pixel_expand": "_pixel_conv3_bn",
    "kmeans_norm": "_kmeans_memory_batch_norm_retrieved_value",
    "kmeans_expand": "_kmeans_memory_conv3_bn",
    "ffn.expand": "_memory_ffn_conv1_bn_act",
    "ffn.reduce": "_memory_ffn_conv2_bn",
}
PREDICTOR = {  # items next to the encoder, or below a k-means layer's predictor with an underscore as prefix
    "pixel.mix.depthwise": "pixel_space_head/conv_block/_conv1_bn_act/_depthwise",
    "pixel.mix.pointwise": "pixel_space_head/conv_block/_conv1_bn_act/_pointwise",
    "pixel.out": "pixel_space_head/final_conv",
    "pixel_norm": "pixel_space_feature_batch_norm",
    "mask": "transformer_mask_head",
    "mask_norm": "pixel_space_mask_batch_norm",
    "classes": "transformer_class_head/_conv",
}
ITEMS = frozenset(name.partition("/")[0] for name in PREDICTOR.values()) | {"pixel_decoder", "transformer_decoder"}
EMBEDDINGS = {"class_embedding": "class", "mask_embedding": "mask"}
INNER = {
    "linear": "_conv",
    "conv": "_conv",
    "norm": "_batch_norm",
    "norm_similarity": "_batch_norm_similarity",
    "norm_output": "_batch_norm_retrieved_value",
}
Names = Callable[[list[str], str], str]


def step_names(backbone: Backbone) -> list[str]:
    """Return their name of each step of the neck: ``_decoder_stage1``; from the first step without fusion on with ``_extra``."""
    names, number, extra = [], 0, ""
    for step in backbone.neck:
        number += step.fuse
        extra = extra if step.fuse else "_extra"
        names.append(f"_stage5{extra}" if number == 0 else f"_decoder_stage{number}{extra}")
    return names


def transformer_name(owner: list[str], leaf: str) -> str:
    """Return their key relative to the transformer, for instance of ``memory_qkv.linear`` and ``kernel``."""
    name = ".".join(owner)
    layer = next(layer for layer in LAYERS if name == layer or name.startswith(f"{layer}."))
    rest = name[len(layer) + 1 :].split(".") if name != layer else []
    return "/".join([LAYERS[layer], *(INNER[part] for part in rest), leaf])


def predictor_name(owner: list[str], leaf: str) -> str:
    """Return their key of a tensor of a mask predictor, for instance of ``pixel.mix.depthwise.conv`` and ``kernel``."""
    name = ".".join(owner)
    part = next(part for part in PREDICTOR if name == part or name.startswith(f"{part}."))
    rest = name[len(part) + 1 :]
    if part == "pixel.mix.depthwise" and rest == "conv":
        return f"{PREDICTOR[part]}/_depthwise_conv/depthwise_kernel"
    return "/".join([PREDICTOR[part], *([INNER[rest]] if rest else []), leaf])


def mask_head_name(owner: list[str], leaf: str, head: MaskTransformer, blocks: Names, others: Names) -> str:
    """Return their key of a tensor of the head; embeddings of a backbone's tokens are below the encoder.

    Args:
        owner, leaf: Name in Keras, without ``head``.
        head: The head.
        blocks: Returns their key of a tensor of a residual block, relative to the block.
        others: Returns their key of a tensor of the semantic branch.
    """
    first, rest = owner[0], owner[1:]
    if first in EMBEDDINGS:
        place = (
            f"_{EMBEDDINGS[first]}_feature_extra"
            if head.kmeans is None
            else f"transformer_decoder/_{EMBEDDINGS[first]}_embedding_projection"
        )
        return "/".join([place, *(INNER[part] for part in rest), leaf])
    if first == "centers":
        return "transformer_decoder/cluster_centers"
    if first == "kmeans":
        layer = f"transformer_decoder/_kmax_decoder/{rest[0]}/_block1_transformer"
        if rest[1] == "predictor":
            return f"{layer}/_auxiliary_clustering_predictor/_{predictor_name(rest[2:], leaf)}"
        return f"{layer}/{transformer_name(rest[1:], leaf)}"
    if first == "predictor":
        return predictor_name(rest, leaf)
    if first == "pixel_decoder":
        if rest[0] == "norms":
            return f"pixel_decoder/_backbone_norms/{rest[1]}/{leaf}"
        if rest[0] == "fuses":
            number = 1 if rest[2] == "coarse" else 2
            return f"pixel_decoder/_skip_connections/{rest[1]}/_resized_conv_bn{number}/{INNER[rest[3]]}/{leaf}"
        return f"pixel_decoder/_stages/{rest[1]}/_block{int(rest[3]) + 1}/{blocks(rest[4:], leaf)}"
    if first == "semantic_classes":
        return others(["classes", *rest], leaf)
    return others(owner, leaf)


def in_encoder(name: str, head: object) -> bool:
    """Return whether the tensor `name` is below the encoder in their files."""
    parts = name.split(".")
    if parts[0] != "head":
        return True
    return isinstance(head, MaskTransformer) and head.kmeans is None and parts[1] in EMBEDDINGS


def token_shape(parameter: Parameter, transformers: Mapping[str, Transformer]) -> tuple[int, ...] | None:
    """Return their shape of a tensor of tokens or transformers; None for other tensors.

    Args:
        parameter: The tensor.
        transformers: Name of each transformer -> its widths.
    """
    name, shape = parameter.name, parameter.keras_shape
    layer = next((layer for layer in transformers if name.startswith(f"{layer}.")), None)
    if name.endswith((".linear.weight", ".tokens")) or (layer is not None and shape[:2] == (1, 1) and ".predictor." not in name):
        return (1, *shape[-2:])
    if name.endswith("predictor.classes.weight"):
        return (1, *shape)
    if layer is not None and ".norm_output." in name:
        return (1, transformers[layer].heads, 1, shape[0] // transformers[layer].heads)
    return None


def without_memory(backbone: Backbone) -> Backbone:
    """Return the backbone of a mask transformer without tokens, transformers and the decoder of masks."""
    if backbone.memory is None:
        return backbone
    neck = backbone.neck[: [step.fuse for step in backbone.neck].index(False)]
    return replace(backbone, memory=None, neck=tuple(map(plain, neck)), stages=tuple(map(plain, backbone.stages)))


def plain(stage: Any) -> Any:
    """Return a stage, or a step of the neck, without transformers after its blocks."""
    return replace(stage, blocks=tuple(replace(block, transformer=None) for block in stage.blocks))
