"""Names and layouts of the tensors in deeplab2's checkpoints: one rule per kind of layer, derived from the spec alone.

    stages.0.blocks.1.height.norm_output.weight   (2 V,)
    _stage2/_block2/_attention/_height_axis/_batch_norm_retrieved_output/gamma   (2, 1, G, 1, Dv)

Their files differ in arrangement only: kernels are (h, w, in, out) and projections (in, 2K+V); the similarity norm has the shape
(terms, 1, heads, 1, 1) and the output norm (terms, 1, heads, 1, depth); queries, keys and values, the terms, and the rows of the
position tables (key - query + 254) have our order. The keys of the encoder are below ``encoder/``, those of a head in items next to it:

    head.semantic.fuse.0.depthwise.conv.weight   (C, 1, 5, 5)
    semantic_decoder/_fusion_conv1/_conv1_bn_act/_depthwise/_depthwise_conv/depthwise_kernel   (5, 5, C, 1)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from axialzoo.spec import Attention, Model, Parameter, parameters
from axialzoo.spec.heads.mask_transformer import MaskTransformer
from axialzoo.spec.heads.panoptic import Panoptic
from axialzoo.spec.layers import layers, projects_with_stride
from axialzoo.spec.primitives import AttentionLayer
from axialzoo.spec.transformer import Transformer

from .mask_names import in_encoder, mask_head_name, step_names, token_shape, transformer_name

SEGMENTS = {
    "reduce": "_conv1_bn_act",
    "spatial": "_conv2_bn_act",
    "expand": "_conv3_bn",
    "spatial1": "_conv1_bn_act",
    "spatial2": "_conv2_bn",
    "shortcut": "_shortcut",
    "gate": "_squeeze_and_excite/_se_conv",
    "height": "_attention/_height_axis",
    "width": "_attention/_width_axis",
    "conv": "_conv",
    "norm": "_batch_norm",
    "norm_qkv": "_batch_norm_qkv",
    "norm_similarity": "_batch_norm_similarity",
    "norm_output": "_batch_norm_retrieved_output",
    "query_position": "_query_rpe/embeddings",
    "key_position": "_key_rpe/embeddings",
    "value_position": "_value_rpe/embeddings",
}
ITEMS = {  # items of a head, which their models save next to the encoder (common.py)
    "semantic": "semantic_decoder",
    "instance": "instance_decoder",
    "classes.mix": "semantic_head_without_last_layer/_conv1_bn_act",
    "classes.out": "semantic_last_layer",
    "center.mix": "instance_center_head_without_last_layer/_conv1_bn_act",
    "center.out": "instance_center_head_last_layer",
    "offset.mix": "instance_regression_head_without_last_layer/_conv1_bn_act",
    "offset.out": "instance_regression_head_last_layer",
}
PARTS = {  # parts of a decoder; indices of a list start at 1
    "aspp.project": "_aspp/_proj_conv_bn_act",
    "aspp.point": "_aspp/_conv_bn_act",
    "aspp.atrous": "_aspp/_aspp_conv{}/_conv_bn_act",
    "aspp.pool": "_aspp/_aspp_pool/_conv_bn_act",
    "skips": "_low_level_conv{}",
    "fuse": "_fusion_conv{}/_conv1_bn_act",
}
ENCODER = "encoder/"
POSITIONS = 255  # their MAX_SPAN


@dataclass(frozen=True)
class Place:
    """Place of a tensor in their checkpoints.

    Attributes:
        name: Our name.
        key: Their key without ``/.ATTRIBUTES/VARIABLE_VALUE``; the key of an encoder's tensor is relative to the encoder.
        shape: Their shape.
        order: Permutation from our axes to theirs, before the reshape to `shape`; None for the identity.
        ours: Our shape.
        encoder: Whether the tensor is below the encoder.
    """

    name: str
    key: str
    shape: tuple[int, ...]
    order: tuple[int, ...] | None
    ours: tuple[int, ...]
    encoder: bool = True

    def path(self, encoder: str = ENCODER) -> str:
        """Return their full key."""
        return encoder + self.key if self.encoder else self.key

    def to_theirs(self, array: np.ndarray) -> np.ndarray:
        array = array if self.order is None else array.transpose(self.order)
        return np.ascontiguousarray(array).reshape(self.shape)

    def to_ours(self, array: np.ndarray) -> np.ndarray:
        order = range(len(self.ours)) if self.order is None else self.order
        return np.ascontiguousarray(array.reshape([self.ours[axis] for axis in order]).transpose(np.argsort(order)))


def places(spec: Model) -> Iterator[Place]:
    """Yield the place of each tensor of `spec`, in our order; :func:`inexpressible` must accept `spec`."""
    attention = {layer.name: layer.attention for layer in layers(spec) if isinstance(layer, AttentionLayer)}
    transformers = transformers_of(spec)
    for parameter in parameters(spec):
        order, name = parameter.keras_order, parameter.name
        layer = next((attention[owner] for owner in owners(name) if owner in attention), None)
        shape = token_shape(parameter, transformers) or their_shape(parameter, layer)
        yield Place(name, foreign_name(parameter, spec), shape, order, parameter.shape, in_encoder(name, spec.head))


def owners(name: str) -> Iterator[str]:
    """Yield the names of the layers that contain a tensor, from the innermost out."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def transformers_of(spec: Model) -> dict[str, Transformer]:
    """Return the widths of each transformer and k-means layer, by its name."""
    transformers, backbone, head = {}, spec.backbone, spec.head
    for part, stages in (("stages", backbone.stages), ("neck", backbone.neck)):
        for i, stage in enumerate(stages):
            for j, block in enumerate(stage.blocks):
                if block.transformer is not None:
                    transformers[f"{part}.{i}.transformers.{j}"] = block.transformer
    if isinstance(head, MaskTransformer) and head.kmeans is not None:
        transformers |= {f"head.kmeans.{index}": layer.transformer for index, layer in enumerate(head.kmeans.layers)}
    return transformers


