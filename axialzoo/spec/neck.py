"""Stacked decoder of MaX-DeepLab-L after the stages, here called the neck."""

from __future__ import annotations

from dataclasses import dataclass

from axialzoo.spec.block import Block
from axialzoo.spec.check import require, require_count


@dataclass(frozen=True)
class NeckStage:
    """One step of the stacked decoder of MaX-DeepLab-L (arXiv:2012.00759): fuse features, then blocks.

    The output before and the last two features at `stride` are brought to `channels` and to the size
    ``ceil(image / stride)``, then added. A feature of as many channels is resized as it is (bilinear, corners aligned);
    any other is activated and projected by a 1x1 convolution, with stride 2 where that gives the size, else resized after.

    Attributes:
        stride: Total stride of the step.
        channels: Channels after fusing.
        blocks: Residual blocks after fusing.
        fuse: Whether the step fuses features; False continues from the output before, in whose place its own output comes.
        endpoint: Whether the output is an endpoint of the backbone, as that of the last step always is.
    """

    stride: int
    channels: int
    blocks: tuple[Block, ...] = ()
    fuse: bool = True
    endpoint: bool = False

    def __post_init__(self):
        require_count("NeckStage", "stride", self.stride)
        require_count("NeckStage", "channels", self.channels)
        for field in ("fuse", "endpoint"):
            require(isinstance(getattr(self, field), bool), f"NeckStage.{field}: expected a bool, found {getattr(self, field)!r}")
        strides = [block.stride for block in self.blocks]
        require(set(strides) <= {1}, f"NeckStage.blocks: expected blocks of stride 1, found strides {strides}")

    @property
    def outputs(self) -> int:
        return self.blocks[-1].channels[-1] if self.blocks else self.channels


@dataclass(frozen=True)
class NeckInput:
    """A feature that a step of the neck takes in: which one, its channels and its stride."""

    index: int
    channels: int
    stride: int
