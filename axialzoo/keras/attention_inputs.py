"""Inputs of the attention equation in one object, for plain operations and for a fused kernel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from keras import ops

from axialzoo.spec import Attention
from axialzoo.spec.attention import SIMILARITY_TERMS


@dataclass(frozen=True)
class AttentionInputs:
    """Queries, keys, values and position tables of one layer, for `attend` and `moments`.

    Letters are those of :mod:`axialzoo.keras.attention` and :mod:`axialzoo.keras.attention2d`.

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

    q: Any
    k: Any
    v: Any
    rq: Any
    rk: Any
    rv: Any
    spec: Attention
    window: Any

    def factors(self, scale, axes: int) -> tuple:
        """Return the factors of q.k, q.rq and k.rk, None for a term that the spec lacks.

        Args:
            scale: (terms, G), in the order of ``spec.similarity``; None for factors of 1.
            axes: Number of axes of the logits after the heads: each factor is (G, 1, ...).
        """
        terms = self.spec.similarity
        by_term = {term: 1 if scale is None else ops.reshape(scale[index], (-1, *(1,) * axes)) for index, term in enumerate(terms)}
        return tuple(by_term.get(term) for term in SIMILARITY_TERMS)

    def similarity_in(self, dtype: str) -> AttentionInputs:
        """Return a copy with q, k, rq and rk, from which the logits are computed, in `dtype`."""
        rq, rk = _cast(self.rq, dtype), _cast(self.rk, dtype)
        return replace(self, q=ops.cast(self.q, dtype), k=ops.cast(self.k, dtype), rq=rq, rk=rk)


def _cast(table: Any, dtype: str) -> Any:
    """Cast a table, a pair of tables or None to `dtype`."""
    if table is None:
        return None
    return tuple(ops.cast(half, dtype) for half in table) if isinstance(table, tuple) else ops.cast(table, dtype)
