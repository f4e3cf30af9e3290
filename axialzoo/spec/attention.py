"""What one axial attention layer computes (Axial-DeepLab, arXiv:2003.07853, equation 4)."""

from __future__ import annotations

from dataclasses import dataclass

from axialzoo.spec.check import SpecError, require, require_choice, require_count

SIMILARITY_TERMS = ("content", "query", "key")
VALUE_TERMS = ("content", "position")


@dataclass(frozen=True)
class Attention:
    """Attention along one axis with relative positions for queries, keys and values.

    Attributes:
        key_channels: Width of all queries together, and of all keys (``heads * Dk``).
        value_channels: Width of all values together (``heads * Dv``); also the layer's output width.
        heads: Number of heads ``G``.
        positions: Reach of the position tables: they hold the distances ``-(positions - 1)`` to
            ``positions - 1``, so ``2 * positions - 1`` rows.
        kind: What attends to what; ``"axial"`` is along one axis.
        span: Odd width of the window each query attends to, or None for everything the tables reach.
        long_axis: What an axis longer than the tables reach gets: ``"local"`` attends within the reach,
            ``"interpolate"`` stretches the tables (linear, end distances kept).
        similarity: Terms of the logits: ``content`` q.k, ``query`` q.r^q, ``key`` k.r^k.
        value: Terms of what is retrieved: ``content`` v, ``position`` r^v.
        downsample: How a stride is applied: ``"pool"`` averages after the width attention (the authors'
            code), ``"slice"`` keeps every other position after each axis (the paper, deeplab2).
    """

    key_channels: int
    value_channels: int
    heads: int = 8
    positions: int = 56
    kind: str = "axial"
    span: int | None = None
    long_axis: str = "local"
    similarity: tuple[str, ...] = SIMILARITY_TERMS
    value: tuple[str, ...] = VALUE_TERMS
    downsample: str = "pool"

    def __post_init__(self):
        for field in ("key_channels", "value_channels", "heads", "positions"):
            require_count("Attention", field, getattr(self, field))
        for field in ("key_channels", "value_channels"):
            require(
                getattr(self, field) % self.heads == 0,
                f"Attention.{field}: expected a multiple of heads={self.heads}, found {getattr(self, field)}",
            )
        require_choice("Attention", "kind", self.kind, ("axial",))
        require_choice("Attention", "long_axis", self.long_axis, ("local", "interpolate"))
        require_choice("Attention", "downsample", self.downsample, ("pool", "slice"))
        if self.span is not None:
            require_count("Attention", "span", self.span)
            require(self.span % 2 == 1, f"Attention.span: expected an odd window (65 sees 32 each way), found {self.span}")
        for field, known in (("similarity", SIMILARITY_TERMS), ("value", VALUE_TERMS)):
            terms = getattr(self, field)
            if not terms or list(terms) != [term for term in known if term in terms]:
                raise SpecError(f"Attention.{field}: expected some of {list(known)} in this order, found {list(terms)}")

    @property
    def key_depth(self) -> int:
        return self.key_channels // self.heads

    @property
    def value_depth(self) -> int:
        return self.value_channels // self.heads

    @property
    def rows(self) -> int:
        """Rows of each position table."""
        return 2 * self.positions - 1

    @property
    def has_tables(self) -> bool:
        return "query" in self.similarity or "key" in self.similarity or "position" in self.value

    def reach(self, length: int) -> int:
        """How many positions away a query still attends to, on an axis of `length` positions."""
        reach = length - 1
        if self.span is not None:
            reach = min(reach, self.span // 2)
        if self.has_tables and self.long_axis == "local":
            reach = min(reach, self.positions - 1)
        return reach
