"""Inputs of the attention equation in one object, for plain operations and for a fused kernel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from axialzoo.spec import Attention


@dataclass(frozen=True)
class AttentionInputs:
    """Queries, keys, values and position tables of one layer, for `attend` and `moments`.

    Letters are those of :mod:`axialzoo.torch.attention` and :mod:`axialzoo.torch.attention2d`.

    Attributes:
        q, k: Queries and keys: (B, G, L, Dk) along one axis, (N, G, H, W, Dk) over both.
        v: Values, shaped as `q` with Dv, times their gate if there is one.
        rq, rk: Position tables of queries and keys: the row of query t and key s of a window, which depends on s - t alone.
            Along one axis (T, S, Dk); over both a pair, (Th, Sh, Dk / 2) and (Tw, Sw, Dk / 2).
            Stretched and times their gates; None where the spec has no such term.
        rv: Position table of the values, shaped as `rq` with Dv.
        spec: The layer's spec, which names its terms.
        window: Keys that each query sees: a `Window` or `SymbolicWindow` along one axis, a pair of them over both.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    rq: Any
    rk: Any
    rv: Any
    spec: Attention
    window: Any

    def similarity_in(self, dtype: torch.dtype) -> AttentionInputs:
        """Return a copy with q, k, rq and rk, from which the logits are computed, in `dtype`."""
        rq, rk = _cast(self.rq, dtype), _cast(self.rk, dtype)
        return replace(self, q=self.q.to(dtype), k=self.k.to(dtype), rq=rq, rk=rk)


def _cast(table: Any, dtype: torch.dtype) -> Any:
    """Cast a table, a pair of tables or None to `dtype`."""
    if table is None:
        return None
    return table.to(dtype) if isinstance(table, Tensor) else tuple(half.to(dtype) for half in table)
