"""Panoptic-DeepLab's head (arXiv:1911.10194): classes of all pixels, centres of objects, and the offset from each pixel to its centre."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from axialzoo.keras.heads.decoder import Decoder, PredictionHead
from axialzoo.keras.heads.head_module import HeadModule, register_head
from axialzoo.spec import Backbone
from axialzoo.spec.heads.panoptic import Decoder as DecoderSpec
from axialzoo.spec.heads.panoptic import Panoptic as Spec


@register_head(Spec)
class Panoptic(HeadModule):
    """Several endpoints to ``semantic``, ``center`` and ``offset``, the last two where the spec has instances.

    Shapes:
        The endpoints, (N, H, W, C) each, to (N, H', W', num_classes), (N, H', W', 1) and (N, H', W', 2), raw: at the size of the
        finest endpoint, neither resized to the image nor turned into probabilities.
    """

    def __init__(self, spec: Spec, backbone: Backbone, dtype: Any):
        super().__init__(spec, dtype)
        norm, activation, instances = backbone.norm, spec.activation, spec.instances
        self.feature_positions = spec.feature_positions(backbone)

        def decode(name: str, decoder: DecoderSpec) -> Decoder:
            return Decoder(spec.in_channels(decoder, backbone), decoder, norm, activation, spec.kernel, name=f"head.{name}", dtype=dtype)

        def predict(name: str, decoder: DecoderSpec, hidden_channels: int, outputs: int) -> PredictionHead:
            options = {"output_dtype": self.output_dtype, "name": f"head.{name}", "dtype": dtype}
            return PredictionHead(decoder.outputs, hidden_channels, outputs, norm, activation, spec.kernel, **options)

        self.semantic = decode("semantic", spec.semantic)
        self.instance = decode("instance", instances.decoder) if instances else None
        self.classes = predict("classes", spec.semantic, spec.semantic_channels, spec.num_classes)
        self.center = predict("center", instances.decoder, instances.center_channels, 1) if instances else None
        self.offset = predict("offset", instances.decoder, instances.offset_channels, 2) if instances else None

    def __call__(self, features: Sequence[Any], pre_logits: bool = False) -> dict[str, Any]:
        x = self.semantic([features[position] for position in self.feature_positions["semantic"]])  # (N, H', W', C)
        maps = {"semantic": self.classes.mix(x) if pre_logits else self.classes(x)}
        if self.instance is not None and self.center is not None and self.offset is not None:
            y = self.instance([features[position] for position in self.feature_positions["instance"]])  # (N, H', W', C)
            maps |= {"center": self.center(y), "offset": self.offset(y)}
        return maps

    def get_classifier(self) -> Any:
        return self.classes.out
