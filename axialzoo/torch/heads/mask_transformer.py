"""The head of mask transformers: MaX-DeepLab (arXiv:2012.00759) and kMaX-DeepLab (arXiv:2207.04044)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from axialzoo.spec import Backbone
from axialzoo.spec.heads.mask_transformer import MaskTransformer as Spec
from axialzoo.torch.blocks import ACTIVATIONS
from axialzoo.torch.heads.decoder import Decoder, PredictionHead
from axialzoo.torch.heads.head_module import HeadModule, register_head
from axialzoo.torch.heads.kmeans import KMeansLayer
from axialzoo.torch.heads.mask_predictor import MaskPredictor
from axialzoo.torch.heads.pixel_decoder import PixelDecoder
from axialzoo.torch.tokens import TokenNorm, Tokens


@register_head(Spec)
class MaskTransformer(HeadModule[dict[str, Tensor]]):
    """Endpoints to ``class_logits``, ``mask_logits``, ``pixel_feature`` and, where the spec has a branch for it, ``semantic``.

    In training the k-means layers add their predictions, ``auxiliary.0.class_logits`` and so on.

    Shapes:
        The endpoints that the spec names, (N, C, H, W) each and not activated, then the memory tokens (N, slots, C) of a backbone that has
        them, to (N, slots, classes + 1), void last, (N, slots, H', W'), (N, mask_channels, H', W') and (N, classes, H'', W'').
    """

    def __init__(self, spec: Spec, backbone: Backbone):
        super().__init__(spec)
        norm, activation, endpoints = backbone.norm, spec.activation, spec.endpoints(backbone)
        self.pixel_positions = [endpoints.index(index) for index in spec.pixel_sources(backbone)]
        self.semantic_positions = [endpoints.index(index) for index in spec.semantic_sources(backbone)]
        predictor = (spec.pixel_channels, spec.mask_channels, spec.num_classes)
        self.pixel_decoder = self.centers = None
        self.kmeans, self.stages = nn.ModuleList(), []
        if spec.pixel_decoder is not None and spec.kmeans is not None:
            channels = [spec.channels(backbone, index) for index in spec.pixel_sources(backbone)]
            self.pixel_decoder = PixelDecoder(channels, spec.pixel_decoder, backbone, activation)
            self.centers = Tokens(spec.slots, spec.kmeans.centers.channels)
            for number, layer in enumerate(spec.kmeans.layers):
                widths = (spec.pixel_decoder.stages[layer.stage].outputs, spec.kmeans.centers.channels)
                kmeans = KMeansLayer(*widths, layer, predictor, norm, activation, spec.kernel)
                kmeans.drop.number = number
                self.kmeans.append(kmeans)
                self.stages.append(layer.stage)
        tokens = spec.token_channels(backbone)
        self.class_embedding = TokenNorm(tokens, spec.embed_channels, norm)
        self.mask_embedding = TokenNorm(tokens, spec.embed_channels, norm)
        self.predictor = MaskPredictor(spec.pixel_outputs(backbone), spec.embed_channels, *predictor, norm, activation, spec.kernel)
        self.semantic = self.semantic_classes = None
        if spec.semantic is not None:
            in_channels = [spec.channels(backbone, index) for index in spec.semantic_sources(backbone)]
            if spec.semantic.decoder is not None:
                self.semantic = Decoder(in_channels, spec.semantic.decoder, norm, activation, spec.kernel)
            width = in_channels[0] if spec.semantic.decoder is None else spec.semantic.decoder.outputs
            outputs = spec.semantic.outputs(spec.num_classes)
            self.semantic_classes = PredictionHead(width, spec.semantic.channels, outputs, norm, activation, spec.kernel)
        self.activation = ACTIVATIONS[activation]
        self.backbone_activation = ACTIVATIONS[backbone.activation]
        self.pre_activation = backbone.pre_activation

    def forward(self, features: Sequence[Tensor], pre_logits: bool = False) -> dict[str, Tensor]:
        pixels, auxiliary = [features[position] for position in self.pixel_positions], {}
        tokens = features[-1]  # (N, slots, C)
        if self.pixel_decoder is not None and self.centers is not None:
            pixels, tokens = self.pixel_decoder(pixels), self.centers(pixels[0])
            for number, (stage, layer) in enumerate(zip(self.stages, self.kmeans)):
                tokens, predictions = layer(pixels[stage], tokens)
                auxiliary |= {f"auxiliary.{number}.{name}": value for name, value in predictions.items()}
        spec = self.spec
        assert isinstance(spec, Spec)
        x = self.activate(pixels[-1]) if spec.activate_pixels else pixels[-1]  # (N, C, H', W')
        embeddings = (self.class_embedding(tokens, self.activation), self.mask_embedding(tokens, self.activation))  # (N, slots, C)
        outputs = self.predictor(x, *embeddings, pre_logits)
        if self.semantic_classes is not None:
            outputs["semantic"] = self.semantic_logits(features)
        return {**outputs, **auxiliary} if self.training else outputs

    def semantic_logits(self, features: Sequence[Tensor]) -> Tensor:
        """Compute the logits of the semantic branch: (N, classes, H'', W'')."""
        assert isinstance(self.spec, Spec) and self.spec.semantic is not None and self.semantic_classes is not None
        coarse, *skips = (features[position] for position in self.semantic_positions)
        coarse = self.activate(coarse) if self.spec.semantic.activated else coarse
        if self.semantic is not None:
            skips = [self.activate(skip) for skip in skips] if self.spec.semantic.activated_skips else skips
            coarse = self.semantic([coarse, *skips])
        return self.semantic_classes(coarse)

    def activate(self, x: Tensor) -> Tensor:
        """Activate features of the backbone where its blocks have not."""
        return self.backbone_activation(x) if self.pre_activation else x

    def get_classifier(self) -> nn.Module:
        return self.predictor.classes
