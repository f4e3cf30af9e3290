"""Panoptic-DeepLab's head (arXiv:1911.10194): classes of all pixels, centres of objects, and the way from each pixel to its centre.

As github.com/google-research/deeplab2 has it (model/decoder/panoptic_deeplab.py, model/decoder/aspp.py). Without the instance branch it
gives classes alone, much as DeepLabV3+ (arXiv:1802.02611) does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from axialzoo.spec.backbone import ACTIVATIONS, Backbone
from axialzoo.spec.check import SpecError, require, require_choice, require_count, require_number
from axialzoo.spec.heads.head import Head, Output, register_head
from axialzoo.spec.primitives import Conv, Layer, conv_norm, separable

CORNERS = ("aligned", "odd")


@dataclass(frozen=True)
class Skip:
    """A finer feature that a decoder takes in on its way up.

    Attributes:
        stride: Of the feature: the first endpoint of stem and stages that has it.
        channels: What a 1x1 convolution projects it to.
    """

    stride: int
    channels: int

    def __post_init__(self):
        require_count("Skip", "stride", self.stride)
        require_count("Skip", "channels", self.channels)


@dataclass(frozen=True)
class Decoder:
    """From coarse features to fine ones: context, then for each skip resizing, concatenation and a separable convolution.

    Attributes:
        channels: Of each separable convolution.
        context_channels: Of the coarse features after the context module.
        rates: Atrous rates of the context module's 3x3 convolutions (ASPP, arXiv:1706.05587), beside which it has a 1x1
            convolution and the mean over the image; none for one 1x1 convolution alone, as where axial attention sees far already.
        skips: From coarse to fine; the last one's stride is that of the outputs.
        dropout: Share of the context module's outputs that training drops; deeplab2 has 0.1 where there are rates.
        corners: How features are resized: ``"aligned"`` corners, or aligned where the coarse features have an ``"odd"`` width alone.
    """

    channels: int = 256
    context_channels: int = 256
    rates: tuple[int, ...] = ()
    skips: tuple[Skip, ...] = (Skip(8, 64), Skip(4, 32))
    dropout: float = 0.0
    corners: str = "aligned"

    def __post_init__(self):
        require_count("Decoder", "channels", self.channels)
        require_count("Decoder", "context_channels", self.context_channels)
        for rate in self.rates:
            require_count("Decoder", "rates", rate)
        strides = [skip.stride for skip in self.skips]
        ok = strides == sorted(set(strides), reverse=True)
        require(ok, f"Decoder.skips: expected strides that fall, from coarse to fine, found {strides}")
        require_number("Decoder", "dropout", self.dropout, 0.0, 0.999)
        require_choice("Decoder", "corners", self.corners, CORNERS)

    @property
    def outputs(self) -> int:
        """Number of channels of the decoder's output."""
        return self.channels if self.skips else self.context_channels


@dataclass(frozen=True)
class Instances:
    """The branch that tells objects apart.

    Attributes:
        decoder: Its own, beside that of the classes.
        center_channels, offset_channels: Between the decoder and each prediction.
    """

    decoder: Decoder = Decoder(128, 256, skips=(Skip(8, 32), Skip(4, 16)))
    center_channels: int = 32
    offset_channels: int = 32

    def __post_init__(self):
        require_count("Instances", "center_channels", self.center_channels)
        require_count("Instances", "offset_channels", self.offset_channels)


@dataclass(frozen=True)
class TargetConfig:
    """Settings of the targets in training.

    Attributes:
        sigma: Standard deviation of the heat around a center, in pixels of the model's input.
        small_weight: Loss weight of the pixels of objects of fewer than 4,096 pixels (DeeperLab, arXiv:1902.05093, section 3.2). Where
            nearly all objects are small, more than 1 makes them too large.
    """

    sigma: float = 8.0
    small_weight: float = 3.0

    def __post_init__(self):
        require_number("TargetConfig", "sigma", self.sigma, 0.1, 1e3)
        require_number("TargetConfig", "small_weight", self.small_weight, 0.0, 1e3)


