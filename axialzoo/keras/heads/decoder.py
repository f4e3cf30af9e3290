"""Decoder from coarse to fine features: Panoptic-DeepLab's (arXiv:1911.10194) and its atrous spatial pyramid (arXiv:1706.05587)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from axialzoo.keras.blocks import ACTIVATIONS, ConvNorm
from axialzoo.keras.layer import Layer
from axialzoo.keras.linear import NumpyNormal
from axialzoo.keras.norm import BatchNorm, apply_norm, fold_conv
from axialzoo.keras.pooling import mean
from axialzoo.keras.resize import resize, resize_centers
from axialzoo.keras.scope import own_scope
from axialzoo.keras.sublayers import calls_sublayers
from axialzoo.ops.keras.dispatch import kernel_ops
from axialzoo.ops.keras.tables import Activation
from axialzoo.spec import Norm, from_dict, to_dict
from axialzoo.spec.heads.panoptic import Decoder as Spec

SUBLAYERS = {"conv": keras.layers.DepthwiseConv2D, "norm": BatchNorm}


class _Part(Layer):
    """Base class of layers with a norm and an activation, which its config holds as JSON."""

    def __init__(self, norm: Norm, activation: str, **kwargs):
        super().__init__(**kwargs)
        self.norm_spec, self.activation_name = norm, activation
        self.activation = ACTIVATIONS[activation]

    def get_config(self) -> dict:
        return {**super().get_config(), "norm": to_dict(self.norm_spec), "activation": self.activation_name}

    @classmethod
    def from_config(cls, config: dict):
        return super().from_config({**config, "norm": from_dict(Norm, config["norm"])})


@keras.saving.register_keras_serializable(package="axialzoo")
class DepthwiseNorm(Layer):
    """A convolution of each channel by itself and its norm: ``(N, H, W, C)`` to the same."""

    def __init__(self, channels: int, kernel: int, norm: Norm, **kwargs):
        super().__init__(**kwargs)
        self.channels, self.kernel, self.norm_spec = channels, kernel, norm
        self.conv = keras.layers.DepthwiseConv2D(
            kernel,
            padding="same",
            data_format="channels_last",
            use_bias=False,
            depthwise_initializer=NumpyNormal((2 / kernel**2) ** 0.5),
            name="conv",
            dtype=self.dtype_policy,
        )
        self.norm = BatchNorm(channels, norm, name="norm", dtype=self.dtype_policy)

    def build(self, input_shape=None):
        self.conv.build((None, None, None, self.channels))
        self.norm.build()

    def call(self, x, activation: Activation | None = None, training=None):
        if calls_sublayers(self, SUBLAYERS):
            return apply_norm(self.norm, self.conv(x), None, activation, training)
        return self.norm(kernel_ops().depthwise(self.conv, x), activation=activation, training=training)

    def fold(self) -> None:
        """Fold the norm into the convolution, for inference."""
        fold_conv(self.conv, self.norm)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "channels": self.channels, "kernel": self.kernel, "norm": to_dict(self.norm_spec)}

    @classmethod
    def from_config(cls, config: dict):
        return super().from_config({**config, "norm": from_dict(Norm, config["norm"])})


@keras.saving.register_keras_serializable(package="axialzoo")
class SeparableConv(_Part):
    """A depthwise and a 1x1 convolution, each normalised and activated: ``(N, H, W, C)`` to ``(N, H, W, outputs)``."""

    def __init__(self, inputs: int, outputs: int, kernel: int, norm: Norm, activation: str, **kwargs):
        super().__init__(norm, activation, **kwargs)
        self.inputs, self.outputs, self.kernel = inputs, outputs, kernel
        self.depthwise = DepthwiseNorm(inputs, kernel, norm, name="depthwise", dtype=self.dtype_policy)
        self.pointwise = ConvNorm(inputs, outputs, 1, norm, name="pointwise", dtype=self.dtype_policy)

    def build(self, input_shape=None):
        self.depthwise.build()
        self.pointwise.build()

    def call(self, x, training=None):
        x = self.depthwise(x, activation=self.activation, training=training)
        return self.pointwise(x, activation=self.activation, training=training)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.outputs)

    def get_config(self) -> dict:
        return {**super().get_config(), "inputs": self.inputs, "outputs": self.outputs, "kernel": self.kernel}


@keras.saving.register_keras_serializable(package="axialzoo")
class ASPP(_Part):
    """Atrous spatial pyramid pooling (1x1, 3x3 at each rate, the mean over the image), or one 1x1 convolution where there are no rates.

    Shapes:
        ``(N, H, W, C)`` to ``(N, H, W, context_channels)``.
    """

    def __init__(self, inputs: int, spec: Spec, norm: Norm, activation: str, **kwargs):
        super().__init__(norm, activation, **kwargs)
        self.inputs, self.spec = inputs, spec
        width, dtype = spec.context_channels, self.dtype_policy
        self.point = ConvNorm(inputs, width, 1, norm, name="point", dtype=dtype) if spec.rates else None
        self.atrous = [ConvNorm(inputs, width, 3, norm, 1, rate, name=str(i), dtype=dtype) for i, rate in enumerate(spec.rates)]
        self.pool = ConvNorm(inputs, width, 1, norm, name="pool", dtype=dtype) if spec.rates else None
        self.project = ConvNorm((len(spec.rates) + 2) * width if spec.rates else inputs, width, 1, norm, name="project", dtype=dtype)
        self.dropout = keras.layers.Dropout(spec.dropout, name="dropout", dtype=dtype)

    def build(self, input_shape=None):
        if self.point is not None and self.pool is not None:
            self.point.build()
            _build_each("atrous", self.atrous)
            self.pool.build()
        self.project.build()

    def call(self, x, training=None):
        if self.point is not None and self.pool is not None:
            branches = (self.point, *self.atrous)
            branches = [branch(x, activation=self.activation, training=training) for branch in branches]  # (N, H, W, width) each
            pooled = self.pool(mean(x)[:, None, None], activation=self.activation, training=training)  # (N, 1, 1, width)
            x = ops.concatenate([*branches, resize(pooled, *ops.shape(x)[1:3])], axis=-1)  # (N, H, W, (rates + 2) width)
        return self.dropout(self.project(x, activation=self.activation, training=training), training=training)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.spec.context_channels)

    def get_config(self) -> dict:
        return {**super().get_config(), "inputs": self.inputs, "spec": to_dict(self.spec)}

    @classmethod
    def from_config(cls, config: dict):
        return super().from_config({**config, "spec": from_dict(Spec, config["spec"])})


@keras.saving.register_keras_serializable(package="axialzoo")
class Decoder(_Part):
    """Context of the coarse features, then each skip: see :class:`axialzoo.spec.heads.panoptic.Decoder`.

    Dots in its name are levels of its variables' paths: ``head.semantic`` has ``head/semantic/aspp/project/conv/kernel``.

    Args:
        channels: Channels of the coarse features, then of each skip.
        spec, norm, activation, kernel: Its architecture.

    Shapes:
        The features, ``(N, H, W, C)`` each, to ``(N, H', W', outputs)`` at the size of the last.
    """

    def __init__(self, channels: Sequence[int], spec: Spec, norm: Norm, activation: str, kernel: int, **kwargs):
        super().__init__(norm, activation, **kwargs)
        self.channels, self.spec, self.kernel, dtype = tuple(channels), spec, kernel, self.dtype_policy
        self.aspp = ASPP(channels[0], spec, norm, activation, name="aspp", dtype=dtype)
        self.skips, self.fuse = [], []
        width = spec.context_channels
        for index, (skip, inputs) in enumerate(zip(spec.skips, channels[1:])):
            self.skips.append(ConvNorm(inputs, skip.channels, 1, norm, name=str(index), dtype=dtype))
            self.fuse.append(SeparableConv(width + skip.channels, spec.channels, kernel, norm, activation, name=str(index), dtype=dtype))
            width = spec.channels

    def build(self, input_shape=None):
        with own_scope(self):
            self.aspp.build()
            _build_each("skips", self.skips)
            _build_each("fuse", self.fuse)

    def call(self, features, training=None):
        coarse, *fine = features
        x, width = self.aspp(coarse, training=training), coarse.shape[2]
        for project, fuse, feature in zip(self.skips, self.fuse, fine):
            skip = project(feature, activation=self.activation, training=training)  # (N, H', W', skip channels)
            x = upsample_to(x, skip, self.spec.corners, width)  # (N, H', W', C)
            x = fuse(ops.concatenate([x, skip], axis=-1), training=training)  # (N, H', W', channels)
        return x

    def compute_output_shape(self, input_shape):
        return (*input_shape[-1][:-1], self.spec.outputs)

    def get_config(self) -> dict:
        return {**super().get_config(), "channels": list(self.channels), "spec": to_dict(self.spec), "kernel": self.kernel}

    @classmethod
    def from_config(cls, config: dict):
        return super().from_config({**config, "spec": from_dict(Spec, config["spec"])})


@keras.saving.register_keras_serializable(package="axialzoo")
class PredictionHead(_Part):
    """A separable and a 1x1 convolution with bias: ``(N, H, W, C)`` to ``(N, H, W, outputs)``, not activated.

    Args:
        output_dtype: Dtype of the last convolution, and so of the output.
    """

    def __init__(
        self, inputs: int, hidden_channels: int, outputs: int, norm: Norm, activation: str, kernel: int, output_dtype: Any = None, **kwargs
    ):
        super().__init__(norm, activation, **kwargs)
        self.inputs, self.hidden_channels, self.outputs, self.kernel = inputs, hidden_channels, outputs, kernel
        self.mix = SeparableConv(inputs, hidden_channels, kernel, norm, activation, name="mix", dtype=self.dtype_policy)
        self.out = keras.layers.Conv2D(
            outputs,
            1,
            data_format="channels_last",
            kernel_initializer=NumpyNormal(0.01),
            name="out",
            dtype=output_dtype or self.dtype_policy,
        )

    def build(self, input_shape=None):
        with own_scope(self):
            self.mix.build()
            self.out.build((None, None, None, self.hidden_channels))

    def call(self, x, training=None):
        return self.out(self.mix(x, training=training))

    def compute_output_spec(self, x, training=None):
        return keras.KerasTensor((*x.shape[:-1], self.outputs), dtype=self.out.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.outputs)

    def get_config(self) -> dict:
        config = {"inputs": self.inputs, "hidden_channels": self.hidden_channels, "outputs": self.outputs, "kernel": self.kernel}
        return {**super().get_config(), **config, "output_dtype": keras.dtype_policies.serialize(self.out.dtype_policy)}

    @classmethod
    def from_config(cls, config: dict):
        dtype = config["output_dtype"]
        return super().from_config(
            {**config, "output_dtype": keras.dtype_policies.deserialize(dtype) if isinstance(dtype, dict) else dtype}
        )


def upsample_to(x, like, corners: str, width: int | None):
    """Resize bilinearly: (N, h, w, C) to (N, H, W, C) of `like`; corners are aligned unless `corners` is ``"odd"`` and `width` is even."""
    height, across = ops.shape(like)[1:3]
    if corners == "aligned":
        return resize(x, height, across)
    if width is None:
        raise ValueError("corners 'odd' depend on the width of the image; expected a model of a fixed one, set input_size=(height, width)")
    return resize(x, height, across) if width % 2 else resize_centers(x, height, across)


def _build_each(name: str, layers: Sequence[keras.layers.Layer]) -> None:
    """Build layers that are named by their numbers, one level deeper."""
    with keras.name_scope(name):
        for layer in layers:
            layer.build()
