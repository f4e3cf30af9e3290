"""Attention layers: axial (Axial-DeepLab, arXiv:2003.07853, equation 4) and the kinds that papers compare it with."""

from __future__ import annotations

from dataclasses import dataclass

from axialzoo.spec.check import SpecError, require, require_choice, require_count

SIMILARITY_TERMS = ("content", "query", "key")
VALUE_TERMS = ("content", "position")
POSITION_SIDES = {"query": 0, "key": 1}  # whether the table of a term of the logits multiplies the queries (0) or the keys (1)
POSITION_TABLES = (*(f"{term}_position" for term in POSITION_SIDES), "value_position")  # of relative positions
ATTENTION_KINDS = ("axial", "global", "local", "window")
ENCODINGS = ("relative", "absolute", "sinusoidal")


@dataclass(frozen=True)
class Attention:
    """Attention with relative positions for queries, keys and values.

    Attributes:
        key_channels: Width of all queries together, and of all keys (``heads * Dk``).
        value_channels: Width of all values together (``heads * Dv``); also the layer's output width.
        heads: Number of heads ``G``.
        max_length: Longest axis whose distances the position tables all hold: ``-(max_length - 1)`` to
            ``max_length - 1``, so ``2 * max_length - 1`` rows; of absolute positions, how many.
        kind: What a position attends to. ``"axial"``: one axis, all or `span` of it. ``"global"``: the whole map.
            ``"local"``: the `span` x `span` positions around it (Stand-Alone Self-Attention, arXiv:1906.05909).
            ``"window"``: the window of `span` x `span` that it lies in, of a grid (Swin, arXiv:2103.14030, with this
            layer's positions in the place of its bias).
        span: Odd width of the window each query attends to, or None for everything the tables reach; of the kind
            ``"window"``, the side of its windows.
        beyond_tables: Treatment of an axis longer than the tables reach: ``"local"`` attends within the reach,
            ``"interpolate"`` stretches the tables (linear, end distances kept). Absolute positions are always stretched.
        similarity: Terms of the logits: ``content`` q.k, ``query`` q.r^q, ``key`` k.r^k.
        value: Terms of what is retrieved: ``content`` v, ``position`` r^v.
        downsample: How a stride is applied: ``"pool"`` averages after the width attention (the authors'
            code), ``"slice"`` keeps every other position after each axis (the paper, deeplab2).
        encoding: ``"relative"``: the terms above. ``"absolute"``: no such terms; a learned vector for each row and
            column is added to the layer's input. ``"sinusoidal"``: the same, of sines (arXiv:1706.03762, section 3.5).
            An axial layer adds those of its own axis.
        gated: Each position term, and what is retrieved, has a learned factor (Medical Transformer,
            arXiv:2102.10662, equation 3).
        shifted: Of the kind ``"window"``: the grid begins half a window before the map.
    """

    key_channels: int
    value_channels: int
    heads: int = 8
    max_length: int = 56
    kind: str = "axial"
    span: int | None = None
    beyond_tables: str = "local"
    similarity: tuple[str, ...] = SIMILARITY_TERMS
    value: tuple[str, ...] = VALUE_TERMS
    downsample: str = "pool"
    encoding: str = "relative"
    gated: bool = False
    shifted: bool = False

    def __post_init__(self):
        for field in ("key_channels", "value_channels", "heads", "max_length"):
            require_count("Attention", field, getattr(self, field))
        for field in ("key_channels", "value_channels"):
            require(
                getattr(self, field) % self.heads == 0,
                f"Attention.{field}: expected a multiple of heads={self.heads}, found {getattr(self, field)}",
            )
        require_choice("Attention", "kind", self.kind, ATTENTION_KINDS)
        require_choice("Attention", "beyond_tables", self.beyond_tables, ("local", "interpolate"))
        require_choice("Attention", "downsample", self.downsample, ("pool", "slice"))
        require_choice("Attention", "encoding", self.encoding, ENCODINGS)
        self._check_span()
        for field, known in (("similarity", SIMILARITY_TERMS), ("value", VALUE_TERMS)):
            terms = getattr(self, field)
            if not terms or list(terms) != [term for term in known if term in terms]:
                raise SpecError(f"Attention.{field}: expected some of {list(known)} in this order, found {list(terms)}")

        if self.encoding != "relative":
            require(
                not self.has_relative_terms,
                f"Attention.similarity, value: expected content alone beside encoding={self.encoding!r}, "
                f"found {list(self.similarity)} and {list(self.value)}",
            )
        for field in ("gated", "shifted"):
            require(isinstance(getattr(self, field), bool), f"Attention.{field}: expected a bool, found {getattr(self, field)!r}")
        require(not self.gated or self.has_relative_terms, "Attention.gated: expected position terms to gate, found content alone")
        require(not self.shifted or self.kind == "window", f"Attention.shifted: expected kind 'window', found {self.kind!r}")
        if self.kind != "axial":
            for name, depth in self._depths().items():
                require(
                    depth % 2 == 0, f"Attention: of kind {self.kind!r}, half of {name} is of rows and half of columns; found depth {depth}"
                )

    def _check_span(self) -> None:
        if self.kind == "global":
            require(self.span is None, f"Attention.span: expected none of kind 'global', found {self.span}; 'local' has one")
        elif self.kind in ("local", "window"):
            require(self.span is not None, f"Attention.span: expected the side of the windows of kind {self.kind!r}, found none")
        if self.span is not None:
            require_count("Attention", "span", self.span)
            require(
                self.span % 2 == 1 or self.kind == "window",
                f"Attention.span: expected an odd window (65 sees 32 each way), found {self.span}",
            )

    @property
    def key_depth(self) -> int:
        return self.key_channels // self.heads

    @property
    def value_depth(self) -> int:
        return self.value_channels // self.heads

    @property
    def num_relative_positions(self) -> int:
        """Rows of each position table."""
        return 2 * self.max_length - 1

    @property
    def has_relative_terms(self) -> bool:
        """Tell whether the layer has relative position terms."""
        return any(term in self.similarity for term in POSITION_SIDES) or "position" in self.value

    def _depths(self) -> dict[str, int]:
        depths = {f"{term}_position": self.key_depth for term in POSITION_SIDES if term in self.similarity}
        return depths | ({"value_position": self.value_depth} if "position" in self.value else {})

    def tables(self, inputs: int) -> dict[str, tuple[int, int]]:
        """Name and shape of each position table, of a layer with `inputs` channels.

        Of two axes, ``_height`` and ``_width``, each has a table: half of the depth of a relative term
        (arXiv:1906.05909, section 3.1), or the whole of an absolute position.
        """
        axes = ("",) if self.kind == "axial" else ("_height", "_width")
        if self.encoding == "absolute":
            return {f"position{axis}": (self.max_length, inputs) for axis in axes}
        return {name + axis: (self.num_relative_positions, depth // len(axes)) for name, depth in self._depths().items() for axis in axes}

    @property
    def gates(self) -> tuple[str, ...]:
        """Terms that a gate multiplies, in the order of the ``gates`` tensor."""
        return (
            (
                *(f"{term}_position" for term in self.similarity if term in POSITION_SIDES),
                *("value_position" if term == "position" else "value" for term in self.value),
            )
            if self.gated
            else ()
        )

    def reach(self, length: int) -> int:
        """Return the largest distance at which a query attends to a key, on an axis of `length` positions."""
        reach = length - 1
        if self.span is not None:
            reach = min(reach, self.span - 1 if self.kind == "window" else self.span // 2)
        if self.has_relative_terms and self.beyond_tables == "local":
            reach = min(reach, self.max_length - 1)
        return reach
