"""Slow reference implementation of attention: all pairs of positions, gathered tables, norms written out as defined.

    S[p, s] = q_p.k_s + q_p.rq[s - p] + k_s.rk[s - p]        each term normalised per head
    out_p   = sum_s softmax(S)[p, s] v_s, and sum_s softmax(S)[p, s] rv[s - p], each normalised per channel

Tests compare every other implementation with it. It computes in the type of its arrays, which is float64 in tests. Arrays may be of
numpy or of PyTorch, because it calls only functions that both libraries have under one name; tensors of PyTorch get gradients.

Letters: N batch, B batch times the other axis, G heads, P queries, S keys, D depth of a head (Dk, Dv), V and K channels.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from axialzoo.spec import Attention
from axialzoo.spec.attention import SIMILARITY_TERMS

Array = Any  # a numpy array or a tensor of PyTorch
Moments = dict[str, tuple[Array, Array, int]]  # by the name of the norm: mean, biased variance, number of values


def attend(q: Array, k: Array, v: Array, tables: Sequence[Array | None], scales: Array, visible: np.ndarray) -> tuple[Array, Array | None]:
    """Compute attention without norms: retrieved contents and positions, (B, G, P, Dv) each; None without a table of values.

    Args:
        q, k: (B, G, P, Dk), (B, G, S, Dk).
        v: (B, G, S, Dv).
        tables: Gathered tables of queries, keys and values, (P, S, D) each; None where there is no such term.
        scales: (3, G): factors of q.k, q.rq and k.rk.
        visible: Attention mask, (P, S): true where the query sees the key.
    """
    terms = logit_terms(q, k, tables)
    logits = sum(scales[index][:, None, None] * terms[name] for index, name in enumerate(SIMILARITY_TERMS) if name in terms)
    return retrieve(softmax(logits, visible), v, tables[2])


def logit_terms(q: Array, k: Array, tables: Sequence[Array | None]) -> dict[str, Array]:
    """Compute the terms of the logits by name, (B, G, P, S) each."""
    xp, (rq, rk, _) = _library(q), tables
    terms = {"content": xp.einsum("bgpd,bgsd->bgps", q, k)}
    if rq is not None:
        terms["query"] = xp.einsum("bgpd,psd->bgps", q, rq)
    if rk is not None:
        terms["key"] = xp.einsum("bgsd,psd->bgps", k, rk)
    return terms


def softmax(logits: Array, visible: np.ndarray) -> Array:
    """Compute the attention weights over the visible keys of each query: (B, G, P, S) to (B, G, P, S)."""
    xp = _library(logits)
    logits = xp.where(xp.asarray(visible), logits, -xp.inf)
    weights = xp.exp(logits - xp.amax(logits, axis=3, keepdims=True))
    return weights / weights.sum(axis=3, keepdims=True)


def retrieve(weights: Array, v: Array, rv: Array | None) -> tuple[Array, Array | None]:
    """Retrieve contents and positions, (B, G, P, Dv) each."""
    xp = _library(weights)
    return xp.einsum("bgps,bgsd->bgpd", weights, v), None if rv is None else xp.einsum("bgps,psd->bgpd", weights, rv)


def layer(
    x: Array, tensors: Mapping[str, Array], spec: Attention, epsilon: float, axis: int = 0, training: bool = False
) -> tuple[Array, Moments]:
    """Compute a whole layer; the caller has added absolute positions to `x`.

    Args:
        x: (N, C, H, W).
        tensors: Tensors of the layer, by their names in a checkpoint.
        spec: Spec of the layer, of any kind.
        epsilon: Epsilon of the norms.
        axis: 0 attends along the height, 1 along the width; ignored by kinds that attend over both axes.
        training: Normalise by the moments of the batch instead of the moving statistics.

    Returns:
        (N, V, H, W), and in training the moments of each norm's input.
    """
    xp, moments = _library(x), {}
    n, _, h, w = x.shape
    one_axis = spec.kind == "axial"
    x = xp.moveaxis(x, 2 + axis, 3) if one_axis else x.reshape(n, -1, 1, h * w)  # (N, C, O, P)
    others = x.shape[2]
    x = xp.moveaxis(x, 2, 1).reshape(n * others, x.shape[1], x.shape[3])  # (B, C, P)

    def norm(name: str, x: Array, counts: np.ndarray | None = None) -> Array:  # x: (B, C, ...)
        axes, shape = tuple(index for index in range(x.ndim) if index != 1), (1, -1, *(1,) * (x.ndim - 2))
        mean, variance = tensors[f"{name}.running_mean"], tensors[f"{name}.running_var"]
        if training:
            count = xp.asarray(np.ones(x.shape[2:]) if counts is None else counts * 1.0)  # 1 for each value that counts
            total = int(count.sum()) * x.shape[0]
            mean = (x * count).sum(axis=axes) / total
            variance = ((x - mean.reshape(shape)) ** 2 * count).sum(axis=axes) / total
            moments[name] = mean, variance, total
        y = (x - mean.reshape(shape)) / (variance + epsilon).reshape(shape) ** 0.5
        return y * tensors[f"{name}.weight"].reshape(shape) + tensors[f"{name}.bias"].reshape(shape)

    qkv = norm("norm_qkv", xp.einsum("oc,bcp->bop", tensors["qkv.weight"], x))  # (B, 2K+V, P)
    ends = (0, spec.key_channels, 2 * spec.key_channels, 2 * spec.key_channels + spec.value_channels)
    heads = (qkv[:, start:end].reshape(len(qkv), spec.heads, -1, qkv.shape[2]) for start, end in itertools.pairwise(ends))  # (B, G, D, P)
    q, k, v = (xp.moveaxis(part, 2, 3) for part in heads)  # (B, G, P, D)
    gates = {name: tensors["gates"][index] for index, name in enumerate(spec.gates)} if spec.gated else {}
    v = v * gates.get("value", 1.0)
    lengths = ((h, w)[axis],) if one_axis else (h, w)
    tables = [_rows(tensors, f"{name}_position", spec, lengths, gates) for name in ("query", "key", "value")]  # (P, S, D)
    visible = pairs(spec, *lengths)  # (P, S)
    terms = logit_terms(q, k, tables)
    logits = norm("norm_similarity", xp.concatenate([terms[name] for name in spec.similarity], 1), visible)
    logits = logits.reshape(len(q), -1, spec.heads, *visible.shape).sum(axis=1)  # (B, G, P, S)
    retrieved: dict[str, Any] = dict(zip(("content", "position"), retrieve(softmax(logits, visible), v, tables[2])))
    out = [xp.moveaxis(retrieved[name], 2, 3).reshape(len(q), spec.value_channels, -1) for name in spec.value]  # (B, V, P) each
    y = norm("norm_output", xp.concatenate(out, 1)).reshape(len(q), len(out), spec.value_channels, -1).sum(axis=1)  # (B, V, P)
    if not one_axis:
        return y.reshape(n, -1, h, w), moments
    y = xp.moveaxis(y.reshape(n, others, spec.value_channels, -1), 1, 2)  # (N, V, O, P)
    return xp.moveaxis(y, 3, 2 + axis), moments


def pairs(spec: Attention, *lengths: int) -> np.ndarray:
    """Return the attention mask, (P, S), of one axis, or of a map from its height and width."""

    def along(length: int) -> np.ndarray:
        x = np.arange(length)
        distance = np.abs(x - x[:, None])
        near = distance < spec.max_length if spec.has_relative_terms and spec.beyond_tables == "local" else distance >= 0
        if spec.kind == "window":
            assert spec.span is not None
            moved = x + (spec.span - spec.span // 2 if spec.shifted and length > spec.span else 0)
            return near & (moved[:, None] // spec.span == moved // spec.span)
        return near if spec.span is None else near & (distance <= spec.span // 2)

    if len(lengths) == 1:
        return along(lengths[0])
    both = along(lengths[0])[:, None, :, None] & along(lengths[1])[None, :, None]  # (H, W, H, W)
    return both.reshape(np.prod(lengths), -1)


def _rows(tensors: Mapping[str, Array], name: str, spec: Attention, lengths: Sequence[int], gates: Mapping[str, Array]) -> Array | None:
    """Gather a position table by query and key, (P, S, D); None without such a table. Over a map, each axis fills half of the depths."""
    if len(lengths) == 1:
        return None if name not in tensors else _axis_rows(tensors[name], spec, lengths[0]) * gates.get(name, 1.0)
    if f"{name}_height" not in tensors:
        return None
    (h, w), (rows, columns) = lengths, (_axis_rows(tensors[f"{name}_{side}"], spec, x) for side, x in zip(("height", "width"), lengths))
    xp, depth, zero = _library(rows), rows.shape[2], rows.reshape(-1)[0] * 0
    of_rows = rows[:, None, :, None] + zero.reshape(1, 1, 1, 1, 1) * xp.asarray(np.zeros((1, w, 1, w, 1)))  # (H, W, H, W, D / 2)
    of_columns = columns[None, :, None] + zero.reshape(1, 1, 1, 1, 1) * xp.asarray(np.zeros((h, 1, h, 1, 1)))
    return xp.concatenate([of_rows, of_columns], 4).reshape(h * w, h * w, 2 * depth) * gates.get(name, 1.0)


def _axis_rows(table: Array, spec: Attention, length: int) -> Array:
    """Gather a table, (2R - 1, D), by query and key of one axis, (L, L, D). Interpolates the table first if the spec says so."""
    xp, reach = _library(table), (len(table) + 1) // 2
    if spec.beyond_tables == "interpolate" and length > reach:
        place = np.arange(2 * length - 1) * ((len(table) - 1) / (2 * length - 2))
        share = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(len(table))))  # (2L - 1, 2R - 1)
        table, reach = xp.einsum("ij,jd->id", xp.asarray(share), table), length
    distance = np.arange(length) - np.arange(length)[:, None]  # (L, L): key - query
    return table[np.clip(distance, 1 - reach, reach - 1) + reach - 1]


def _library(x: Array) -> Any:
    """Return the module of an array: numpy or torch."""
    return sys.modules[type(x).__module__.partition(".")[0]]