@dataclass(frozen=True)
class PostprocessConfig:
    """Settings of the way from maps to segments.

    Attributes:
        threshold: Least height of a center.
        nms_kernel: Odd side of the square, in pixels of the model's input, in which a center must be the highest.
        top_k: At most so many centers.
        stuff_area, instance_area: Segments of fewer pixels are void.
        agreement: How much less an object scores whose pixels do not point at one place; 0: not at all, as in deeplab2.
    """

    threshold: float = 0.1
    nms_kernel: int = 13
    top_k: int = 200
    stuff_area: int = 0
    instance_area: int = 0
    agreement: float = 0.0

    def __post_init__(self):
        require_number("PostprocessConfig", "agreement", self.agreement, 0.0, 1e3)
        require_number("PostprocessConfig", "threshold", self.threshold, 0.0, 1.0)
        require_count("PostprocessConfig", "nms_kernel", self.nms_kernel)
        require(self.nms_kernel % 2 == 1, f"PostprocessConfig.nms_kernel: expected an odd side, found {self.nms_kernel}")
        require_count("PostprocessConfig", "top_k", self.top_k)
        for name in ("stuff_area", "instance_area"):
            require_count("PostprocessConfig", name, getattr(self, name), least=0)


@register_head
@dataclass(frozen=True)
class Panoptic(Head):
    """Maps at the stride of the finest skip: ``semantic`` (logits of the classes), ``center`` (how much a pixel is the centre of
    an object), ``offset`` (rows and columns from a pixel to its object's centre, in pixels of these maps).

    Attributes:
        num_classes: How many classes, things and stuff together.
        things: Which of them are things, whose objects are told apart.
        semantic: The decoder of the classes.
        semantic_channels: Between that decoder and the logits.
        instances: The branch that tells objects apart, or None.
        from_neck: The coarse features are the neck's, where there is one, instead of the last stage's.
        activation: After every norm of the head.
        kernel: Of every depthwise convolution.
        targets: Settings of the targets in training.
        postprocess: Settings of the way from maps to segments.
    """

    kind: ClassVar[str] = "panoptic"
    task: ClassVar[str] = "segmentation"
    pipeline_tag: ClassVar[str] = "image-segmentation"
    num_classes: int = 19
    things: tuple[int, ...] = ()
    semantic: Decoder = Decoder()
    semantic_channels: int = 256
    instances: Instances | None = Instances()
    from_neck: bool = False
    activation: str = "relu"
    kernel: int = 5
    targets: TargetConfig = TargetConfig()
    postprocess: PostprocessConfig = PostprocessConfig()

    def __post_init__(self):
        require_count("Panoptic", "num_classes", self.num_classes)
        require_count("Panoptic", "semantic_channels", self.semantic_channels)
        for thing in self.things:
            ok = isinstance(thing, int) and not isinstance(thing, bool) and 0 <= thing < self.num_classes
            require(ok, f"Panoptic.things: expected classes from 0 to {self.num_classes - 1}, found {thing!r}")
        ok = list(self.things) == sorted(set(self.things))
        require(ok, f"Panoptic.things: expected each class once, in order, found {list(self.things)}")
        require(isinstance(self.from_neck, bool), f"Panoptic.from_neck: expected a bool, found {self.from_neck!r}")
        require_choice("Panoptic", "activation", self.activation, ACTIVATIONS)
        require_choice("Panoptic", "kernel", self.kernel, (3, 5, 7))
        finest = {decoder.skips[-1].stride if decoder.skips else None for decoder in self.decoders().values()}
        require(len(finest) == 1, f"Panoptic: expected decoders whose last skips have one stride, found {finest}")

    def decoders(self) -> dict[str, Decoder]:
        """Return the decoders by the names of their tensors."""
        return {"semantic": self.semantic} | ({"instance": self.instances.decoder} if self.instances is not None else {})

    def branches(self) -> dict[str, tuple[str, int, int]]:
        """Return for each branch, by the name of its tensors: its decoder, hidden channels and output channels."""
        branches = {"classes": ("semantic", self.semantic_channels, self.num_classes)}
        if self.instances is not None:
            branches["center"] = ("instance", self.instances.center_channels, 1)
            branches["offset"] = ("instance", self.instances.offset_channels, 2)
        return branches

    def endpoint_indices(self, decoder: Decoder, backbone: Backbone) -> tuple[int, ...]:
        """Return the endpoints that `decoder` takes in, the coarse one first, then those of its skips.

        Raises:
            SpecError: where the backbone has no endpoint of a skip's stride.
        """
        strides = [info["reduction"] for info in backbone.feature_info()]
        stages = strides[: backbone.num_stage_endpoints]
        coarse = len(strides) - 1 if self.from_neck else len(stages) - 1
        for skip in decoder.skips:
            if skip.stride not in stages or skip.stride > strides[coarse]:
                raise SpecError(
                    f"panoptic head: expected skips of strides that the backbone's endpoints have, {stages}, and none coarser than "
                    f"what is decoded, {strides[coarse]}; found {skip.stride}"
                )
        return (coarse, *(stages.index(skip.stride) for skip in decoder.skips))

    def endpoints(self, backbone: Backbone) -> tuple[int, ...]:
        return tuple(sorted({index for decoder in self.decoders().values() for index in self.endpoint_indices(decoder, backbone)}))

    def feature_positions(self, backbone: Backbone) -> dict[str, list[int]]:
        """Return, for each decoder, the positions of its features among :meth:`endpoints`."""
        endpoints = self.endpoints(backbone)
        return {
            name: [endpoints.index(index) for index in self.endpoint_indices(decoder, backbone)]
            for name, decoder in self.decoders().items()
        }

    def in_channels(self, decoder: Decoder, backbone: Backbone) -> list[int]:
        """Return the channels of the features that `decoder` takes in."""
        info = backbone.feature_info()
        return [info[index]["num_chs"] for index in self.endpoint_indices(decoder, backbone)]

    def stride(self, backbone: Backbone) -> int:
        """Return the stride of the outputs."""
        return backbone.feature_info()[self.endpoint_indices(self.semantic, backbone)[-1]]["reduction"]

    def layers(self, backbone: Backbone) -> Iterator[Layer]:
        stride = self.stride(backbone)
        decoders = self.decoders()
        for name, decoder in decoders.items():
            coarse = backbone.feature_info()[self.endpoint_indices(decoder, backbone)[0]]["reduction"]
            yield from decoder_layers(f"head.{name}", decoder, self.in_channels(decoder, backbone), coarse, self.kernel)
        for name, (read, between, outputs) in self.branches().items():
            yield from separable(f"head.{name}.mix", decoders[read].outputs, between, self.kernel, stride)
            yield Conv(f"head.{name}.out", between, outputs, (stride, stride), bias=True)

    def outputs(self, backbone: Backbone) -> dict[str, Output]:
        stride, classes = self.stride(backbone), {"semantic": self.num_classes}
        maps = classes | ({"center": 1, "offset": 2} if self.instances is not None else {})
        return {name: Output(channels, stride) for name, channels in maps.items()}

    def reconfigured(self, num_classes: int | None = None, **options: Any) -> Panoptic:
        """Return the head with other classes, things, or fields of its targets and post-processing, by name.

        Without `things`, those among the classes that are left stay.
        """
        if num_classes is not None and options.get("things") is None:
            options = {**options, "things": tuple(thing for thing in self.things if thing < num_classes)}
        return super().reconfigured(num_classes, **options)

    def canonical(self) -> Panoptic:
        return replace(self, num_classes=1, things=(), targets=TargetConfig(), postprocess=PostprocessConfig())

    @classmethod
    def options(cls) -> tuple[str, ...]:
        return ("things", "targets", "postprocess")


def decoder_layers(name: str, decoder: Decoder, widths: list[int], stride: int, kernel: int) -> Iterator[Layer]:
    """Yield the layers of a decoder whose inputs have `widths` channels; the first input has `stride`."""
    inputs, width = widths[0], decoder.context_channels
    if decoder.rates:
        yield from conv_norm(f"{name}.aspp.point", inputs, width, 1, stride)
        for index in range(len(decoder.rates)):
            yield from conv_norm(f"{name}.aspp.atrous.{index}", inputs, width, 3, stride)
        yield from conv_norm(f"{name}.aspp.pool", inputs, width, 1, None)
        inputs = (len(decoder.rates) + 2) * width
    yield from conv_norm(f"{name}.aspp.project", inputs, width, 1, stride)
    for index, (skip, fine) in enumerate(zip(decoder.skips, widths[1:])):
        yield from conv_norm(f"{name}.skips.{index}", fine, skip.channels, 1, skip.stride)
        yield from separable(f"{name}.fuse.{index}", width + skip.channels, decoder.channels, kernel, skip.stride)
        width = decoder.channels
