"""Names and layouts of the tensors in kMaX-DeepLab's PyTorch checkpoints, derived from the spec alone.

    head.kmeans.2.memory_qkv.linear.weight   (2K+V, C)
    sem_seg_head.predictor._kmax_transformer_layers.2._query_qkv_conv_bn.conv.weight   (2K+V, C, 1)

Their files differ in arrangement only: linear layers on tokens and projections of attention are convolutions with kernel size 1, and
the cluster centres are transposed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from axialzoo.spec import Model, Parameter, parameters
from axialzoo.spec.heads.mask_transformer import MaskTransformer

COUNT = "num_batches_tracked"  # a buffer of norms, not a weight
PREDICTOR = "sem_seg_head.predictor."
SEMANTIC = f"{PREDICTOR}_auxiliary_semantic_predictor."

RULES = (
    (r"^stem\.0\.conv\.", "backbone.stem.conv1."),
    (r"^stem\.0\.norm\.", "backbone.stem.conv1.norm."),
    (r"^stages\.(\d+)\.blocks\.(\d+)\.", lambda match: f"backbone.res{int(match[1]) + 2}.{match[2]}."),
    (r"^(backbone\.res.*)\.(reduce|spatial|expand|shortcut)\.conv\.", lambda match: f"{match[1]}.{ENCODER[match[2]]}."),
    (r"^(backbone\.res.*)\.(reduce|spatial|expand|shortcut)\.norm\.", lambda match: f"{match[1]}.{ENCODER[match[2]]}.norm."),
    (r"^head\.pixel_decoder\.norms\.", "sem_seg_head.pixel_decoder._in_norms."),
    (r"^head\.pixel_decoder\.fuses\.(\d+)\.coarse\.", r"sem_seg_head.pixel_decoder._resized_fuses.\1._conv_bn_low."),
    (r"^head\.pixel_decoder\.fuses\.(\d+)\.fine\.", r"sem_seg_head.pixel_decoder._resized_fuses.\1._conv_bn_high."),
    (r"^head\.pixel_decoder\.stages\.(\d+)\.blocks\.", r"sem_seg_head.pixel_decoder._stages.\1._blocks."),
    (r"(_blocks\.\d+)\.reduce\.", r"\1._conv1_bn_act."),
    (r"(_blocks\.\d+)\.spatial\.", r"\1._conv2_bn_act."),
    (r"(_blocks\.\d+)\.expand\.", r"\1._conv3_bn."),
    (r"(_blocks\.\d+)\.shortcut\.", r"\1._shortcut."),
    (r"(_blocks\.\d+)\.(height|width)\.", r"\1._attention._\2_axis."),
    (r"\.qkv\.weight$", ".qkv_transform.conv.weight"),
    (r"\.norm_qkv\.", "._batch_norm_qkv."),
    (r"\.(query|key|value)_position$", r"._\1_rpe._embeddings.weight"),
    (r"(_axis)\.norm_similarity\.", r"\1._batch_norm_similarity."),
    (r"(_axis)\.norm_output\.", r"\1._batch_norm_retrieved_output."),
    (r"^head\.centers\.tokens$", f"{PREDICTOR}_cluster_centers.weight"),
    (r"^head\.(class|mask)_embedding\.", rf"{PREDICTOR}_\1_embedding_projection."),
    (r"^head\.kmeans\.(\d+)\.", rf"{PREDICTOR}_kmax_transformer_layers.\1."),
    (r"(_layers\.\d+)\.memory_reduce\.", r"\1._query_conv1_bn_act."),
    (r"(_layers\.\d+)\.pixel_reduce\.", r"\1._pixel_conv1_bn_act."),
    (r"(_layers\.\d+)\.pixel_value\.", r"\1._pixel_v_conv_bn."),
    (r"(_layers\.\d+)\.kmeans_norm\.", r"\1._kmeans_query_batch_norm_retrieved_value."),
    (r"(_layers\.\d+)\.kmeans_expand\.", r"\1._kmeans_query_conv3_bn."),
    (r"(_layers\.\d+)\.memory_qkv\.", r"\1._query_qkv_conv_bn."),
    (r"(_layers\.\d+)\.memory_attention\.norm_similarity\.", r"\1._query_self_attention._batch_norm_similarity."),
    (r"(_layers\.\d+)\.memory_attention\.norm_output\.", r"\1._query_self_attention._batch_norm_retrieved_value."),
    (r"(_layers\.\d+)\.memory_expand\.", r"\1._query_conv3_bn."),
    (r"(_layers\.\d+)\.ffn\.expand\.", r"\1._query_ffn_conv1_bn_act."),
    (r"(_layers\.\d+)\.ffn\.reduce\.", r"\1._query_ffn_conv2_bn."),
    (r"^head\.predictor\.", f"{PREDICTOR}_predcitor."),
    (r"(_layers\.\d+)\.predictor\.", r"\1._predcitor."),
    (r"_predcitor\.pixel\.mix\.depthwise\.", "_predcitor._pixel_space_head_conv0bnact."),
    (r"_predcitor\.pixel\.mix\.pointwise\.", "_predcitor._pixel_space_head_conv1bnact."),
    (r"_predcitor\.pixel\.out\.", "_predcitor._pixel_space_head_last_convbn.conv."),
    (r"_predcitor\.pixel_norm\.", "_predcitor._pixel_space_head_last_convbn.norm."),
    (r"_predcitor\.mask\.", "_predcitor._transformer_mask_head."),
    (r"_predcitor\.mask_norm\.", "_predcitor._pixel_space_mask_batch_norm."),
    (r"_predcitor\.classes\.", "_predcitor._transformer_class_head.conv."),
    (r"^head\.semantic\.aspp\.point\.", f"{SEMANTIC}_aspp._aspp_conv0."),
    (r"^head\.semantic\.aspp\.atrous\.(\d+)\.", lambda match: f"{SEMANTIC}_aspp._aspp_conv{int(match[1]) + 1}."),
    (r"^head\.semantic\.aspp\.pool\.", f"{SEMANTIC}_aspp._aspp_pool."),
    (r"^head\.semantic\.aspp\.project\.", f"{SEMANTIC}_aspp._proj_conv_bn_act."),
    (r"^head\.semantic\.skips\.(\d+)\.", lambda match: f"{SEMANTIC}_low_level_projection_os{8 >> int(match[1])}."),
    (
        r"^head\.semantic\.fuse\.(\d+)\.(depthwise|pointwise)\.",
        lambda match: f"{SEMANTIC}_low_level_fusion_os{8 >> int(match[1])}_conv{int(match[2] == 'pointwise')}_bn_act.",
    ),
    (r"^head\.semantic_classes\.mix\.depthwise\.", f"{SEMANTIC}conv_block_0."),
    (r"^head\.semantic_classes\.mix\.pointwise\.", f"{SEMANTIC}conv_block_1."),
    (r"^head\.semantic_classes\.out\.", f"{SEMANTIC}final_conv.conv."),
    (r"\.linear\.weight$", ".conv.weight"),
)
WITHOUT_DECODER = (  # a semantic branch on the coarse features as they are
    (r"^head\.semantic_classes\.mix\.depthwise\.", f"{SEMANTIC}0."),
    (r"^head\.semantic_classes\.mix\.pointwise\.", f"{SEMANTIC}1."),
    (r"^head\.semantic_classes\.out\.", f"{SEMANTIC}2.conv."),
)
ENCODER = {"reduce": "conv1", "spatial": "conv2", "expand": "conv3", "shortcut": "shortcut"}
Rules = Sequence[tuple[str, str | Callable[[re.Match[str]], str]]]


@dataclass(frozen=True)
class Tensor:
    """Place of a tensor in their checkpoints.

    Attributes:
        name: Our name.
        key: Their key.
        shape: Their shape.
        ours: Our shape.
    """

    name: str
    key: str
    shape: tuple[int, ...]
    ours: tuple[int, ...]

    def to_theirs(self, array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray((array.T if self.name == "head.centers.tokens" else array).reshape(self.shape))

    def to_ours(self, array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(array.T if self.name == "head.centers.tokens" else array.reshape(self.ours))


def tensors_of(spec: Model) -> Iterator[Tensor]:
    """Yield the place of each tensor of `spec`, in our order."""
    semantic = spec.head.semantic if isinstance(spec.head, MaskTransformer) else None
    rules = RULES if semantic is not None and semantic.decoder is not None else (*WITHOUT_DECODER, *RULES)
    for parameter in parameters(spec):
        yield Tensor(parameter.name, foreign_name(parameter.name, rules), foreign_shape(parameter), parameter.shape)


def foreign_name(name: str, rules: Rules = RULES) -> str:
    """Return their name of the tensor `name`."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def foreign_shape(parameter: Parameter) -> tuple[int, ...]:
    """Return their shape of a tensor."""
    if parameter.role == "linear":
        return (*parameter.shape, 1)
    return parameter.shape[::-1] if parameter.name == "head.centers.tokens" else parameter.shape


def counts_of(spec: Model) -> list[str]:
    """Return the names of the counts of batches, which only their norms have."""
    return [f"{tensor.key.removesuffix('.running_mean')}.{COUNT}" for tensor in tensors_of(spec) if tensor.key.endswith(".running_mean")]
