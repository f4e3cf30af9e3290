"""The head of mask transformers: slots that each predict a class and a mask.

MaX-DeepLab (arXiv:2012.00759) reads the pixels and the memory tokens of a backbone with transformers; kMaX-DeepLab (arXiv:2207.04044) reads
the features of any backbone and has a pixel decoder and a k-means decoder of its own. As github.com/google-research/deeplab2 has them
(model/decoder/max_deeplab.py, model/pixel_decoder/kmax.py, model/transformer_decoder/kmax.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from axialzoo.spec.backbone import ACTIVATIONS, Backbone
from axialzoo.spec.check import SpecError, did_you_mean, require, require_choice, require_count
from axialzoo.spec.heads.head import Head, Output, register_head
from axialzoo.spec.heads.mask_layers import pixel_decoder_layers, predictor_layers
from axialzoo.spec.heads.mask_parts import KMeansDecoder, PixelDecoder, PostprocessConfig, SemanticBranch, TargetConfig
from axialzoo.spec.heads.panoptic import decoder_layers
from axialzoo.spec.primitives import Conv, Layer, separable
from axialzoo.spec.token_layers import Tokens, kmeans_layers, token_norm


@register_head
@dataclass(frozen=True)
class MaskTransformer(Head):
    """Outputs ``class_logits`` (slots, classes and void, void last), ``mask_logits`` (a map a slot), ``pixel_feature`` (of length 1), and
    ``semantic`` (logits of the classes) where there is a branch for them. In training each k-means layer adds its own predictions:
    ``auxiliary.0.class_logits`` and so on, at the stride of the features that it clusters.

    Attributes:
        num_classes: Number of classes, things and stuff together, without void.
        things: Classes whose objects are told apart.
        slots: Number of masks: tokens of the backbone, or cluster centres.
        embed_channels: Channels of the class and the mask embedding of a slot.
        pixel_channels: Channels before the last convolution of the pixel head.
        mask_channels: Channels of pixel features and mask kernels.
        pixel_decoder: Pixel decoder, or None to read the last endpoint of the backbone.
        kmeans: K-means decoder, or None to read the tokens of the backbone.
        semantic: Auxiliary semantic branch, or None.
        activation: Activation of the whole head.
        activate_pixels: Whether the final pixel features are activated before the pixel head.
        kernel: Side of every depthwise convolution.
        targets: Settings of the targets in training.
        postprocess: Settings of decoding masks to segments.
    """

    kind: ClassVar[str] = "mask_transformer"
    task: ClassVar[str] = "segmentation"
    pipeline_tag: ClassVar[str] = "image-segmentation"
    unactivated: ClassVar[bool] = True
    num_classes: int = 133
    things: tuple[int, ...] = ()
    slots: int = 128
    embed_channels: int = 256
    pixel_channels: int = 256
    mask_channels: int = 128
    pixel_decoder: PixelDecoder | None = None
    kmeans: KMeansDecoder | None = None
    semantic: SemanticBranch | None = None
    activation: str = "relu"
    activate_pixels: bool = True
    kernel: int = 5
    targets: TargetConfig = field(default_factory=TargetConfig)
    postprocess: PostprocessConfig = field(default_factory=PostprocessConfig)

    def __post_init__(self):
        for name in ("num_classes", "slots", "embed_channels", "pixel_channels", "mask_channels"):
            require_count("MaskTransformer", name, getattr(self, name))
        for thing in self.things:
            ok = isinstance(thing, int) and not isinstance(thing, bool) and 0 <= thing < self.num_classes
            require(ok, f"MaskTransformer.things: expected classes from 0 to {self.num_classes - 1}, found {thing!r}")
        ok = list(self.things) == sorted(set(self.things))
        require(ok, f"MaskTransformer.things: expected each class once, in order, found {list(self.things)}")
        require_choice("MaskTransformer", "activation", self.activation, ACTIVATIONS)
        require_choice("MaskTransformer", "kernel", self.kernel, (3, 5, 7))
        require(
            (self.pixel_decoder is None) == (self.kmeans is None),
            "MaskTransformer: expected a pixel decoder and a k-means decoder both or neither, found one of them",
        )
        if self.kmeans is not None and self.pixel_decoder is not None:
            stages = len(self.pixel_decoder.stages)
            for layer in self.kmeans.layers:
                ok = layer.stage < stages
                require(ok, f"KMeansLayer.stage: expected a stage of the pixel decoder, 0 to {stages - 1}, found {layer.stage}")
            tokens = self.kmeans.centers.tokens
            require(tokens == self.slots, f"MaskTransformer.slots: expected the number of cluster centres, {tokens}, found {self.slots}")
        if self.semantic is not None and self.semantic.order:
            order, classes = self.semantic.order, list(range(self.num_classes))
            ok = sorted(order) in (classes, [-1, *classes])
            require(ok, f"SemanticBranch.order: expected each class once, and -1 at most once, found {list(order)}")

    def channels(self, backbone: Backbone, index: int) -> int:
        """Return the channels of endpoint `index` of `backbone`."""
        return backbone.feature_info()[index]["num_chs"]

    def endpoint_of(self, backbone: Backbone, stride: int) -> int:
        """Return the index of the first endpoint of stem and stages that has `stride`.

        Raises:
            SpecError: where there is none.
        """
        strides = [info["reduction"] for info in backbone.feature_info()][: backbone.num_stage_endpoints]
        if stride not in strides:
            raise SpecError(
                f"mask transformer: expected a backbone with an endpoint of stride {stride}, found endpoints of strides {strides}; "
                "set output_stride, or take another backbone"
            )
        return strides.index(stride)

    def pixel_sources(self, backbone: Backbone) -> tuple[int, ...]:
        """Return the endpoints that the masks are computed from: one for each stage of the pixel decoder, or the last.

        Raises:
            SpecError: where `backbone` does not fit.
        """
        if self.pixel_decoder is None:
            tokens = None if backbone.memory is None else backbone.memory.tokens
            if tokens != self.slots:
                raise SpecError(
                    f"mask transformer: expected a backbone with {self.slots} memory tokens, one a slot, found {tokens or 'none'}"
                )
            return (len(backbone.feature_info()) - 1,)
        coarsest, *finer = self.pixel_decoder.source_strides()
        last = backbone.num_stage_endpoints - 1
        stride = backbone.feature_info()[last]["reduction"]
        if stride != coarsest:
            raise SpecError(
                f"mask transformer: expected a backbone of output stride {coarsest}, where the pixel decoder begins, found {stride}"
            )
        return (last, *(self.endpoint_of(backbone, stride) for stride in finer))

    def semantic_sources(self, backbone: Backbone) -> tuple[int, ...]:
        """Return the endpoints of the semantic branch: the coarse one, then those of its skips; empty without a branch."""
        if self.semantic is None:
            return ()
        coarse = backbone.num_stage_endpoints - 1
        if self.semantic.from_neck:
            coarse += 1
            if coarse >= len(backbone.feature_info()) - 1:
                raise SpecError("SemanticBranch.from_neck: expected a neck with a marked endpoint, found none; set NeckStage.endpoint")
        skips = () if self.semantic.decoder is None else self.semantic.decoder.skips
        return (coarse, *(self.endpoint_of(backbone, skip.stride) for skip in skips))

    def endpoints(self, backbone: Backbone) -> tuple[int, ...]:
        return tuple(sorted({*self.pixel_sources(backbone), *self.semantic_sources(backbone)}))

    def stride(self, backbone: Backbone) -> int:
        """Return the stride of the masks."""
        if self.pixel_decoder is not None:
            return self.pixel_decoder.stages[-1].stride
        return backbone.feature_info()[-1]["reduction"]

    def pixel_outputs(self, backbone: Backbone) -> int:
        """Return the channels of the final pixel features."""
        return backbone.channels if self.pixel_decoder is None else self.pixel_decoder.stages[-1].outputs

    def token_channels(self, backbone: Backbone) -> int:
        """Return the channels of a slot's token before its embeddings."""
        memory = backbone.memory if self.kmeans is None else self.kmeans.centers
        assert memory is not None
        return memory.channels

    def layers(self, backbone: Backbone) -> Iterator[Layer]:
        info, slots, predictor = backbone.feature_info(), self.slots, (self.pixel_channels, self.mask_channels, self.num_classes)
        sources = self.pixel_sources(backbone)
        if self.pixel_decoder is not None and self.kmeans is not None:
            channels = [info[index]["num_chs"] for index in sources]
            yield from pixel_decoder_layers("head.pixel_decoder", self.pixel_decoder, channels, backbone, self.activation)
            centers = self.kmeans.centers
            yield Tokens("head.centers.tokens", 0, centers.channels, None, (), slots)
            for index, layer in enumerate(self.kmeans.layers):
                stage, widths, name = self.pixel_decoder.stages[layer.stage], layer.transformer, f"head.kmeans.{index}"
                yield from kmeans_layers(name, widths, stage.outputs, centers.channels, slots, stage.stride)
                width = widths.bottleneck_channels
                yield from predictor_layers(f"{name}.predictor", width, width, predictor, slots, self.kernel, stage.stride)
        tokens, stride = self.token_channels(backbone), self.stride(backbone)
        yield from token_norm("head.class_embedding", tokens, self.embed_channels, slots)
        yield from token_norm("head.mask_embedding", tokens, self.embed_channels, slots)
        pixels = self.pixel_outputs(backbone)
        yield from predictor_layers("head.predictor", pixels, self.embed_channels, predictor, slots, self.kernel, stride)
        if self.semantic is not None:
            coarse, *skips = self.semantic_sources(backbone)
            decoder, width = self.semantic.decoder, info[coarse]["num_chs"]
            if decoder is not None:
                widths = [width, *(info[index]["num_chs"] for index in skips)]
                yield from decoder_layers("head.semantic", decoder, widths, info[coarse]["reduction"], self.kernel)
                width = decoder.outputs
            fine = self.semantic_stride(backbone)
            yield from separable("head.semantic_classes.mix", width, self.semantic.channels, self.kernel, fine)
            outputs = self.semantic.outputs(self.num_classes)
            yield Conv("head.semantic_classes.out", self.semantic.channels, outputs, (fine, fine), bias=True)

    def semantic_stride(self, backbone: Backbone) -> int:
        """Return the stride of the semantic branch's output."""
        return backbone.feature_info()[self.semantic_sources(backbone)[-1]]["reduction"]

    def outputs(self, backbone: Backbone) -> dict[str, Output]:
        stride = self.stride(backbone)
        maps = {
            "class_logits": Output(self.num_classes + 1, None, self.slots),
            "mask_logits": Output(self.slots, stride),
            "pixel_feature": Output(self.mask_channels, stride),
        }
        if self.semantic is not None:
            maps["semantic"] = Output(self.semantic.outputs(self.num_classes), self.semantic_stride(backbone))
        if self.kmeans is not None and self.pixel_decoder is not None:
            for index, layer in enumerate(self.kmeans.layers):
                at = self.pixel_decoder.stages[layer.stage].stride
                for name in ("class_logits", "mask_logits", "pixel_feature"):
                    maps[f"auxiliary.{index}.{name}"] = replace(maps[name], stride=None if maps[name].stride is None else at, training=True)
        return maps

    def reconfigured(self, num_classes: int | None = None, **options: Any) -> MaskTransformer:
        """Return the head with other classes, things, slots or fields of its targets and post-processing, by name.

        Without `things`, those among the classes that are left stay. Of a model whose slots are tokens of its backbone, their number
        changes with :func:`axialzoo.spec.adapt` alone.
        """
        changes = self.changed_configs({name: value for name, value in options.items() if value is not None})
        if num_classes is not None and "things" not in changes:
            changes["things"] = tuple(thing for thing in self.things if thing < num_classes)
        if num_classes not in (None, self.num_classes) and self.semantic is not None:
            changes["semantic"] = replace(self.semantic, order=self.semantic.reordered(num_classes))
        if "slots" in changes and self.kmeans is not None:
            changes["kmeans"] = replace(self.kmeans, centers=replace(self.kmeans.centers, tokens=changes["slots"]))
        known = (*self.options(), "semantic", "kmeans")
        for name in changes:
            if name not in known:
                raise SpecError(
                    f"{name}: not an option of a {self.kind} head{did_you_mean(name, known)}; it has {', '.join(self.options())}"
                )
        return replace(self, **changes, **({} if num_classes is None else {"num_classes": num_classes}))

    def canonical(self) -> MaskTransformer:
        settings = {"targets": TargetConfig(), "postprocess": PostprocessConfig()}
        return replace(self.reconfigured(1, things=(), slots=1), **settings)

    @classmethod
    def options(cls) -> tuple[str, ...]:
        return ("things", "slots", "targets", "postprocess")