def their_shape(parameter: Parameter, attention: Attention | None) -> tuple[int, ...]:
    """Return their shape of a tensor; their norms of attention have five dimensions."""
    if attention is not None and ".norm_similarity." in parameter.name:
        return (len(attention.similarity), 1, attention.heads, 1, 1)
    if attention is not None and ".norm_output." in parameter.name:
        return (len(attention.value), 1, attention.heads, 1, attention.value_depth)
    return parameter.keras_shape


def foreign_name(parameter: Parameter, spec: Model) -> str:
    """Return their key of a tensor."""
    *owner, leaf = parameter.keras_name.split(".")
    if owner[0] == "head":
        if isinstance(spec.head, MaskTransformer):
            return mask_head_name(owner[1:], leaf, spec.head, block_name, head_name)
        return head_name(owner[1:], leaf)
    if owner[0] == "memory":
        return "memory_feature"
    if owner[0] == "stem":
        index, owner = int(owner[1]), owner[2:]
        convs = len(spec.backbone.stem.convs)
        first = "_stem" if convs == 1 else f"_stem/_conv{index + 1}_bn{'_act' if index + 1 < convs else ''}"
        return f"{first}/{block_name(owner, leaf)}"
    stages = owner[0] == "stages"
    # of four stages the numbers are 2 to 5
    first = f"_stage{int(owner[1]) + 6 - len(spec.backbone.stages)}" if stages else step_names(spec.backbone)[int(owner[1])]
    if owner[2] == "transformers":
        return f"{first}/_block{int(owner[3]) + 1}_transformer/{transformer_name(owner[4:], leaf)}"
    if owner[2] == "blocks":
        return f"{first}/_block{int(owner[3]) + 1}/{block_name(owner[4:], leaf)}"
    return f"{fuse(int(owner[1]), int(owner[3]), spec)}/{block_name(owner[4:], leaf)}"


def block_name(owner: list[str], leaf: str) -> str:
    """Return their key relative to a block, for instance of ``height.qkv`` and ``kernel``."""
    if owner[-1:] == ["qkv"]:
        owner, leaf = owner[:-1], "qkv_kernel"
    return "/".join([*(SEGMENTS[part] for part in owner), SEGMENTS.get(leaf, leaf)])


