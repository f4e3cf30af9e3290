"""The stem: convolutions before the residual stages."""

from __future__ import annotations

from dataclasses import replace

import keras

from axialzoo.keras.blocks import ACTIVATIONS, ConvNorm
from axialzoo.keras.layer import Layer
from axialzoo.spec import Backbone, Block, Stage, from_dict, to_dict


@keras.saving.register_keras_serializable(package="axialzoo")
class Stem(Layer):
    """The convolutions of :class:`axialzoo.spec.Stem`: (N, H, W, 3) to (N, H / stride, W / stride, C), rounded up."""

    def __init__(self, backbone: Backbone, **kwargs):
        super().__init__(**kwargs)
        self.backbone = backbone
        self.convs, channels = [], backbone.in_channels
        for index, conv in enumerate(backbone.stem.convs):
            name = str(index)
            self.convs.append(
                ConvNorm(channels, conv.channels, conv.kernel, backbone.norm, conv.stride, name=name, dtype=self.dtype_policy)
            )
            channels = conv.channels
        self.activation = ACTIVATIONS[backbone.activation]
        self.activated = len(self.convs) - 1 if backbone.pre_activation else len(self.convs)

    def build(self, input_shape=None):
        for conv in self.convs:
            conv.build()

    def call(self, x, training=None):
        for index, conv in enumerate(self.convs):
            x = conv(x, activation=self.activation if index < self.activated else None, training=training)
        return x

    def compute_output_shape(self, input_shape):
        for conv in self.convs:
            input_shape = conv.compute_output_shape(input_shape)
        return input_shape

    def get_config(self) -> dict:
        stages = (Stage((Block("basic", (1, 1)),)),)  # any valid stages; the stem does not read them
        return {**super().get_config(), "backbone": to_dict(replace(self.backbone, stages=stages, neck=()))}

    @classmethod
    def from_config(cls, config: dict):
        return super().from_config({**config, "backbone": from_dict(Backbone, config["backbone"])})
