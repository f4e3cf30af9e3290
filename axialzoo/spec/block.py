"""Residual blocks."""

from __future__ import annotations

from dataclasses import dataclass

from axialzoo.spec.attention import Attention
from axialzoo.spec.check import require, require_choice, require_count, require_number
from axialzoo.spec.transformer import Transformer

WIDTHS = {"axial": 2, "attention": 2, "bottleneck": 3, "basic": 2}
DILATIONS = {"axial": 0, "attention": 0, "bottleneck": 1, "basic": 2}


@dataclass(frozen=True)
class Block:
    """A residual block.

    Attributes:
        kind: ``"axial"``: 1x1, height attention, width attention, 1x1. ``"attention"``: 1x1, attention of another
            kind, 1x1. ``"bottleneck"``: 1x1, 3x3, 1x1. ``"basic"``: 3x3, 3x3.
        channels: Output widths of its convolutions, in order; the last is the block's. The width between
            attention and the last 1x1 is ``attention.value_channels``.
        stride: Of the block's first spatial operation and of its shortcut.
        dilation: Atrous rate of each 3x3 convolution.
        attention: Of an axial block, both axes; of an attention block, its layer.
        squeeze_excite: Gate the residual by one 1x1 convolution on its mean (SWideRNet).
        drop_path: Probability that the residual of a sample is dropped in training.
        transformer: A dual-path transformer between pixels and memory tokens after the block, or None.
    """

    kind: str
    channels: tuple[int, ...]
    stride: int = 1
    dilation: tuple[int, ...] = ()
    attention: Attention | None = None
    squeeze_excite: bool = False
    drop_path: float = 0.0
    transformer: Transformer | None = None

    def __post_init__(self):
        require_choice("Block", "kind", self.kind, tuple(WIDTHS))
        if not self.dilation:
            object.__setattr__(self, "dilation", (1,) * DILATIONS[self.kind])
        require(
            len(self.channels) == WIDTHS[self.kind],
            f"Block.channels: a block of kind {self.kind!r} has {WIDTHS[self.kind]} widths, found {list(self.channels)}",
        )
        require(
            len(self.dilation) == DILATIONS[self.kind],
            f"Block.dilation: a block of kind {self.kind!r} has {DILATIONS[self.kind]} of them, found {list(self.dilation)}",
        )
        for width in self.channels:
            require_count("Block", "channels", width)
        for rate in self.dilation:
            require_count("Block", "dilation", rate)
        require_choice("Block", "stride", self.stride, (1, 2))
        expected = None if self.attention is None else "axial" if self.attention.kind == "axial" else "attention"
        first = self.dilation[0] if self.dilation else 1
        require(self.stride == 1 or first == 1, f"Block.dilation: expected 1 of a convolution with stride 2, found {first}")
        require(
            expected == (self.kind if self.kind in ("axial", "attention") else None),
            f"Block.attention: expected axial attention in a block of kind 'axial', another kind in one of kind 'attention', "
            f"none in any other; found kind={self.kind!r} and {self.attention!r}",
        )
        require(isinstance(self.squeeze_excite, bool), f"Block.squeeze_excite: expected a bool, found {self.squeeze_excite!r}")
        require_number("Block", "drop_path", self.drop_path, 0.0, 0.999)


def axial_block(width: int, out: int, max_length: int) -> Block:
    """Return an axial block of four heads, as the small models have it."""
    return Block("axial", (width, out), attention=Attention(width // 2, width, heads=4, max_length=max_length))
