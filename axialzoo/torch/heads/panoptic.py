"""Panoptic-DeepLab's head (arXiv:1911.10194): classes of all pixels, centres of objects, and the offset from each pixel to its centre."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from axialzoo.spec import Backbone
from axialzoo.spec.heads.panoptic import Decoder as DecoderSpec
from axialzoo.spec.heads.panoptic import Panoptic as Spec
from axialzoo.torch.heads.decoder import Decoder, PredictionHead
from axialzoo.torch.heads.head_module import HeadModule, register_head


@register_head(Spec)
class Panoptic(HeadModule[dict[str, Tensor]]):
    """Several endpoints to ``semantic``, ``center`` and ``offset``, the last two where the spec has instances.

    Shapes:
        The endpoints, (N, C, H, W) each, to (N, num_classes, H', W'), (N, 1, H', W') and (N, 2, H', W'), raw: at the size of the
        finest endpoint, neither resized to the image nor turned into probabilities.
    """

    def __init__(self, spec: Spec, backbone: Backbone):
        super().__init__(spec)
        norm, activation, instances = backbone.norm, spec.activation, spec.instances
        self.feature_positions = spec.feature_positions(backbone)

        def decode(decoder: DecoderSpec) -> Decoder:
            return Decoder(spec.in_channels(decoder, backbone), decoder, norm, activation, spec.kernel)

        def predict(decoder: DecoderSpec, hidden_channels: int, outputs: int) -> PredictionHead:
            return PredictionHead(decoder.outputs, hidden_channels, outputs, norm, activation, spec.kernel)

        self.semantic = decode(spec.semantic)
        self.instance = decode(instances.decoder) if instances else None
        self.classes = predict(spec.semantic, spec.semantic_channels, spec.num_classes)
        self.center = predict(instances.decoder, instances.center_channels, 1) if instances else None
        self.offset = predict(instances.decoder, instances.offset_channels, 2) if instances else None

    def forward(self, features: Sequence[Tensor], pre_logits: bool = False) -> dict[str, Tensor]:
        x = self.semantic([features[position] for position in self.feature_positions["semantic"]])  # (N, C, H', W')
        maps = {"semantic": self.classes.mix(x) if pre_logits else self.classes(x)}
        if self.instance is not None and self.center is not None and self.offset is not None:
            y = self.instance([features[position] for position in self.feature_positions["instance"]])  # (N, C, H', W')
            maps |= {"center": self.center(y), "offset": self.offset(y)}
        return maps

    def get_classifier(self) -> nn.Module:
        return self.classes.out
