"""Stems: the layers before the residual stages."""

from __future__ import annotations

from dataclasses import dataclass

from axialzoo.spec.check import require_choice, require_count


@dataclass(frozen=True)
class StemConv:
    """One convolution and its norm; padding is ``kernel // 2`` on each side.

    The activation follows each, but not the last of a stem whose blocks activate their own input.
    """

    channels: int
    kernel: int = 3
    stride: int = 1

    def __post_init__(self):
        require_count("StemConv", "channels", self.channels)
        require_choice("StemConv", "kernel", self.kernel, (1, 3, 5, 7))
        require_choice("StemConv", "stride", self.stride, (1, 2))


@dataclass(frozen=True)
class Stem:
    """A stack of convolutions; none for a network that attends from the first layer on."""

    convs: tuple[StemConv, ...] = ()
