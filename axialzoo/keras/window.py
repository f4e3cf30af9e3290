"""Windows of an axis whose length is known only when the model runs (a TensorFlow graph with free sizes)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

from axialzoo.spec import Attention

LONGEST = 2**30


@dataclass(frozen=True)
class DynamicWindow:
    """As :class:`axialzoo.spec.window.Window`, of fixed width and as many as the axis needs.

    Where nothing bounds the reach (interpolated tables without a span) it is one window over everything.
    """

    length: Any  # an integer tensor
    reach: Any
    queries: Any
    flange: int
    whole: bool

    @classmethod
    def of(cls, length, spec: Attention) -> DynamicWindow:
        reach = spec.reach(LONGEST)
        if reach == LONGEST - 1:
            return cls(length, length - 1, length, 0, True)
        return cls(length, reach, max(reach, 8), reach, False)

    @property
    def count(self):
        return 1 if self.whole else -(-self.length // self.queries)

    @property
    def keys(self):
        return self.queries + 2 * self.flange

    @property
    def pairs(self):
        reach = ops.minimum(self.reach, self.length - 1)
        return self.length * (2 * reach + 1) - reach * (reach + 1)
