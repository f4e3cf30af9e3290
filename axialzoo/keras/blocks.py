"""Residual blocks: Axial-DeepLab (arXiv:2003.07853), figure 2, and the convolutional ones that share a network with it."""

from __future__ import annotations

import math
from dataclasses import replace

import keras
from keras import ops

from axialzoo.keras.attention import AxialAttention
from axialzoo.keras.attention2d import Attention2D
from axialzoo.keras.drop_path import drop_path
from axialzoo.keras.layer import Layer
from axialzoo.keras.linear import NumpyNormal
from axialzoo.keras.norm import BatchNorm, apply_norm, fold_conv
from axialzoo.keras.pooling import mean, strided_shape
from axialzoo.keras.scope import own_scope
from axialzoo.keras.sublayers import calls_sublayers
from axialzoo.ops.keras.dispatch import can_train_rows, kernel_ops
from axialzoo.ops.keras.tables import Activation
from axialzoo.spec import Backbone, Block, Norm, Stage, Stem, from_dict, to_dict
from axialzoo.spec.layers import has_shortcut

SUBLAYERS = {"conv": keras.layers.Conv2D, "norm": BatchNorm}
ACTIVATIONS = {
    "relu": ops.relu,
    "gelu": lambda x: 0.5 * x * (1 + ops.erf(x * 0.5**0.5)),  # TensorFlow's own has a float32 constant in float64
    "gelu_tanh": lambda x: x * ops.sigmoid((8 / math.pi) ** 0.5 * (x + 0.044715 * x * x * x)),  # (1 + tanh(y)) / 2 = sigmoid(2 y)
    "silu": ops.silu,
    "elu": ops.elu,
}


