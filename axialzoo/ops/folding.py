"""Batch norms folded into the layers before them, in float64, without a framework.

In evaluation a batch norm is ``x * factor + offset``. Behind a linear map it becomes part of the map's weight and bias. On the
logits only a factor for each term and head remains, because an offset is constant along a softmax row and cancels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from axialzoo.spec import Attention
from axialzoo.spec.attention import POSITION_TABLES, SIMILARITY_TERMS

PANEL = 64  # outputs in a panel of a packed weight: WIDTH in source/linear.h
Tensors = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class FoldedAttention:
    """Arrays of an axial attention layer in evaluation, norms and gates folded in; all float64.

    "Head fastest" means that channels lie depth by depth with the head index fastest: ``d * G + g``.

    Attributes:
        weight, bias: (2K + V, C) and (2K + V): the projection, head fastest; the output norm scales the values.
        tables: Tables of queries and keys, (2P - 1, Dk), and of values, (2P - 1, Dv); None where there is no such term.
        scales: (3, G): factors of the terms of the logits; zeros where there is no such term.
        position_scale: (V), head fastest: factor of the positions retrieved from the value table; None where there is none.
        shift: (V), head fastest: added to the result.
    """

    weight: np.ndarray
    bias: np.ndarray
    tables: tuple[np.ndarray | None, ...]
    scales: np.ndarray
    position_scale: np.ndarray | None
    shift: np.ndarray


def norm_factors(tensors: Tensors, prefix: str, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Return factor and offset, (C,) each, of the norm whose tensors begin with `prefix`, for instance ``"expand.norm."``."""
    scale, shift, mean, variance = (
        np.asarray(tensors[prefix + name], np.float64) for name in ("weight", "bias", "running_mean", "running_var")
    )
    factor = scale / np.sqrt(variance + epsilon)
    return factor, shift - mean * factor


def fold_conv(tensors: Tensors, prefix: str, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Fold the norm ``PREFIXnorm`` into the convolution ``PREFIXconv``: weight, (O, I, h, w), and bias, (O,)."""
    factor, offset = norm_factors(tensors, prefix + "norm.", epsilon)
    return np.asarray(tensors[prefix + "conv.weight"], np.float64) * factor[:, None, None, None], offset


def fold_attention(tensors: Tensors, prefix: str, spec: Attention, epsilon: float) -> FoldedAttention:
    """Fold the layer whose tensors begin with `prefix`, for instance ``"stages.0.blocks.0.height."``."""
    heads, keys, values = spec.heads, spec.key_channels, spec.value_channels
    gate = dict(zip(spec.gates, np.asarray(tensors[prefix + "gates"], np.float64))) if spec.gated else {}
    factor, offset = norm_factors(tensors, prefix + "norm_qkv.", epsilon)
    weight = np.asarray(tensors[prefix + "qkv.weight"], np.float64) * factor[:, None]  # (2K + V, C)
    out_factor, out_offset = norm_factors(tensors, prefix + "norm_output.", epsilon)
    out_factor, out_offset = (x.reshape(len(spec.value), values) for x in (out_factor, out_offset))
    by_value = dict(zip(spec.value, out_factor))
    value = by_value.get("content", np.zeros(values)) * gate.get("value", 1.0)  # (V,)
    rows = np.concatenate([np.ones(2 * keys), value])
    order = np.concatenate([head_fastest(keys, heads), keys + head_fastest(keys, heads), 2 * keys + head_fastest(values, heads)])
    similarity = norm_factors(tensors, prefix + "norm_similarity.", epsilon)[0].reshape(len(spec.similarity), heads)
    scales = np.zeros((len(SIMILARITY_TERMS), heads))
    for term, scale in zip(spec.similarity, similarity):
        scales[SIMILARITY_TERMS.index(term)] = scale

    def table(name: str) -> np.ndarray | None:
        tensor = tensors.get(prefix + name)
        return None if tensor is None else np.asarray(tensor, np.float64) * gate.get(name, 1.0)

    outputs = head_fastest(values, heads)
    return FoldedAttention(
        (weight * rows[:, None])[order],
        (offset * rows)[order],
        tuple(table(name) for name in POSITION_TABLES),
        scales,
        by_value["position"][outputs] if "position" in by_value else None,
        out_offset.sum(0)[outputs],
    )


def head_fastest(channels: int, heads: int) -> np.ndarray:
    """Return the order of channels from head by head to head fastest: ``g * D + d`` at index ``d * G + g``, (channels,)."""
    return np.arange(channels).reshape(heads, -1).T.reshape(-1)


def pack(weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pack weight and bias for the kernel: (O, I) and (O,) to (panels, I, 64) and (panels * 64,), padded with zeros.

    The kernel reads float32. The layout is one for all instruction sets, so packed weights move between machines.
    """
    outputs, inputs = weight.shape
    more = -outputs % PANEL
    panels = np.pad(weight, ((0, more), (0, 0))).reshape(-1, PANEL, inputs).transpose(0, 2, 1)  # (panels, I, 64)
    return np.ascontiguousarray(panels), np.pad(bias, (0, more))
