"""Axial attention written from the paper's equation, slowly: gathered tables, concatenated logits, ordinary batch norms.

Shares nothing with the implementation but its parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from axialzoo.spec import Attention


def norm2d(norm: nn.Module) -> nn.BatchNorm2d:
    """An ordinary batch norm with the parameters and statistics of ours."""
    plain = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum, dtype=norm.weight.dtype)
    plain.weight, plain.bias = norm.weight, norm.bias
    plain.running_mean, plain.running_var = norm.running_mean.clone(), norm.running_var.clone()
    return plain.train(norm.training)


def masked_norm(norm: nn.Module, x: Tensor, seen: Tensor, moving: dict[str, Tensor], name: str) -> Tensor:
    """The batch norm of (B, C, L, L) over the pairs that are `seen` (L, L) alone."""
    shape = (1, -1, 1, 1)
    if norm.training:
        values = x[:, :, seen]  # (B, C, pairs)
        mean, variance = values.mean((0, 2)), values.var((0, 2), unbiased=False)
        m = norm.momentum
        moving[name] = (1 - m) * norm.running_mean + m * mean, (1 - m) * norm.running_var + m * values.var((0, 2), unbiased=True)
    else:
        mean, variance = norm.running_mean, norm.running_var
    return (x - mean.view(shape)) / (variance + norm.eps).sqrt().view(shape) * norm.weight.view(shape) + norm.bias.view(shape)


def distances(spec: Attention, length: int) -> tuple[Tensor, Tensor]:
    """Row of the tables, and whether it is seen, by query and key: (L, L) each."""
    distance = torch.arange(length)[None] - torch.arange(length)[:, None]  # key - query
    seen = distance.abs() <= spec.reach(length)
    return distance.clamp(1 - spec.positions, spec.positions - 1) + spec.positions - 1, seen


def plain_attention(layer: nn.Module, x: Tensor) -> tuple[Tensor, dict]:
    """Output (N, V, H, W) of `layer`, and the moving statistics after it: name of a norm -> (mean, variance)."""
    spec: Attention = layer.spec
    moving: dict = {}
    if layer.axis == 1:
        x = x.transpose(2, 3)
    n, _, length, other = x.shape
    x = x.permute(0, 3, 1, 2).flatten(0, 1)  # (B, C, L)
    qkv = torch.einsum("oc,bcl->bol", layer.qkv.weight, x)
    norm = norm2d(layer.norm_qkv)
    qkv = norm(qkv[..., None])[..., 0]
    moving["norm_qkv"] = norm.running_mean, norm.running_var
    sizes = (spec.key_channels, spec.key_channels, spec.value_channels)
    q, k, v = (part.unflatten(1, (spec.heads, -1)) for part in qkv.split(sizes, dim=1))  # (B, G, D, L)
    rows, seen = distances(spec, length)
    rq, rk, rv = (
        None if t is None else t[rows] for t in map(layer.table, ("query_position", "key_position", "value_position"))
    )  # (L, L, D)
    logits = []
    if "content" in spec.similarity:
        logits.append(torch.einsum("bgdp,bgds->bgps", q, k))
    if "query" in spec.similarity:
        logits.append(torch.einsum("bgdp,psd->bgps", q, rq))
    if "key" in spec.similarity:
        logits.append(torch.einsum("bgds,psd->bgps", k, rk))
    logits = masked_norm(layer.norm_similarity, torch.cat(logits, dim=1), seen, moving, "norm_similarity")
    logits = logits.unflatten(1, (-1, spec.heads)).sum(1).masked_fill(~seen, -torch.inf)  # (B, G, L, L)
    p = logits.softmax(-1)
    out = []
    if "content" in spec.value:
        out.append(torch.einsum("bgps,bgds->bgdp", p, v).flatten(1, 2))  # (B, V, L)
    if "position" in spec.value:
        out.append(torch.einsum("bgps,psd->bgdp", p, rv).flatten(1, 2))
    norm = norm2d(layer.norm_output)
    x = norm(torch.cat(out, dim=1)[..., None])[..., 0]
    moving["norm_output"] = norm.running_mean, norm.running_var
    x = x.unflatten(1, (len(out), -1)).sum(1)  # (B, V, L)
    x = x.unflatten(0, (n, other)).permute(0, 2, 3, 1)  # (N, V, L, other)
    return (x.transpose(2, 3) if layer.axis == 1 else x), moving
