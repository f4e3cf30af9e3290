"""The stacked decoder of MaX-DeepLab-L (arXiv:2012.00759): up to stride 4 and down again, fusing features on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import keras
from keras import ops

from axialzoo.keras.blocks import ACTIVATIONS, ConvNorm
from axialzoo.keras.layer import Layer
from axialzoo.keras.pooling import strided_shape
from axialzoo.keras.resize import resize
from axialzoo.keras.scope import own_scope
from axialzoo.spec import Backbone, Block, NeckStage, Stage, Stem, from_dict, to_dict
from axialzoo.spec.layers import projects_with_stride
from axialzoo.spec.neck import NeckInput


@keras.saving.register_keras_serializable(package="axialzoo")
class FeatureFusion(Layer):
    """The sum of features, each projected and resized as :class:`axialzoo.spec.NeckStage` says; not activated.

    Called with a list of the features and, last, the images, of which only the size counts.

    Args:
        features: Features that it takes in; a projection is named by the position of its feature here.
        spec: Stage of the neck that follows the sum.

    Shapes:
        ``(N, H, W, C)`` of each feature to ``(N, ceil(height / stride), ceil(width / stride), channels)``.
    """

    def __init__(self, features: Sequence[NeckInput], spec: NeckStage, backbone: Backbone, **kwargs):
        super().__init__(**kwargs)
        self.features, self.spec, self.backbone = tuple(features), spec, backbone
        self.stride = spec.stride
        self.activation = ACTIVATIONS[backbone.activation]
        self.projections = []
        for index, feature in enumerate(self.features):
            stride = 2 if projects_with_stride(feature, spec) else 1
            make = {"name": str(index), "dtype": self.dtype_policy}
            projected = feature.channels != spec.channels
            self.projections.append(ConvNorm(feature.channels, spec.channels, 1, backbone.norm, stride, **make) if projected else None)

    def build(self, input_shape=None):
        with own_scope(self):
            for projection in self.projections:
                if projection is not None:
                    projection.build()

    def call(self, inputs, training=None):
        *features, images = inputs
        height, width = (-(-side // self.stride) for side in ops.shape(images)[1:3])
        resized = []
        for projection, x in zip(self.projections, features):
            if projection is not None:
                x = projection(self.activation(x), training=training)  # (N, H, W, channels)
            resized.append(resize(x, height, width))  # (N, height, width, channels)
        return sum(resized[1:], resized[0])

    def compute_output_shape(self, input_shape):
        return (*strided_shape(input_shape[-1], self.stride)[:-1], self.spec.channels)

    def get_config(self) -> dict:
        stages = (Stage((Block("basic", (1, 1)),)),)  # of the backbone, only its conventions count
        conventions = replace(self.backbone, stem=Stem(), stages=stages, neck=())
        features = [to_dict(feature) for feature in self.features]
        return {**super().get_config(), "features": features, "spec": to_dict(self.spec), "backbone": to_dict(conventions)}

    @classmethod
    def from_config(cls, config: dict):
        features = [from_dict(NeckInput, feature) for feature in config["features"]]
        spec, backbone = from_dict(NeckStage, config["spec"]), from_dict(Backbone, config["backbone"])
        return super().from_config({**config, "features": features, "spec": spec, "backbone": backbone})
