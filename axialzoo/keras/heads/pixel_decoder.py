"""The pixel decoder of kMaX-DeepLab (arXiv:2207.04044): from the coarsest features up, with a skip at each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import keras
from keras import ops

from axialzoo.keras.blocks import ACTIVATIONS, ConvNorm, ResidualBlock
from axialzoo.keras.heads.decoder import upsample_to
from axialzoo.keras.pooling import strided_shape
from axialzoo.keras.scope import own_scope
from axialzoo.keras.tokens import Configured
from axialzoo.ops.keras.dispatch import kernel_ops
from axialzoo.ops.keras.tables import statistics_dtype
from axialzoo.spec import Backbone, NeckStage
from axialzoo.spec.heads.mask_layers import stage_conventions
from axialzoo.spec.heads.mask_parts import PixelDecoder as Spec

EPSILON = 1e-6  # of layer norms


@keras.saving.register_keras_serializable(package="axialzoo")
class ChannelNorm(Configured):
    """Layer normalisation over channels: ``(N, H, W, C)`` to the same; in float32 or better."""

    def __init__(self, channels: int, **kwargs):
        super().__init__({"channels": channels}, **kwargs)
        self.channels = channels

    def build(self, input_shape=None):
        self.gamma = self.add_weight(name="gamma", shape=(self.channels,), initializer="ones", autocast=False)
        self.beta = self.add_weight(name="beta", shape=(self.channels,), initializer="zeros", autocast=False)

    def call(self, x):
        dtype = statistics_dtype(x.dtype)
        y = ops.cast(x, dtype)
        y = y - ops.sum(y, -1, keepdims=True) / self.channels
        variance = ops.sum(ops.square(y), -1, keepdims=True) / self.channels
        gamma, beta = (ops.cast(ops.convert_to_tensor(variable), dtype) for variable in (self.gamma, self.beta))
        return ops.cast(y * ops.rsqrt(variance + EPSILON) * gamma + beta, x.dtype)

    def compute_output_shape(self, x_shape):
        return x_shape


@keras.saving.register_keras_serializable(package="axialzoo")
class FuseSkip(Configured):
    """Adds finer features to coarser ones, which are resized; features of other channels than the sum's are activated and projected.

    Args:
        coarse, fine: Channels of the two.
        stage: Decoder stage that takes in the sum.
        backbone: Conventions.
        corners: See :class:`axialzoo.spec.heads.mask_parts.PixelDecoder`.

    Shapes:
        ``(N, h, w, coarse)`` and ``(N, H, W, fine)`` to ``(N, H, W, channels)``.
    """

    SPECS: ClassVar[dict[str, type]] = {"stage": NeckStage, "backbone": Backbone}

    def __init__(self, coarse: int, fine: int, stage: NeckStage, backbone: Backbone, corners: str, **kwargs):
        super().__init__({"coarse": coarse, "fine": fine, "stage": stage, "backbone": backbone, "corners": corners}, **kwargs)
        self.channels, norm = stage.channels, backbone.norm
        dtype = {"dtype": self.dtype_policy}
        self.coarse = None if coarse == stage.channels else ConvNorm(coarse, stage.channels, 1, norm, name="coarse", **dtype)
        self.fine = None if fine == stage.channels else ConvNorm(fine, stage.channels, 1, norm, name="fine", **dtype)
        self.activation, self.corners = ACTIVATIONS[backbone.activation], corners

    def build(self, input_shape=None):
        for project in (self.coarse, self.fine):
            if project is not None:
                project.build()

    def call(self, x, skip, training=None):
        x = x if self.coarse is None else self.coarse(self.activation(x), training=training)
        skip = skip if self.fine is None else self.fine(self.activation(skip), training=training)
        return upsample_to(x, skip, self.corners, x.shape[2]) + skip

    def compute_output_shape(self, x_shape, skip_shape):
        return (*skip_shape[:-1], self.channels)


@keras.saving.register_keras_serializable(package="axialzoo")
class PixelDecoder(Configured):
    """See :class:`axialzoo.spec.heads.mask_parts.PixelDecoder`.

    Shapes:
        Features ``(N, H, W, C)``, one a stage from coarse to fine, to the output of each stage, not activated.
    """

    SPECS: ClassVar[dict[str, type]] = {"spec": Spec, "backbone": Backbone}

    def __init__(self, channels: Sequence[int], spec: Spec, backbone: Backbone, activation: str, **kwargs):
        arguments = {"channels": list(channels), "spec": spec, "backbone": backbone, "activation": activation}
        super().__init__(arguments, **kwargs)
        dtype = {"dtype": self.dtype_policy}
        self.outputs, self.pools = [stage.outputs for stage in spec.stages], spec.pools()
        self.norms = [ChannelNorm(inputs, name=str(index), **dtype) for index, inputs in enumerate(channels)]
        self.stages, self.fuses = [], []
        before = channels[0]
        for index, (stage, inputs) in enumerate(zip(spec.stages, channels)):
            conventions, width = stage_conventions(stage, backbone, activation), inputs
            if index > 0:
                self.fuses.append(FuseSkip(before, inputs, stage, conventions, spec.corners, name=str(index - 1), **dtype))
                width = stage.channels
            self.stages.append(DecoderStage(width, stage, conventions, name=str(index), **dtype))
            before = stage.outputs

    def build(self, input_shape=None):
        with own_scope(self):
            for name, layers in (("norms", self.norms), ("stages", self.stages), ("fuses", self.fuses)):
                with keras.name_scope(name):
                    for layer in layers:
                        layer.build()

    def call(self, features, training=None):
        x, outputs = features[0], []
        for index, (norm, stage, feature) in enumerate(zip(self.norms, self.stages, features)):
            skip = norm(kernel_ops().max_pool(feature) if self.pools[index] else feature)
            x = skip if index == 0 else self.fuses[index - 1](x, skip, training=training)
            x = stage(x, training=training)
            outputs.append(x)
        return outputs

    def compute_output_spec(self, features, training=None):
        shapes = [strided_shape(x.shape, 2 if pool else 1)[:-1] for x, pool in zip(features, self.pools)]
        return [keras.KerasTensor((*shape, outputs), dtype=self.compute_dtype) for shape, outputs in zip(shapes, self.outputs)]


@keras.saving.register_keras_serializable(package="axialzoo")
class DecoderStage(Configured):
    """Residual blocks of one stage: ``(N, H, W, inputs)`` to ``(N, H, W, outputs)``."""

    SPECS: ClassVar[dict[str, type]] = {"spec": NeckStage, "backbone": Backbone}

    def __init__(self, inputs: int, spec: NeckStage, backbone: Backbone, **kwargs):
        super().__init__({"inputs": inputs, "spec": spec, "backbone": backbone}, **kwargs)
        self.outputs = spec.outputs
        self.blocks = []
        for index, block in enumerate(spec.blocks):
            self.blocks.append(ResidualBlock(inputs, block, backbone, name=str(index), dtype=self.dtype_policy))
            inputs = block.channels[-1]

    def build(self, input_shape=None):
        with keras.name_scope("blocks"):
            for block in self.blocks:
                block.build()

    def call(self, x, training=None):
        for block in self.blocks:
            x = block(x, training=training)
        return x

    def compute_output_shape(self, x_shape):
        return (*x_shape[:-1], self.outputs)
