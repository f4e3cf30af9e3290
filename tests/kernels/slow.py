"""Attention along the height, of rows whose channels lie head fastest, written down with L x L logits."""

from __future__ import annotations

import torch
from torch import Tensor


def slow_attend(qkv: Tensor, rq: Tensor, rk: Tensor, rv: Tensor, scales: Tensor, key_depth: int, reach: int) -> tuple[Tensor, Tensor]:
    """(N, H, W, 2K + V) to contents and positions retrieved, (N, H, W, V) each."""
    heads, length = scales.shape[1], qkv.shape[1]
    keys = heads * key_depth
    q, k, v = (x.unflatten(3, (-1, heads)) for x in qkv.split((keys, keys, qkv.shape[3] - 2 * keys), 3))  # (N, L, W, D, G)
    distance = torch.arange(length) - torch.arange(length)[:, None]  # (T, S)
    seen = (distance.abs() <= reach)[None, None, None]
    rq, rk, rv = (table[distance.clamp(-reach, reach) + len(table) // 2] for table in (rq, rk, rv))  # (T, S, D)
    a, b, c = scales[:, None, :, None, None]  # (1, G, 1, 1)
    logits = a * torch.einsum("ntwdg,nswdg->nwgts", q, k) + b * torch.einsum("ntwdg,tsd->nwgts", q, rq)
    logits = logits + c * torch.einsum("nswdg,tsd->nwgts", k, rk)
    p = logits.masked_fill(~seen, -torch.inf).softmax(-1)  # (N, W, G, T, S)
    contents, positions = torch.einsum("nwgts,nswdg->ntwdg", p, v), torch.einsum("nwgts,tsd->ntwdg", p, rv)
    return contents.flatten(3), positions.flatten(3)
