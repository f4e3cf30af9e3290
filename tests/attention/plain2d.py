"""Attention over both axes written slowly: every pair of positions, gathered tables, ordinary batch norms.

Shares nothing with the implementation but its parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from axialzoo.spec import Attention
from tests.attention.plain import masked_norm, norm2d


def seen(spec: Attention, height: int, width: int) -> Tensor:
    """Which keys each query attends to: (H, W, H, W)."""
    h, w = torch.arange(height), torch.arange(width)

    def axis(x: Tensor) -> Tensor:
        length = len(x)
        table = spec.positions - 1 if spec.has_terms and spec.long_axis == "local" else length
        near = (x[:, None] - x[None]).abs() <= table
        if spec.kind == "local":
            return near & ((x[:, None] - x[None]).abs() <= spec.span // 2)
        if spec.kind == "window":
            moved = x + (spec.span - spec.span // 2 if spec.shifted and length > spec.span else 0)
            return near & (moved[:, None] // spec.span == moved[None] // spec.span)
        return near

    return axis(h)[:, None, :, None] & axis(w)[None, :, None, :]


def relative(layer: nn.Module, name: str, height: int, width: int) -> Tensor:
    """r[s - p]: (H, W, H, W, D), half of the rows' table and half of the columns'."""
    spec = layer.spec
    parts = []
    for axis, length in (("_height", height), ("_width", width)):
        table, positions = getattr(layer, name + axis), spec.positions
        if spec.long_axis == "interpolate" and length > positions:
            table = nn.functional.interpolate(table.T[None], 2 * length - 1, mode="linear", align_corners=True)[0].T
            positions = length
        x = torch.arange(length)
        distance = (x[None] - x[:, None]).clamp(1 - positions, positions - 1)  # key - query
        parts.append(table[distance + positions - 1])  # (L, L, D / 2)
    rows = parts[0][:, None, :, None].expand(-1, width, -1, width, -1)
    columns = parts[1][None, :, None].expand(height, -1, height, -1, -1)
    return torch.cat([rows, columns], dim=-1)


def plain_attention2d(layer: nn.Module, x: Tensor) -> tuple[Tensor, dict]:
    """Output (N, V, H, W) of `layer`, and the moving statistics after it: name of a norm -> (mean, variance)."""
    spec: Attention = layer.spec
    moving: dict = {}
    h, w = x.shape[2:]
    if spec.encoding == "absolute":
        x = x + layer.position_height[:h].T[:, :, None] + layer.position_width[:w].T[:, None]
    qkv = torch.einsum("oc,nchw->nohw", layer.qkv.weight, x)
    norm = norm2d(layer.norm_qkv)
    qkv = norm(qkv)
    moving["norm_qkv"] = norm.running_mean, norm.running_var
    sizes = (spec.key_channels, spec.key_channels, spec.value_channels)
    q, k, v = (part.unflatten(1, (spec.heads, -1)).flatten(3) for part in qkv.split(sizes, dim=1))  # (N, G, D, HW)
    gates = dict(zip(spec.gates, layer.gates)) if spec.gated else {}
    v = v * gates.get("value", 1.0)
    tables = {
        name: relative(layer, name, h, w).flatten(2, 3).flatten(0, 1) * gates.get(name, 1.0)
        for name in ("query_position", "key_position", "value_position")
        if hasattr(layer, f"{name}_height")
    }  # (HW, HW, D)
    logits = []
    if "content" in spec.similarity:
        logits.append(torch.einsum("ngdp,ngds->ngps", q, k))
    if "query" in spec.similarity:
        logits.append(torch.einsum("ngdp,psd->ngps", q, tables["query_position"]))
    if "key" in spec.similarity:
        logits.append(torch.einsum("ngds,psd->ngps", k, tables["key_position"]))
    mask = seen(spec, h, w).flatten(2).flatten(0, 1)  # (HW, HW)
    logits = masked_norm(layer.norm_similarity, torch.cat(logits, dim=1), mask, moving, "norm_similarity")
    p = logits.unflatten(1, (-1, spec.heads)).sum(1).masked_fill(~mask, -torch.inf).softmax(-1)  # (N, G, HW, HW)
    out = []
    if "content" in spec.value:
        out.append(torch.einsum("ngps,ngds->ngdp", p, v).flatten(1, 2))  # (N, V, HW)
    if "position" in spec.value:
        out.append(torch.einsum("ngps,psd->ngdp", p, tables["value_position"]).flatten(1, 2))
    norm = norm2d(layer.norm_output)
    x = norm(torch.cat(out, dim=1).unflatten(2, (h, w)))
    moving["norm_output"] = norm.running_mean, norm.running_var
    return x.unflatten(1, (len(out), -1)).sum(1), moving
