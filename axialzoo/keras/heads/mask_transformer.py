"""The head of mask transformers: MaX-DeepLab (arXiv:2012.00759) and kMaX-DeepLab (arXiv:2207.04044)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from axialzoo.keras.blocks import ACTIVATIONS
from axialzoo.keras.heads.decoder import Decoder, PredictionHead
from axialzoo.keras.heads.head_module import HeadModule, register_head
from axialzoo.keras.heads.kmeans import KMeansLayer
from axialzoo.keras.heads.mask_predictor import MaskPredictor
from axialzoo.keras.heads.pixel_decoder import PixelDecoder
from axialzoo.keras.tokens import Configured, TokenNorm, Tokens
from axialzoo.spec import Backbone
from axialzoo.spec.heads.mask_transformer import MaskTransformer as Spec


@register_head(Spec)
class MaskTransformer(HeadModule):
    """Endpoints to ``class_logits``, ``mask_logits``, ``pixel_feature`` and, where the spec has a branch for it, ``semantic``.

    The k-means layers add their predictions, ``auxiliary.0.class_logits`` and so on, which the model gives in training alone.

    Shapes:
        The endpoints that the spec names, (N, H, W, C) each and not activated, then the memory tokens (N, slots, C) of a backbone that has
        them, to (N, slots, classes + 1), void last, (N, H', W', slots), (N, H', W', mask_channels) and (N, H'', W'', classes).
    """

    def __init__(self, spec: Spec, backbone: Backbone, dtype: Any):
        super().__init__(spec, dtype)
        norm, activation, endpoints = backbone.norm, spec.activation, spec.endpoints(backbone)
        self.pixel_positions = [endpoints.index(index) for index in spec.pixel_sources(backbone)]
        self.semantic_positions = [endpoints.index(index) for index in spec.semantic_sources(backbone)]
        predictor, make = (spec.pixel_channels, spec.mask_channels, spec.num_classes), {"dtype": dtype}
        outputs_as = {"output_dtype": self.output_dtype, "dtype": dtype}
        self.pixel_decoder = self.centers = None
        self.kmeans, self.stages = [], []
        if spec.pixel_decoder is not None and spec.kmeans is not None:
            channels = [spec.channels(backbone, index) for index in spec.pixel_sources(backbone)]
            self.pixel_decoder = PixelDecoder(channels, spec.pixel_decoder, backbone, activation, name="head.pixel_decoder", **make)
            self.centers = Tokens(spec.slots, spec.kmeans.centers.channels, name="head.centers", **make)
            for number, layer in enumerate(spec.kmeans.layers):
                widths = (spec.pixel_decoder.stages[layer.stage].outputs, spec.kmeans.centers.channels)
                options = {"name": f"head.kmeans.{number}", **outputs_as}
                self.kmeans.append(KMeansLayer(*widths, layer, predictor, norm, activation, spec.kernel, **options))
                self.stages.append(layer.stage)
        tokens = spec.token_channels(backbone)
        self.class_embedding = Embedding(tokens, spec.embed_channels, norm, activation, name="head.class_embedding", **make)
        self.mask_embedding = Embedding(tokens, spec.embed_channels, norm, activation, name="head.mask_embedding", **make)
        self.predictor = MaskPredictor(
            spec.pixel_outputs(backbone), spec.embed_channels, *predictor, norm, activation, spec.kernel, name="head.predictor",
            **outputs_as,
        )  # fmt: skip
        self.semantic = self.semantic_classes = None
        if spec.semantic is not None:
            in_channels = [spec.channels(backbone, index) for index in spec.semantic_sources(backbone)]
            if spec.semantic.decoder is not None:
                self.semantic = Decoder(in_channels, spec.semantic.decoder, norm, activation, spec.kernel, name="head.semantic", **make)
            width = in_channels[0] if spec.semantic.decoder is None else spec.semantic.decoder.outputs
            outputs = spec.semantic.outputs(spec.num_classes)
            options = {"name": "head.semantic_classes", **outputs_as}
            self.semantic_classes = PredictionHead(width, spec.semantic.channels, outputs, norm, activation, spec.kernel, **options)
        self.backbone_activation, self.pre_activation, self.dtype = backbone.activation, backbone.pre_activation, dtype
        self.activations: dict[int, Any] = {}

    def __call__(self, features: Sequence[Any], pre_logits: bool = False) -> dict[str, Any]:
        pixels, auxiliary = [features[position] for position in self.pixel_positions], {}
        tokens = features[-1]  # (N, slots, C)
        if self.pixel_decoder is not None and self.centers is not None:
            pixels, tokens = self.pixel_decoder(pixels), self.centers(pixels[0])
            for number, (stage, layer) in enumerate(zip(self.stages, self.kmeans)):
                tokens, predictions = layer(pixels[stage], tokens)
                auxiliary |= {f"auxiliary.{number}.{name}": value for name, value in predictions.items()}
        spec = self.spec
        assert isinstance(spec, Spec)
        x = self.activate(pixels[-1], -1) if spec.activate_pixels else pixels[-1]  # (N, H', W', C)
        embeddings = (self.class_embedding(tokens), self.mask_embedding(tokens))  # (N, slots, C)
        outputs = dict(self.predictor(x, *embeddings, pre_logits=pre_logits))
        if self.semantic_classes is not None:
            outputs["semantic"] = self.semantic_logits(features)
        return {**outputs, **auxiliary}

    def semantic_logits(self, features: Sequence[Any]) -> Any:
        """Compute the logits of the semantic branch: (N, H'', W'', classes)."""
        assert isinstance(self.spec, Spec) and self.spec.semantic is not None and self.semantic_classes is not None
        coarse, *skips = (features[position] for position in self.semantic_positions)
        coarse = self.activate(coarse, 0) if self.spec.semantic.activated else coarse
        if self.semantic is not None:
            activated = self.spec.semantic.activated_skips
            skips = [self.activate(skip, position) for position, skip in enumerate(skips, 1)] if activated else skips
            coarse = self.semantic([coarse, *skips])
        return self.semantic_classes(coarse)

    def activate(self, x: Any, position: int) -> Any:
        """Activate features of the backbone where its blocks have not."""
        if not self.pre_activation:
            return x
        if position not in self.activations:
            name = "head.pixels.activation" if position < 0 else f"head.semantic.activation.{position}"
            self.activations[position] = Activated(self.backbone_activation, name=name, dtype=self.dtype)
        return self.activations[position](x)

    def get_classifier(self) -> Any:
        return self.predictor.classes


@keras.saving.register_keras_serializable(package="axialzoo")
class Embedding(TokenNorm):
    """A `TokenNorm` with an activation by its name, since a functional model saves layers, not functions."""

    def __init__(self, inputs: int, outputs: int, norm: Any, activation: str, **kwargs):
        super().__init__(inputs, outputs, norm, **kwargs)
        self.arguments = {key: value for key, value in self.arguments.items() if key != "zero"} | {"activation": activation}
        self.activation = ACTIVATIONS[activation]

    def call(self, x, training=None):
        return super().call(x, self.activation, training)


@keras.saving.register_keras_serializable(package="axialzoo")
class Activated(Configured):
    """An activation by its name in the spec."""

    def __init__(self, activation: str, **kwargs):
        super().__init__({"activation": activation}, **kwargs)
        self.activation = ACTIVATIONS[activation]

    def call(self, x):
        return self.activation(x)

    def compute_output_shape(self, x_shape):
        return x_shape
