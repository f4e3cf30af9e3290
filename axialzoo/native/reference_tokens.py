"""Operations of attention over both axes and of mask transformers in numpy; letters as in :mod:`axialzoo.torch.attention2d`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from axialzoo.native.attention_arrays import AxisPairs
from axialzoo.native.program import Step

Table = np.ndarray | None


def _attention2d(step: Step, x: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Attend for one line of queries after the other: queries (N, H, W, GD), keys and values (N, h, w, GD + V)."""
    arrays = step.attention2d
    assert arrays is not None
    heads, keys = arrays.heads, arrays.heads * arrays.key_depth
    q, k, v = (part.reshape(*part.shape[:3], heads, -1) for part in (x, others[..., :keys], others[..., keys:]))  # (N, H, W, G, D)
    seen = [axis.visible(*sides) for axis, sides in zip(arrays.axes, zip(x.shape[1:3], others.shape[1:3]))]
    tables = [_tables(axis, *sides) for axis, sides in zip(arrays.axes, zip(x.shape[1:3], others.shape[1:3]))]
    a, b, c = arrays.scales[:, :, None, None, None]  # (G, 1, 1, 1)
    lines = []
    for line in range(x.shape[1]):
        qt = q[:, line]  # (N, W, G, D)
        (lq, lk, lv), (cq, ck, cv) = (
            [table if table is None else table[line] for table in tables[0]],
            tables[1],
        )  # (h, D / 2), (W, w, D / 2)
        logits = np.zeros((len(x), heads, qt.shape[1], *k.shape[1:3]), x.dtype)  # (N, G, W, h, w)
        qh, qw, kh, kw = (part for whole in (qt, k) for part in np.split(whole, [whole.shape[-1] // 2], axis=-1))
        if arrays.content_similarity:
            logits += a * np.einsum("nugd,nrcgd->ngurc", qt, k)
        if lq is not None and cq is not None:
            logits += b * (np.einsum("nugd,rd->ngur", qh, lq)[..., None] + np.einsum("nugd,ucd->nguc", qw, cq)[:, :, :, None])
        if lk is not None and ck is not None:
            logits += c * (np.einsum("nrcgd,rd->ngrc", kh, lk)[:, :, None] + np.einsum("nrcgd,ucd->ngurc", kw, ck))
        logits[:, :, ~(seen[0][line][:, None] & seen[1][:, None])] = -np.inf
        p = np.exp(logits - logits.max((3, 4), keepdims=True))
        p /= p.sum((3, 4), keepdims=True)
        y = np.zeros((*qt.shape[:3], v.shape[-1]), x.dtype)  # (N, W, G, Dv)
        if arrays.content_value:
            y += np.einsum("ngurc,nrcgd->nugd", p, v) * (1 if arrays.value_scale is None else arrays.value_scale.reshape(heads, -1))
        if lv is not None and cv is not None and arrays.position_scale is not None:
            halves = np.einsum("ngur,rd->nugd", p.sum(4), lv), np.einsum("nguc,ucd->nugd", p.sum(3), cv)
            y += np.concatenate(halves, axis=-1) * arrays.position_scale.reshape(heads, -1)
        lines.append((y + arrays.shift.reshape(heads, -1)).reshape(len(x), x.shape[2], -1))
    return np.stack(lines, axis=1)


def _tables(axis: AxisPairs, queries: int, keys: int) -> list[Table]:
    """Return the row of each query and key of each table, (queries, keys, D / 2); those out of reach are any."""
    distance = np.arange(keys) - np.arange(queries)[:, None]
    return [None if table is None else table[(distance + len(table) // 2).clip(0, len(table) - 1)] for table in axis.tables]


def _layer_norm(step: Step, x: np.ndarray) -> np.ndarray:
    assert step.matrix is not None
    centred = x - x.mean(3, keepdims=True)
    return centred / np.sqrt(np.square(centred).mean(3, keepdims=True) + np.float32(step.epsilon)) * step.matrix.weight + step.matrix.bias


def _token_product(step: Step, x: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    assert step.matrix is not None
    return x @ tokens.swapaxes(2, 3) + step.matrix.bias


def _cluster_sums(step: Step, x: np.ndarray, values: np.ndarray) -> np.ndarray:
    owner = x.argmax(3)  # (N, H, W)
    sums = np.zeros((len(x), 1, x.shape[3], values.shape[3]))
    for image, token in np.ndindex(len(x), x.shape[3]):
        sums[image, 0, token] = values[image][owner[image] == token].sum(0, dtype=np.float64)
    return sums.astype(x.dtype)


TOKEN_OPERATIONS: dict[str, Callable[..., np.ndarray]] = {
    "attention_2d": _attention2d,
    "layer_norm": _layer_norm,
    "unit_norm": lambda step, x: x / np.sqrt(np.maximum(np.square(x).sum(3, keepdims=True), step.epsilon)),
    "token_product": _token_product,
    "cluster_sums": _cluster_sums,
}
