"""Backbones: a stem, stages of residual blocks, and the conventions that they share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from axialzoo.spec.block import Block
from axialzoo.spec.check import require, require_choice, require_count, require_number
from axialzoo.spec.neck import NeckInput, NeckStage
from axialzoo.spec.stem import Stem
from axialzoo.spec.transformer import Memory

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
class Backbone:
    """A whole feature extractor.

    Attributes:
        stem, stages, neck: Its parts, in order.
        in_channels: Channels of the image.
        activation: After norms, attention pairs and (where blocks do not activate their input) sums.
        pre_activation: Blocks activate their input and leave their sum alone (deeplab2), instead of
            taking an activated input and activating the sum (the authors' code).
        shortcut: ``"stride_or_width"``: a convolution where either changes (the authors' code);
            ``"width"``: a convolution where the width changes, else every other position (deeplab2).
        norm: Of every batch normalisation.
        memory: Tokens beside the pixels, which the transformers after its blocks read and write; None without transformers.
    """

    stem: Stem
    stages: tuple[Stage, ...]
    neck: tuple[NeckStage, ...] = ()
    in_channels: int = 3
    activation: str = "relu"
    pre_activation: bool = False
    shortcut: str = "stride_or_width"
    norm: Norm = Norm()
    memory: Memory | None = None

    def __post_init__(self):
        require(len(self.stages) > 0, "Backbone.stages: expected at least one stage, found none")
        require_count("Backbone", "in_channels", self.in_channels)
        require_choice("Backbone", "activation", self.activation, ACTIVATIONS)
        require_choice("Backbone", "shortcut", self.shortcut, ("stride_or_width", "width"))
        require(isinstance(self.pre_activation, bool), f"Backbone.pre_activation: expected a bool, found {self.pre_activation!r}")
        require(
            self.pre_activation or not self.neck,
            "Backbone.neck: fuses features before their activation; expected pre_activation=True or no neck, found False",
        )
        transformers = any(block.transformer is not None for part in (*self.stages, *self.neck) for block in part.blocks)
        require(
            transformers == (self.memory is not None),
            f"Backbone.memory: expected tokens with transformers after blocks, and none without; found {self.memory!r}",
        )
        last = self.stages[-1].channels
        for index, stage in enumerate(self.neck):
            ok = stage.fuse or stage.channels == last
            require(ok, f"Backbone.neck[{index}].channels: expected {last}, those of the output before, found {stage.channels}")
            last = stage.outputs

    @property
    def stem_channels(self) -> int:
        return self.stem.convs[-1].channels if self.stem.convs else self.in_channels

    @property
    def channels(self) -> int:
        """Channels of the last endpoint."""
        return self.neck[-1].outputs if self.neck else self.stages[-1].channels

    @property
    def stem_stride(self) -> int:
        return math.prod(conv.stride for conv in self.stem.convs)

    @property
    def output_stride(self) -> int:
        """Stride of the last stage."""
        return math.prod([self.stem_stride, *(stage.stride for stage in self.stages)])

    @property
    def stem_is_endpoint(self) -> bool:
        """Tell whether the stem's output is an endpoint: it is none if stage 1 keeps the stem's resolution."""
        return bool(self.stem.convs) and self.stages[0].stride > 1

    def feature_info(self) -> list[dict[str, Any]]:
        """Return the endpoints as timm counts them: the stem, then one per stage, then the neck where there is one.

        A stem at the resolution of stage 1 is not an endpoint, so that index 0 has stride 2 in every ImageNet model.
        Each endpoint has ``num_chs``, ``reduction`` (stride) and ``module`` (the name of the last module).
        """
        stride = self.stem_stride
        info = [{"num_chs": self.stem_channels, "reduction": stride, "module": "stem"}] if self.stem_is_endpoint else []
        for index, stage in enumerate(self.stages):
            stride *= stage.stride
            info.append({"num_chs": stage.channels, "reduction": stride, "module": f"stages.{index}"})
        for index, step in enumerate(self.neck[:-1]):
            if step.endpoint:
                info.append({"num_chs": step.outputs, "reduction": step.stride, "module": f"neck.{index}"})
        if self.neck:
            info.append({"num_chs": self.channels, "reduction": self.neck[-1].stride, "module": "neck"})
        return info

    @property
    def num_stage_endpoints(self) -> int:
        """Number of endpoints of stem and stages, which come before those of the neck."""
        return len(self.stages) + self.stem_is_endpoint

    def neck_inputs(self) -> list[list[NeckInput]]:
        """Return the inputs of each step of the neck: the previous output, then the last two features at its stride, older first.

        The stem and the stages contribute their last feature at each stride; every step of the neck adds its output. `NeckInput.index`
        counts the endpoints of stem and stages first, then the steps of the neck.
        """
        if not self.neck:
            return []
        infos = self.feature_info()[: self.num_stage_endpoints]
        features = [NeckInput(index, info["num_chs"], info["reduction"]) for index, info in enumerate(infos)]
        at_stride = {feature.stride: [feature] for feature in features}
        last, inputs_of_steps = features[-1], []
        for index, stage in enumerate(self.neck, len(features)):
            inputs_of_steps.append([last, *at_stride.get(stage.stride, [])[-2:]] if stage.fuse else [last])
            last = NeckInput(index, stage.outputs, stage.stride)
            at_stride[stage.stride] = [*at_stride.get(stage.stride, [])[: None if stage.fuse else -1], last]
        return inputs_of_steps

    def map_blocks(self, change: Callable[[Block], Block]) -> Backbone:
        """Return the backbone with `change` applied to each block, in the order in which they run."""
        stages = tuple(replace(stage, blocks=tuple(map(change, stage.blocks))) for stage in self.stages)
        neck = tuple(replace(stage, blocks=tuple(map(change, stage.blocks))) for stage in self.neck)
        return replace(self, stages=stages, neck=neck)
