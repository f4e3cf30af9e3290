"""What a backbone computes: a stem, stages of residual blocks, and the conventions that they share."""

from __future__ import annotations

from dataclasses import dataclass

from axialzoo.spec.block import Block
from axialzoo.spec.check import require, require_choice, require_count, require_number
from axialzoo.spec.stem import Stem

ACTIVATIONS = ("relu", "gelu", "gelu_tanh", "silu", "elu")


@dataclass(frozen=True)
class Norm:
    """Batch normalisation: its epsilon, and its momentum in PyTorch's sense (the weight of the new batch).

    One rule for all: the moving variance is that of the sample (divided by n - 1).
    """

    epsilon: float = 1e-5
    momentum: float = 0.1

    def __post_init__(self):
        require_number("Norm", "epsilon", self.epsilon, 0.0, 1.0)
        require_number("Norm", "momentum", self.momentum, 0.0, 1.0)


@dataclass(frozen=True)
class Stage:
    """Consecutive blocks, after a 3x3 max pool of stride 2 where `pool` says so."""

    blocks: tuple[Block, ...]
    pool: bool = False

    def __post_init__(self):
        require(len(self.blocks) > 0, "Stage.blocks: expected at least one block, found none")
        require(isinstance(self.pool, bool), f"Stage.pool: expected a bool, found {self.pool!r}")

    @property
    def stride(self) -> int:
        stride = 2 if self.pool else 1
        for block in self.blocks:
            stride *= block.stride
        return stride

    @property
    def channels(self) -> int:
        return self.blocks[-1].channels[-1]


@dataclass(frozen=True)
class DecoderStage:
    """One step of a stacked decoder (MaX-DeepLab-L): resize and fuse to `stride`, then blocks."""

    stride: int
    channels: int
    blocks: tuple[Block, ...] = ()

    def __post_init__(self):
        require_count("DecoderStage", "stride", self.stride)
        require_count("DecoderStage", "channels", self.channels)


@dataclass(frozen=True)
class Backbone:
    """A whole feature extractor.

    Attributes:
        stem, stages, decoder: Its parts, in order.
        in_channels: Channels of the image.
        activation: After norms, attention pairs and (where blocks do not activate their input) sums.
        pre_activation: Blocks activate their input and leave their sum alone (deeplab2), instead of
            taking an activated input and activating the sum (the authors' code).
        shortcut: ``"stride_or_width"``: a convolution where either changes (the authors' code);
            ``"width"``: a convolution where the width changes, else every other position (deeplab2).
        norm: Of every batch normalisation.
    """

    stem: Stem
    stages: tuple[Stage, ...]
    decoder: tuple[DecoderStage, ...] = ()
    in_channels: int = 3
    activation: str = "relu"
    pre_activation: bool = False
    shortcut: str = "stride_or_width"
    norm: Norm = Norm()

    def __post_init__(self):
        require(len(self.stages) > 0, "Backbone.stages: expected at least one stage, found none")
        require_count("Backbone", "in_channels", self.in_channels)
        require_choice("Backbone", "activation", self.activation, ACTIVATIONS)
        require_choice("Backbone", "shortcut", self.shortcut, ("stride_or_width", "width"))
        require(isinstance(self.pre_activation, bool), f"Backbone.pre_activation: expected a bool, found {self.pre_activation!r}")

    @property
    def stem_channels(self) -> int:
        return self.stem.convs[-1].channels if self.stem.convs else self.in_channels

    @property
    def channels(self) -> int:
        return self.stages[-1].channels

    def feature_info(self) -> list[dict]:
        """Endpoints as timm counts them: index 0 is the stem, then one per stage.

        Each has ``num_chs``, ``reduction`` (stride) and ``module`` (the name of the last module).
        """
        stride = 1
        for conv in self.stem.convs:
            stride *= conv.stride
        info = [{"num_chs": self.stem_channels, "reduction": stride, "module": "stem"}] if self.stem.convs else []
        for index, stage in enumerate(self.stages):
            stride *= stage.stride
            info.append({"num_chs": stage.channels, "reduction": stride, "module": f"stages.{index}"})
        return info