@keras.saving.register_keras_serializable(package="axialzoo")
class ConvNorm(Layer):
    """A convolution without bias, padded by half its kernel on each side, and its norm.

    Shapes:
        ``(N, H, W, C)`` to ``(N, ceil(H / stride), ceil(W / stride), outputs)``.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, norm: Norm, stride: int = 1, dilation: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.inputs, self.outputs, self.kernel, self.norm_spec, self.stride, self.dilation = inputs, outputs, kernel, norm, stride, dilation
        self.padding = dilation * (kernel // 2)
        self.step = stride if kernel == 1 else 1
        self.conv = keras.layers.Conv2D(
            outputs,
            kernel,
            stride // self.step,
            "same" if stride == 1 else "valid",  # with stride 1, "same" pads both sides alike; with stride 2, `cut` does
            data_format="channels_last",
            dilation_rate=dilation,
            use_bias=False,
            kernel_initializer=NumpyNormal((2 / (outputs * kernel**2)) ** 0.5),
            name="conv",
            dtype=self.dtype_policy,
        )
        self.norm = BatchNorm(outputs, norm, name="norm", dtype=self.dtype_policy)

    def build(self, input_shape=None):
        self.conv.build((None, None, None, self.inputs))
        self.norm.build()

    def call(self, x, residual=None, activation: Activation | None = None, training=None):
        """Return ``activation(residual + norm(convolution(x)))``."""
        if calls_sublayers(self, SUBLAYERS):
            return apply_norm(self.norm, self.conv(self.cut(x)), residual, activation, training)
        if self.norm.folded:
            return kernel_ops().linear(self, x, residual, activation)
        return self.norm(self.conv_forward(x, training), residual, activation=activation, training=training)

    def conv_forward(self, x, training=None):
        """Compute the convolution, without calling its layer where the kernel computes it: (N, H, W, inputs) to (N, H', W', outputs)."""
        x = self.cut(x)
        if self.kernel == 1 and training and can_train_rows(x, self.conv.kernel):
            return kernel_ops().product(x, ops.reshape(ops.convert_to_tensor(self.conv.kernel), (self.inputs, self.outputs)))
        return self.conv(x)

    def cut(self, x):
        """Pad the input of the convolution or, before a 1x1 convolution, apply the stride to it: (N, H', W', inputs)."""
        if self.step > 1:  # oneDNN's weight gradient of a strided 1x1 convolution is out of bounds
            return kernel_ops().subsample(x, self.step)
        if self.stride > 1 and self.padding:
            return ops.pad(x, ((0, 0), (self.padding, self.padding), (self.padding, self.padding), (0, 0)))
        return x

    def fold(self) -> None:
        """Fold the norm into the convolution, for inference."""
        fold_conv(self.conv, self.norm)

    def compute_output_shape(self, input_shape):
        return (*strided_shape(input_shape, self.stride)[:-1], self.outputs)

    def get_config(self) -> dict:
        config = {"inputs": self.inputs, "outputs": self.outputs, "kernel": self.kernel, "norm": to_dict(self.norm_spec)}
        return {**super().get_config(), **config, "stride": self.stride, "dilation": self.dilation}

    @classmethod
    def from_config(cls, config: dict):
        return super().from_config({**config, "norm": from_dict(Norm, config["norm"])})


@keras.saving.register_keras_serializable(package="axialzoo")
class ResidualBlock(Layer):
    """A residual block of any kind: see :class:`axialzoo.spec.Block`.

    Dots in its name are levels of its variables' paths: ``stages.0.blocks.1`` has ``stages/0/blocks/1/reduce/conv/kernel``.

    Shapes:
        ``(N, H, W, inputs)`` to ``(N, ceil(H / stride), ceil(W / stride), outputs)``.
    """

    def __init__(self, inputs: int, spec: Block, backbone: Backbone, **kwargs):
        super().__init__(**kwargs)
        self.inputs, self.spec, self.backbone = inputs, spec, backbone
        norm, outputs, dtype = backbone.norm, spec.channels[-1], self.dtype_policy
        if spec.attention is not None:
            attention = spec.attention
            self.reduce = ConvNorm(inputs, spec.channels[0], 1, norm, name="reduce", dtype=dtype)
            if spec.kind == "axial":
                self.height = AxialAttention(spec.channels[0], attention, norm, axis=0, name="height", dtype=dtype)
                self.width = AxialAttention(attention.value_channels, attention, norm, axis=1, name="width", dtype=dtype)
            else:
                self.attention = Attention2D(spec.channels[0], attention, norm, name="attention", dtype=dtype)
            self.expand = ConvNorm(attention.value_channels, outputs, 1, norm, name="expand", dtype=dtype)
        elif spec.kind == "bottleneck":
            self.reduce = ConvNorm(inputs, spec.channels[0], 1, norm, name="reduce", dtype=dtype)
            self.spatial = ConvNorm(spec.channels[0], spec.channels[1], 3, norm, spec.stride, spec.dilation[0], name="spatial", dtype=dtype)
            self.expand = ConvNorm(spec.channels[1], outputs, 1, norm, name="expand", dtype=dtype)
        else:
            self.spatial1 = ConvNorm(inputs, spec.channels[0], 3, norm, spec.stride, spec.dilation[0], name="spatial1", dtype=dtype)
            self.spatial2 = ConvNorm(spec.channels[0], outputs, 3, norm, 1, spec.dilation[1], name="spatial2", dtype=dtype)
        gate = keras.layers.Conv2D(outputs, 1, data_format="channels_last", name="gate", dtype=dtype) if spec.squeeze_excite else None
        self.gate = gate
        shortcut = has_shortcut(spec, backbone, inputs)
        self.shortcut = ConvNorm(inputs, outputs, 1, norm, spec.stride, name="shortcut", dtype=dtype) if shortcut else None
        self.activation = ACTIVATIONS[backbone.activation]
        self.seed = keras.random.SeedGenerator() if spec.drop_path else None

    def build(self, input_shape=None):
        with own_scope(self):
            for layer in self._flatten_layers(include_self=False, recursive=False):
                layer.build((None, None, None, self.spec.channels[-1]))  # only the gate reads this shape
        last = self.spatial2 if self.spec.kind == "basic" else self.expand
        last.norm.gamma.assign(ops.zeros((self.spec.channels[-1],)))  # identity at the start (arXiv:1706.02677)

    def call(self, x, training=None):
        if self.backbone.pre_activation:
            x = self.activation(x)
        if self.shortcut is not None:
            straight = self.shortcut(x, training=training)  # (N, H', W', outputs)
        else:
            straight = x[:, :: self.spec.stride, :: self.spec.stride] if self.spec.stride > 1 else x
        activation = None if self.backbone.pre_activation else self.activation
        if self.gate is None and not (self.spec.drop_path and training):
            return self.residual(x, training, straight, activation)
        y = self.residual(x, training)  # (N, H', W', outputs)
        if self.gate is not None:
            y = y * (ops.relu6(self.gate(mean(y)[:, None, None]) + 3) * 0.16667)
        if self.spec.drop_path and training:
            y = drop_path(y, self.spec.drop_path, self.seed)
        return straight + y if activation is None else activation(straight + y)

    def residual(self, x, training, straight=None, activation: Activation | None = None):
        """Compute the residual branch; its last norm adds `straight` and activates, where they are passed."""
        if self.spec.kind == "basic":
            x = self.spatial1(x, activation=self.activation, training=training)
            return self.spatial2(x, straight, activation=activation, training=training)
        x = self.reduce(x, activation=self.activation, training=training)
        if self.spec.attention is None:
            x = self.spatial(x, activation=self.activation, training=training)
        else:
            x = self.attend(x, training)
        return self.expand(x, straight, activation=activation, training=training)

    def attend(self, x, training):
        """Apply the block's attention layers, its stride and its activation."""
        stride, attention = self.spec.stride, self.spec.attention
        pooled = stride > 1 and attention.downsample == "pool"
        if self.spec.kind == "attention":
            x = self.attention(x, training=training)  # (N, H, W, V)
            x = x if pooled else self.activation(x[:, ::stride, ::stride] if stride > 1 else x)
        else:
            x = self.height(x, training=training)
            x = x[:, ::stride] if stride > 1 and not pooled else x
            x = self.width(x, activation=None if pooled else self.activation, training=training)
            x = x[:, :, ::stride] if stride > 1 and not pooled else x
        return self.activation(average_pool(x, stride)) if pooled else x

    def compute_output_shape(self, input_shape):
        return (*strided_shape(input_shape, self.spec.stride)[:-1], self.spec.channels[-1])

    def get_config(self) -> dict:
        conventions = replace(self.backbone, stem=Stem(), stages=(Stage((self.spec,)),), neck=())  # only what a block reads
        config = {"inputs": self.inputs, "spec": to_dict(self.spec), "backbone": to_dict(conventions)}
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: dict):
        spec, backbone = from_dict(Block, config["spec"]), from_dict(Backbone, config["backbone"])
        return super().from_config({**config, "spec": spec, "backbone": backbone})


def average_pool(x, stride: int):
    """Average every `stride` x `stride` pixels; at the end of an odd side, those that exist."""
    return kernel_ops().average_pool(x, stride)
