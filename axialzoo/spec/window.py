"""Cuts an axis into windows of one shape, which say the keys that each query attends to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from axialzoo.spec.attention import Attention

LONGEST = 2**30  # positions; nobody has a longer axis
LEAST = {"axial": 8, "local": 4}  # queries of a window: smaller ones make small products, larger ones more masked pairs


@dataclass(frozen=True)
class Window:
    """An axis of `length` cut into `count` windows of `queries` positions, the first of which begins `offset` before it.

    Each window's keys are its own positions and `flange` more on either side; those further than `reach`
    from a query, or past the ends of the axis, are masked. Time and memory are O(length * reach).
    On a `whole` axis nothing is masked.
    """

    length: int
    reach: int
    queries: int
    flange: int
    offset: int = 0

    @classmethod
    def of(cls, length: int, spec: Attention) -> Window:
        """Return the windows of an axis: one window without flanges if several would not hold fewer pairs."""
        reach = spec.reach(length)
        if reach >= length - 1:
            return cls(length, length - 1, length, 0)
        if spec.kind == "global":
            return cls(length, reach, length, 0)
        if spec.kind == "window":
            assert spec.span is not None
            if length <= spec.span:
                return cls(length, reach, length, 0)  # one window, as long as the axis
            return cls(length, reach, spec.span, 0, spec.span - spec.span // 2 if spec.shifted else 0)
        queries = max(reach, LEAST[spec.kind])
        if length <= max(3 * reach, queries):
            return cls(length, reach, length, 0)  # windows would hold as many pairs as the whole
        return cls(length, reach, queries, reach)

    @property
    def whole(self) -> bool:
        """Tell whether every query attends to the whole axis."""
        return self.reach >= self.length - 1

    @property
    def count(self) -> int:
        return -(-(self.length + self.offset) // self.queries)

    @property
    def padding(self) -> tuple[int, int]:
        """Positions that the windows' queries have before and after the axis."""
        return self.offset, self.count * self.queries - self.length - self.offset

    @property
    def keys(self) -> int:
        return self.queries + 2 * self.flange

    @property
    def pairs(self) -> int:
        """Number of (query, key) pairs that are attended."""
        if self.flange or self.count == 1:
            return pairs_within(self.length, min(self.reach, self.length - 1))
        before, after = self.padding
        sides = [self.queries - before, *[self.queries] * (self.count - 2), self.queries - after]
        return sum(pairs_within(side, min(self.reach, side - 1)) for side in sides)


@dataclass(frozen=True)
class AnyLengthWindow:
    """Windows of an axis whose length is known only when the model runs: their width is fixed, their number follows the axis.

    Where nothing bounds the reach (interpolated tables without a span), one window covers the whole axis. Numbers that depend on the
    length are tensors of the framework that runs the model: see its ``dynamic_window.py``.
    """

    length: Any
    reach: Any
    queries: Any
    flange: int
    offset: Any
    whole: bool

    @classmethod
    def trim(cls, length: Any, spec: Attention, longer: Callable[[int], Any]) -> Self:
        """Choose how wide windows are and how far they reach, for an axis whose length may be known only at run time.

        Args:
            longer: Gives 1 where the axis is longer than so many positions, else 0.
        """
        reach = spec.reach(LONGEST)
        if reach == LONGEST - 1:
            return cls(length, length - 1, length, 0, 0, True)
        if spec.kind == "global":
            return cls(length, reach, length, 0, 0, False)
        if spec.kind == "window":
            assert spec.span is not None
            offset = spec.span - spec.span // 2 if spec.shifted else 0
            return cls(length, reach, spec.span, 0, offset * longer(spec.span), False)
        return cls(length, reach, max(reach, LEAST[spec.kind]), reach, 0, False)

    @property
    def keys(self) -> Any:
        return self.queries + 2 * self.flange


def pairs_within(length, reach):
    """Return the number of pairs of positions at most `reach` apart on an axis of `length` positions; `reach` is below `length`."""
    return length * (2 * reach + 1) - reach * (reach + 1)
