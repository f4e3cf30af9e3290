"""U-Net's decoder (arXiv:1505.04597) as the Medical Transformer has it (arXiv:2102.10662), alone or beside a local branch on patches.

Source: github.com/jeya-maria-jose/Medical-Transformer, lib/models/axialnet.py: ``ResAxialAttentionUNet`` and ``medt_net``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from axialzoo.spec.backbone import Backbone, Stage
from axialzoo.spec.block import Block
from axialzoo.spec.check import SpecError, require, require_choice, require_count
from axialzoo.spec.heads.head import Head, Output, register_head
from axialzoo.spec.layers import backbone_layers
from axialzoo.spec.primitives import Conv, Layer, LayerCost, Parameter
from axialzoo.spec.stem import Stem

COVERAGES = ("whole", "top_left")
SMOOTH = 1e-5  # added to both sides of Dice's fraction, as in U-Bench


@dataclass(frozen=True)
class LocalBranch:
    """A complete U-Net that sees the picture in patches: stem, stages and decoder.

    Attributes:
        stem, stages: Its encoder; other conventions are those of the backbone.
        bottleneck: As of :class:`UNet`.
        grid: Number of patches a side.
        patches: What the patches cover. ``"whole"``: the whole picture; each patch is a `grid`-th of a side, rounded up, and zeros fill
            the last ones. ``"top_left"``: `grid` times `patch_size` pixels from the top left corner on; pixels beyond get the features of
            the global branch twice, as in upstream's code, which cuts 4 x 4 patches of 32 pixels from pictures of any size.
        patch_size: Side in pixels of the patches of ``"top_left"``.
        unused: Hold the layers that the authors' files have and their code never calls: a 1x1 convolution in each block without
            positions, and a second output layer. The published number of parameters counts them.
    """

    stem: Stem
    stages: tuple[Stage, ...]
    bottleneck: bool = True
    grid: int = 4
    patches: str = "whole"
    patch_size: int = 32
    unused: bool = False

    def __post_init__(self):
        require(len(self.stages) > 0, "LocalBranch.stages: expected at least one stage, found none")
        require_choice("LocalBranch", "patches", self.patches, COVERAGES)
        for field in ("grid", "patch_size"):
            require_count("LocalBranch", field, getattr(self, field))
        for field in ("bottleneck", "unused"):
            require(isinstance(getattr(self, field), bool), f"LocalBranch.{field}: expected a bool, found {getattr(self, field)!r}")

    def encoder(self, backbone: Backbone) -> Backbone:
        """Return the stem and stages with the conventions and image channels of `backbone`."""
        return replace(backbone, stem=self.stem, stages=self.stages, neck=())

    def patch(self, side: Any) -> Any:
        """Return the side of a patch of a picture whose side is `side`; integers or tensors."""
        return self.patch_size if self.patches == "top_left" else -(-side // self.grid)

    def unused_widths(self) -> list[int]:
        """Return the widths of the blocks that have an unused convolution, in order."""
        blocks = [block for stage in self.stages for block in stage.blocks]
        without = [block.attention for block in blocks if block.attention is not None and not block.attention.has_relative_terms]
        return [attention.value_channels for attention in without] if self.unused else []


@register_head
@dataclass(frozen=True)
class UNet(Head):
    """Logits of each class at every pixel of the picture, (N, num_classes, H, W), under the name ``semantic``.

    Each step of the decoder is a 3x3 convolution, bilinear upsampling by two (half-pixel centres), ReLU, and the sum with the endpoint
    of that size. The last step has no endpoint to add. At odd sizes a row or column too many is cut off after upsampling.

    Attributes:
        num_classes: Number of logits. One logit tells two classes apart: the second is where its probability is above 0.5.
        channels: Width after the last step.
        bottleneck: Begin with a step whose convolution has stride 2 and whose sum is with the last endpoint itself.
        local: The branch on patches, whose features are added to those of the decoder and mixed by a 3x3 convolution; None for none.
    """

    kind: ClassVar[str] = "unet"
    task: ClassVar[str] = "semantic_segmentation"
    pipeline_tag: ClassVar[str] = "image-segmentation"
    num_classes: int = 2
    channels: int = 16
    bottleneck: bool = True
    local: LocalBranch | None = None

    def __post_init__(self):
        require_count("UNet", "num_classes", self.num_classes)
        require_count("UNet", "channels", self.channels)
        require(isinstance(self.bottleneck, bool), f"UNet.bottleneck: expected a bool, found {self.bottleneck!r}")

    @property
    def takes_image(self) -> bool:
        return True

    @property
    def num_labels(self) -> int:
        return max(self.num_classes, 2)

    def endpoints(self, backbone: Backbone) -> tuple[int, ...]:
        check_strides(backbone)
        return tuple(range(len(backbone.feature_info())))

    def layers(self, backbone: Backbone) -> Iterator[Layer]:
        yield from decoder_layers("head.decoder", backbone, self.channels, self.bottleneck)
        if self.local is not None:
            for layer in self._local_layers(backbone, self.local):
                yield OnPatches(layer.name, layer.inputs, layer.outputs, layer.stride, (), layer, self.local)
            yield Conv("head.merge", self.channels, self.channels, (1, 1), (), 3, bias=True)
        yield Conv("head.classes", self.channels, self.num_classes, (1, 1), bias=True)

    def _local_layers(self, backbone: Backbone, local: LocalBranch) -> Iterator[Layer]:
        encoder = local.encoder(backbone)
        for layer in backbone_layers(encoder):
            yield replace(layer, name=f"head.local.{layer.name}")
        yield from decoder_layers("head.local.decoder", encoder, self.channels, local.bottleneck)
        for index, width in enumerate(local.unused_widths()):
            yield Unused(f"head.local.unused.{index}", width, width, None, bias=True)
        if local.unused:
            yield Unused("head.local.classes", self.channels, self.num_classes, None, bias=True)

    def outputs(self, backbone: Backbone) -> dict[str, Output]:
        return {"semantic": Output(self.num_classes, 1)}

    def reconfigured(self, num_classes: int | None = None, **options: Any) -> UNet:
        """Return the head for another number of classes or other `patches`: ``"whole"`` or ``"top_left"``."""
        patches = options.pop("patches", None)
        head = super().reconfigured(num_classes, **options)
        if patches is None:
            return head
        if head.local is None:
            raise SpecError(f"patches: expected a model with a local branch, found one without, asked for {patches!r}")
        return replace(head, local=replace(head.local, patches=patches))

    def canonical(self) -> UNet:
        local = None if self.local is None else replace(self.local, patches="whole")
        return replace(self, num_classes=1, local=local)

    def map_blocks(self, change: Callable[[Block], Block]) -> UNet:
        if self.local is None:
            return self
        stages = tuple(replace(stage, blocks=tuple(map(change, stage.blocks))) for stage in self.local.stages)
        return replace(self, local=replace(self.local, stages=stages))

    @classmethod
    def options(cls) -> tuple[str, ...]:
        return ("patches",)


def check_strides(backbone: Backbone) -> None:
    """Refuse a backbone whose endpoints do not halve the resolution one by one, from stride 2 on."""
    strides = [info["reduction"] for info in backbone.feature_info()]
    require(
        strides == [2 << index for index in range(len(strides))],
        f"U-Net head: expected a backbone whose endpoints have strides 2, 4, 8 and so on, found {strides}",
    )


def decoder_widths(backbone: Backbone, channels: int, bottleneck: bool) -> list[tuple[int, int]]:
    """Return the input and output channels of each convolution of a decoder, coarse to fine."""
    widths = [info["num_chs"] for info in backbone.feature_info()][::-1]
    steps = list(zip(widths, [*widths[1:], channels]))
    return [(widths[0], widths[0]), *steps] if bottleneck else steps


def decoder_layers(name: str, backbone: Backbone, channels: int, bottleneck: bool) -> Iterator[Layer]:
    """Yield the layers of a decoder: ``NAME.0`` is the coarsest."""
    check_strides(backbone)
    stride = backbone.output_stride
    for index, (inputs, outputs) in enumerate(decoder_widths(backbone, channels, bottleneck)):
        at = 2 * stride if bottleneck and index == 0 else stride
        yield Conv(f"{name}.{index}", inputs, outputs, (at, at), (), 3, bias=True)
        stride = at // 2


def loss_weights(logits: int, **weights: float | None) -> dict[str, float]:
    """Return the weights of ``bce``, ``dice`` and ``cross_entropy`` that are not 0, by name, or the defaults if none is given.

    Raises:
        ValueError: for weights that are all 0, or one of cross entropy for one logit.
    """
    if all(weight is None for weight in weights.values()):
        return {"bce": 0.5, "dice": 1.0} if logits == 1 else {"cross_entropy": 1.0}
    nonzero = {name: weight for name, weight in weights.items() if weight}
    if not nonzero:
        raise ValueError(f"loss: expected a weight above 0 of {', '.join(weights)}, found none")
    if logits == 1 and "cross_entropy" in nonzero:
        raise ValueError("cross_entropy: expected at least two logits, found one; give weights of bce and dice instead")
    return nonzero


@dataclass(frozen=True)
class Unused(Conv):
    """A convolution that the authors' files hold and their code never calls."""

    def macs_per_position(self) -> int:
        return 0

    def cost(self, size: tuple[int, int]) -> LayerCost:
        return LayerCost(0, 0, 0)


NO_LAYER = Conv("", 1, 1)  # a default, since the fields before have defaults
NO_BRANCH = LocalBranch(Stem(), (Stage((Block("basic", (1, 1)),)),))


@dataclass(frozen=True)
class OnPatches(Layer):
    """A layer of the local branch: it runs once a patch."""

    op: ClassVar[str] = "patches"
    layer: Layer = NO_LAYER
    local: LocalBranch = NO_BRANCH

    def tensors(self) -> Iterator[Parameter]:
        return self.layer.tensors()

    def cost(self, size: tuple[int, int]) -> LayerCost:
        patch = self.local.patch(size[0]), self.local.patch(size[1])
        each = self.layer.cost(patch)
        return LayerCost(*(self.local.grid**2 * number for number in each))
