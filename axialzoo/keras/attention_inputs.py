"""What attention is computed from, in one object: where a fused kernel takes the place of plain operations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from keras import ops

from axialzoo.spec import Attention
from axialzoo.spec.attention import SIMILARITY_TERMS


@dataclass(frozen=True)
class AttentionInputs:
    """Queries, keys, values and position tables of one layer, for `attend` and `moments`.

    Letters as in :mod:`axialzoo.keras.attention` and :mod:`axialzoo.keras.attention2d`.

    Attributes:
        q, k: Along one axis (B, G, L, Dk); over both (N, G, H, W, Dk).
        v: The same with Dv. Times its gate, where there is one.
        rq, rk: Position tables of queries and keys: the row of query t and key s of a window, which depends on s - t alone.
            Along one axis (T, S, Dk); over both a pair, (Th, Sh, Dk / 2) and (Tw, Sw, Dk / 2).
            Stretched and times their gates; None where the spec has no such term.
        rv: The same of what is retrieved, with Dv.
        spec: Which terms there are.
        window: What each query attends to: a `Window` or `DynamicWindow` along one axis, a pair of them over both.
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
        """Factors of q.k, q.rq and k.rk, None for a term that there is not.

        Args:
            scale: (terms, G), in the order of ``spec.similarity``; None for factors of 1.
            axes: How many axes of the logits follow the heads: each factor is (G, 1, ...).
        """
        terms = self.spec.similarity
        by_term = {term: 1 if scale is None else ops.reshape(scale[index], (-1, *(1,) * axes)) for index, term in enumerate(terms)}
        return tuple(by_term.get(term) for term in SIMILARITY_TERMS)

    def similarity_in(self, dtype: str) -> AttentionInputs:
        """The same with q, k, rq and rk, which the logits are made of, in `dtype`."""
        rq, rk = _cast(self.rq, dtype), _cast(self.rk, dtype)
        return replace(self, q=ops.cast(self.q, dtype), k=ops.cast(self.k, dtype), rq=rq, rk=rk)


def _cast(table: Any, dtype: str) -> Any:
    """A table, a pair of tables or None, in `dtype`."""
    if table is None:
        return None
    return tuple(ops.cast(half, dtype) for half in table) if isinstance(table, tuple) else ops.cast(table, dtype)
