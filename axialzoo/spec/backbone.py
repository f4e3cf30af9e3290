"""What a backbone computes: a stem, stages of residual blocks, and the conventions that they share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

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
    """One step of a stacked decoder (MaX-DeepLab-L, arXiv:2012.00759): fuse features, then blocks.

    The output before and the last two features at `stride` are brought to `channels` and to the size
    ``ceil(image / stride)``, then added. A feature of as many channels is resized as it is (bilinear, corners aligned);
    any other is activated and projected by a 1x1 convolution, with stride 2 where that gives the size, else resized after.
    """

    stride: int
    channels: int
    blocks: tuple[Block, ...] = ()

    def __post_init__(self):
        require_count("DecoderStage", "stride", self.stride)
        require_count("DecoderStage", "channels", self.channels)
        strides = [block.stride for block in self.blocks]
        require(set(strides) <= {1}, f"DecoderStage.blocks: expected blocks of stride 1, found strides {strides}")

    @property
    def outputs(self) -> int:
        return self.blocks[-1].channels[-1] if self.blocks else self.channels


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
        require(
            self.pre_activation or not self.decoder,
            "Backbone.decoder: fuses features before their activation; expected pre_activation=True or no decoder, found False",
        )

    @property
    def stem_channels(self) -> int:
        return self.stem.convs[-1].channels if self.stem.convs else self.in_channels

    @property
    def channels(self) -> int:
        """Of the last endpoint, which a classifier reads."""
        return self.decoder[-1].outputs if self.decoder else self.stages[-1].channels

    @property
    def stem_stride(self) -> int:
        return math.prod(conv.stride for conv in self.stem.convs)

    @property
    def output_stride(self) -> int:
        """Of the last stage."""
        return math.prod([self.stem_stride, *(stage.stride for stage in self.stages)])

    @property
    def stem_is_endpoint(self) -> bool:
        """Whether the stem's output is an endpoint; not where the first stage keeps its resolution."""
        return bool(self.stem.convs) and self.stages[0].stride > 1

    def feature_info(self) -> list[dict]:
        """Endpoints as timm counts them: the stem, then one per stage, then the stacked decoder where there is one.

        A stem whose resolution the first stage keeps is none of its own, so that index 0 has stride 2 in every
        ImageNet model. Each has ``num_chs``, ``reduction`` (stride) and ``module`` (the name of the last module).
        """
        stride = self.stem_stride
        info = [{"num_chs": self.stem_channels, "reduction": stride, "module": "stem"}] if self.stem_is_endpoint else []
        for index, stage in enumerate(self.stages):
            stride *= stage.stride
            info.append({"num_chs": stage.channels, "reduction": stride, "module": f"stages.{index}"})
        if self.decoder:
            info.append({"num_chs": self.channels, "reduction": self.decoder[-1].stride, "module": "decoder"})
        return info

    def fusions(self) -> list[list[Fused]]:
        """What each decoder stage fuses: the output before, then the last two features at its stride, older first.

        Of the stem and the stages only the last at each stride counts; every decoder stage adds one. `Fused.index` counts
        the endpoints of stem and stages first, then the decoder stages.
        """
        if not self.decoder:
            return []
        features = [Fused(index, one["num_chs"], one["reduction"]) for index, one in enumerate(self.feature_info()[:-1])]
        at_stride = {feature.stride: [feature] for feature in features}
        last, fusions = features[-1], []
        for index, stage in enumerate(self.decoder, len(features)):
            fusions.append([last, *at_stride.get(stage.stride, [])[-2:]])
            last = Fused(index, stage.outputs, stage.stride)
            at_stride.setdefault(stage.stride, []).append(last)
        return fusions

    def map_blocks(self, change: Callable[[Block], Block]) -> Backbone:
        """The same with each block, in the order in which they run, as `change` makes it."""
        stages = tuple(replace(stage, blocks=tuple(map(change, stage.blocks))) for stage in self.stages)
        decoder = tuple(replace(stage, blocks=tuple(map(change, stage.blocks))) for stage in self.decoder)
        return replace(self, stages=stages, decoder=decoder)


@dataclass(frozen=True)
class Fused:
    """A feature that a decoder stage takes in: which one, its channels and its stride."""

    index: int
    channels: int
    stride: int