def head_name(owner: list[str], leaf: str) -> str:
    """Return their key of a tensor of the head, for instance of ``semantic.fuse.0.depthwise.conv`` and ``kernel``."""
    parts = ITEMS.get(owner[0])
    if parts is None:
        parts, rest = ITEMS[".".join(owner[:2])], owner[2:]
    else:
        name = owner[1] if owner[1] in PARTS else ".".join(owner[1:3])
        rest = owner[1 + name.count(".") + 1 :]
        if "{}" in PARTS[name]:
            parts, rest = f"{parts}/{PARTS[name].format(int(rest[0]) + 1)}", rest[1:]
        else:
            parts = f"{parts}/{PARTS[name]}"
    if rest == ["depthwise", "conv"]:
        return f"{parts}/_depthwise/_depthwise_conv/depthwise_kernel"
    return "/".join([parts, *({"depthwise": "_depthwise", "pointwise": "_pointwise", **SEGMENTS}[part] for part in rest), leaf])


def fuse(step: int, source: int, spec: Model) -> str:
    """Return their name of the projection of an input of a decoder's step, which strides where that halves the size, else resizes."""
    stage = spec.backbone.neck[step]
    how = "strided" if projects_with_stride(spec.backbone.neck_inputs()[step][source], stage) else "resized"
    return f"{step_names(spec.backbone)[step]}_resized_fuse/_{how}_conv_bn{source + 1}"


def inexpressible(spec: Model) -> str:
    """Return the reason why their code cannot express `spec`; empty where it can. Their open code has no classifier."""
    head = spec.head
    if isinstance(head, Panoptic):
        if (head.activation, head.kernel) != ("relu", 5) or any(len(decoder.rates) not in (0, 3) for decoder in head.decoders().values()):
            return "its heads have ReLU, 5x5 kernels, and none or three atrous rates"
    elif isinstance(head, MaskTransformer):
        if reason := inexpressible_masks(head):
            return reason
    elif spec.num_classes:
        return "it has no classifier; adapt(spec, num_classes=0)"
    backbone = spec.backbone
    stem = [(conv.kernel, conv.stride) for conv in backbone.stem.convs]
    stages = len(backbone.stages)
    if (stem, stages) not in (([(7, 2)], 4), ([(3, 2), (3, 1), (3, 1)], 4), ([(3, 2)], 5)) or any(stage.pool for stage in backbone.stages):
        return "its stem is one 7x7 or three 3x3 convolutions before four stages, or one 3x3 before five, without a max pool"
    if not backbone.pre_activation or backbone.shortcut != "width":
        return "its blocks activate their input, and their shortcut is a convolution where the width changes alone"
    if (backbone.norm.epsilon, backbone.norm.momentum) != (1e-3, 0.01):
        return "its norms have epsilon 1e-3 and momentum 0.01"
    blocks = [block for part in (*backbone.stages, *backbone.neck) for block in part.blocks]
    for block in blocks:
        attention = block.attention
        if block.kind not in ("axial", "bottleneck", "basic"):
            return f"it has no blocks of kind {block.kind!r}"
        if attention is None:
            continue
        if attention.kind != "axial" or attention.span is not None or attention.downsample != "slice" or attention.max_length != POSITIONS:
            return f"its attention is axial with {POSITIONS} positions and no span, and takes every other position where it strides"
    return ""


def inexpressible_masks(head: MaskTransformer) -> str:
    """Return the reason why their code cannot express a mask transformer's head; empty where it can."""
    decoder = None if head.semantic is None else head.semantic.decoder
    if head.semantic is None or head.kernel != 5 or (decoder is not None and len(decoder.rates) not in (0, 3)):
        return "its mask transformers have a semantic branch, 5x5 kernels, and none or three atrous rates"
    if head.pixel_decoder is None or head.kmeans is None:
        return "" if (head.activation, head.activate_pixels) == ("relu", True) else "MaX-DeepLab has ReLU, and activates its pixels"
    if (head.activation, head.activate_pixels, head.pixel_decoder.corners) != ("gelu", False, "aligned"):
        return "kMaX-DeepLab has GELU, does not activate its pixels, and aligns corners; PyTorch's weights are of another function"
    blocks = [block for stage in head.pixel_decoder.stages for block in stage.blocks]
    if any(block.dilation not in ((), (2,)) for block in blocks):
        return "its pixel decoder has dilation 2 in its bottlenecks; PyTorch's weights, of dilation 1, are of another function"
    if [layer.stage for layer in head.kmeans.layers] != [0, 0, 1, 1, 2, 2]:
        return "it has six k-means layers, two each on the first three stages of the pixel decoder"
    return ""
