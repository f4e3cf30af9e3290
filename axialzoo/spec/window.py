"""Which keys each query of a long axis attends to, as windows of one shape."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """An axis of `length` cut into `count` windows of `queries` positions.

    Each window's keys are its own positions and `flange` more on either side; those further than `reach`
    from a query, or past the ends of the axis, are masked. Time and memory are O(length * reach).
    On a `whole` axis nothing is masked.
    """

    length: int
    reach: int
    queries: int
    flange: int

    @classmethod
    def of(cls, length: int, reach: int) -> Window:
        """The windows of an axis: one without flanges where windows would not hold fewer pairs."""
        if reach >= length - 1:
            return cls(length, length - 1, length, 0)
        queries = max(reach, 8)
        if length <= max(3 * reach, queries):
            return cls(length, reach, length, 0)  # windows would hold as many pairs as the whole
        return cls(length, reach, queries, reach)

    @property
    def whole(self) -> bool:
        """Whether every query reaches everything."""
        return self.reach >= self.length - 1

    @property
    def count(self) -> int:
        return -(-self.length // self.queries)

    @property
    def keys(self) -> int:
        return self.queries + 2 * self.flange

    @property
    def pairs(self) -> int:
        """How many (query, key) pairs are attended."""
        return self.length * (2 * self.reach + 1) - self.reach * (self.reach + 1)
