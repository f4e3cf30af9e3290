"""Windows of an axis whose length is known only when the model runs (what torch.export records with free sizes)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from axialzoo.spec import Attention
from axialzoo.spec.window import LEAST

LONGEST = 2**30


@dataclass(frozen=True)
class DynamicWindow:
    """As :class:`axialzoo.spec.window.Window`, of fixed width and as many as the axis needs.

    Where nothing bounds the reach (interpolated tables without a span) it is one window over everything. Nothing is asked of the
    length, so that one recording serves every size.
    """

    length: Any  # a whole number that is not known yet: torch.SymInt
    reach: Any
    queries: Any
    flange: int
    offset: Any
    whole: bool

    @classmethod
    def of(cls, length: Any, spec: Attention) -> DynamicWindow:
        reach = spec.reach(LONGEST)
        if reach == LONGEST - 1:
            return cls(length, length - 1, length, 0, 0, True)
        if spec.kind == "global":
            return cls(length, reach, length, 0, 0, False)
        if spec.kind == "window":
            assert spec.span is not None
            offset = spec.span - spec.span // 2 if spec.shifted else 0
            longer = torch.sym_min(torch.sym_max(length - spec.span, 0), 1)  # 1 where there is more than one window, else 0
            return cls(length, reach, spec.span, 0, offset * longer, False)
        return cls(length, reach, max(reach + 1, LEAST[spec.kind]), reach, 0, False)

    @property
    def count(self) -> Any:
        return 1 if self.queries is self.length else (self.length + self.offset - 1) // self.queries + 1  # so written, known to be positive

    @property
    def keys(self) -> Any:
        return self.queries + 2 * self.flange


def is_known(length: Any) -> bool:
    """Whether the length of an axis is a number now, or may be taken for one: torch.compile records sizes, and asks of each."""
    return isinstance(length, int) or not torch.compiler.is_exporting()


def is_traced() -> bool:
    """Whether `torch.jit.trace` records what is computed."""
    return torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]  # public, though not declared so
