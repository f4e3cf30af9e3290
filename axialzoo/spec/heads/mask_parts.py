"""Parts of a mask transformer's head: pixel decoder, k-means decoder, semantic branch, targets and post-processing."""

from __future__ import annotations

from dataclasses import dataclass, field

from axialzoo.spec.check import require, require_choice, require_count, require_number
from axialzoo.spec.heads.panoptic import CORNERS, Decoder
from axialzoo.spec.neck import NeckStage
from axialzoo.spec.transformer import Memory, Transformer

METHODS = ("pixelwise", "maskwise")


@dataclass(frozen=True)
class PixelDecoder:
    """From the coarsest features up to fine ones, with a skip from the backbone at each step (arXiv:2207.04044, section 3.2).

    Attributes:
        stages: From coarse to fine. The first continues from the last stage of the backbone, so that it has its stride and channels; each
            other one adds the output before, resized, and an endpoint, both activated and projected to its channels where theirs differ.
        corners: How the output before is resized: ``"aligned"`` corners, as in TensorFlow's code, or aligned where its width is ``"odd"``
            alone, as in PyTorch's.
        sources: Stride of the endpoint that each stage takes in; empty for the strides of the stages. An endpoint of half the stride of
            its stage is max-pooled.
    """

    stages: tuple[NeckStage, ...]
    corners: str = "aligned"
    sources: tuple[int, ...] = ()

    def __post_init__(self):
        require(len(self.stages) > 0, "PixelDecoder.stages: expected at least one stage, found none")
        strides = [stage.stride for stage in self.stages]
        falling = strides == sorted(strides, reverse=True)
        require(falling, f"PixelDecoder.stages: expected strides from coarse to fine, found {strides}")
        require_choice("PixelDecoder", "corners", self.corners, CORNERS)
        sources = self.source_strides()
        ok = len(sources) == len(strides) and all(source in (stride, stride / 2) for source, stride in zip(sources, strides))
        require(ok, f"PixelDecoder.sources: expected the stride of each stage or half of it, {strides}, found {list(sources)}")

    def source_strides(self) -> tuple[int, ...]:
        """Return the stride of the endpoint that each stage takes in."""
        return self.sources or tuple(stage.stride for stage in self.stages)

    def pools(self) -> list[bool]:
        """Tell for each stage whether its endpoint is max-pooled."""
        return [source != stage.stride for source, stage in zip(self.source_strides(), self.stages)]


@dataclass(frozen=True)
class KMeansLayer:
    """One k-means layer.

    Attributes:
        stage: Stage of the pixel decoder whose output it clusters.
        transformer: Widths of the layer.
        drop_path: Probability that a residual of a sample is dropped in training.
    """

    stage: int
    transformer: Transformer = field(default_factory=Transformer)
    drop_path: float = 0.0

    def __post_init__(self):
        require_count("KMeansLayer", "stage", self.stage, least=0)
        require_number("KMeansLayer", "drop_path", self.drop_path, 0.0, 0.999)


@dataclass(frozen=True)
class KMeansDecoder:
    """Learned cluster centres, and the k-means layers that update them.

    Attributes:
        centers: Number and channels of the cluster centres.
        layers: In the order in which they run.
    """

    centers: Memory = field(default_factory=Memory)
    layers: tuple[KMeansLayer, ...] = ()

    def __post_init__(self):
        require(len(self.layers) > 0, "KMeansDecoder.layers: expected at least one layer, found none")


@dataclass(frozen=True)
class SemanticBranch:
    """An auxiliary branch that predicts the class of each pixel, for a loss in training.

    Attributes:
        decoder: From coarse features to fine ones; None predicts on the coarse features as they are.
        channels: Channels before the last convolution.
        order: Class of each output channel, -1 for "no class"; empty for the classes in order.
        from_neck: Whether the coarse features are the marked endpoint of the neck instead of the last stage of the backbone.
        activated: Whether the coarse features are activated.
        activated_skips: Whether the features of the skips are activated.
    """

    decoder: Decoder | None = None
    channels: int = 256
    order: tuple[int, ...] = ()
    from_neck: bool = False
    activated: bool = True
    activated_skips: bool = True

    def __post_init__(self):
        require_count("SemanticBranch", "channels", self.channels)
        for name in ("from_neck", "activated", "activated_skips"):
            value = getattr(self, name)
            require(isinstance(value, bool), f"SemanticBranch.{name}: expected a bool, found {value!r}")

    def outputs(self, num_classes: int) -> int:
        """Return the number of output channels."""
        return len(self.order) or num_classes

    def reordered(self, num_classes: int) -> tuple[int, ...]:
        """Return `order` for another number of classes: in order, with the channel of "no class" where it is now."""
        if -1 not in self.order:
            return ()
        return (-1, *range(num_classes)) if self.order[0] == -1 else (*range(num_classes), -1)


@dataclass(frozen=True)
class TargetConfig:
    """Settings that turn annotations into targets; none of them is a tensor.

    Attributes:
        max_things: Most objects of an image that have a mask; the smallest beyond are left out, with a warning.
        small_weight: Weight in the semantic loss of pixels of objects of fewer than 4,096 pixels.
    """

    max_things: int = 128
    small_weight: float = 1.0

    def __post_init__(self):
        require_count("TargetConfig", "max_things", self.max_things)
        require_number("TargetConfig", "small_weight", self.small_weight, 0.0, 1e3)


@dataclass(frozen=True)
class PostprocessConfig:
    """Settings that turn masks into segments; none of them is a tensor.

    Attributes:
        method: ``"pixelwise"``: each pixel takes its most probable mask (arXiv:2012.00759, section 3.6); ``"maskwise"``: masks are pasted
            in the order of their scores (arXiv:2207.04044, section 3.3).
        pixel_threshold: Least probability of a mask at its pixels.
        thing_threshold, stuff_threshold: Least class probability of a mask of a thing or of stuff.
        overlap: Maskwise: share of a mask's pixels that must be left when it is pasted.
        class_weight, mask_weight: Maskwise: exponents of class probability and mask probability in the score.
        thing_area, stuff_area: Segments of fewer pixels are void; stuff counts all pixels of its class.
    """

    method: str = "pixelwise"
    pixel_threshold: float = 0.4
    thing_threshold: float = 0.7
    stuff_threshold: float = 0.7
    overlap: float = 0.8
    class_weight: float = 1.0
    mask_weight: float = 1.0
    thing_area: int = 0
    stuff_area: int = 0

    def __post_init__(self):
        require_choice("PostprocessConfig", "method", self.method, METHODS)
        for name in ("pixel_threshold", "thing_threshold", "stuff_threshold", "overlap"):
            require_number("PostprocessConfig", name, getattr(self, name), 0.0, 1.0)
        for name in ("class_weight", "mask_weight"):
            require_number("PostprocessConfig", name, getattr(self, name), 0.0, 100.0)
        for name in ("thing_area", "stuff_area"):
            require_count("PostprocessConfig", name, getattr(self, name), least=0)
