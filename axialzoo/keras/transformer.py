"""The dual-path transformer of MaX-DeepLab (arXiv:2012.00759, figure 3): pixels and tokens read one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import keras
from keras import ops

from axialzoo.keras.blocks import ACTIVATIONS, ConvNorm, ResidualBlock
from axialzoo.keras.tokens import Configured, DropResidual, FeedForward, TokenAttention, TokenNorm, split_qkv
from axialzoo.spec import Backbone, Block, Norm
from axialzoo.spec.transformer import Transformer


@keras.saving.register_keras_serializable(package="axialzoo")
class DualPathTransformer(Configured):
    """Tokens attend to pixels and tokens, and pixels to tokens; a feed-forward network follows on the tokens.

    Args:
        pixels: Channels of the pixels.
        channels: Channels of the tokens.
        spec: Widths.
        norm, activation: Of every layer inside.
        drop_path: Probability that a residual of a sample is dropped in training.

    Shapes:
        Pixels ``(N, H, W, pixels)``, not activated, and tokens ``(N, T, channels)`` to the same.
    """

    SPECS: ClassVar[dict[str, type]] = {"norm": Norm, "spec": Transformer}

    def __init__(self, pixels: int, channels: int, spec: Transformer, norm: Norm, activation: str, drop_path: float = 0.0, **kwargs):
        arguments = {"pixels": pixels, "channels": channels, "spec": spec, "norm": norm, "activation": activation}
        super().__init__({**arguments, "drop_path": drop_path}, **kwargs)
        width, values, dtype = spec.bottleneck_channels, spec.value_channels, {"dtype": self.dtype_policy}
        self.spec, self.pixels = spec, pixels
        self.memory_reduce = TokenNorm(channels, width, norm, name="memory_reduce", **dtype)
        self.pixel_reduce = ConvNorm(pixels, width, 1, norm, name="pixel_reduce", **dtype)
        self.memory_qkv = TokenNorm(width, spec.qkv_channels, norm, name="memory_qkv", **dtype)
        self.pixel_qkv = ConvNorm(width, spec.qkv_channels, 1, norm, name="pixel_qkv", **dtype)
        self.memory_attention = TokenAttention(spec.heads, values, norm, name="memory_attention", **dtype)
        self.pixel_attention = TokenAttention(spec.heads, values, norm, name="pixel_attention", **dtype)
        self.memory_expand = TokenNorm(values, channels, norm, zero=True, name="memory_expand", **dtype)
        self.ffn = FeedForward(channels, spec.ffn_channels, norm, name="ffn", **dtype)
        self.pixel_expand = ConvNorm(values, pixels, 1, norm, name="pixel_expand", **dtype)
        self.activation = ACTIVATIONS[activation]
        self.drop = DropResidual(drop_path, name="drop", **dtype)

    def build(self, input_shape=None):
        self.build_layers()
        self.pixel_expand.norm.gamma.assign(ops.zeros((self.pixels,)))

    def call(self, x, memory, training=None):
        spec, activation, train = self.spec, self.activation, {"training": training}
        _, height, width, _ = ops.shape(x)
        tokens = self.memory_reduce(memory, activation=activation, **train)  # (N, T, width)
        pixels = self.pixel_reduce(activation(x), activation=activation, **train)  # (N, H, W, width)
        mq, mk, mv = split_qkv(self.memory_qkv(tokens, **train), spec.key_channels, spec.heads)  # (N, G, T, D)
        pixels = self.pixel_qkv(pixels, **train)  # (N, H, W, 2K+V)
        pixels = ops.reshape(pixels, (-1, height * width, spec.qkv_channels))
        pq, pk, pv = split_qkv(pixels, spec.key_channels, spec.heads)  # (N, G, HW, D)
        keys, values = ops.concatenate([pk, mk], axis=2), ops.concatenate([pv, mv], axis=2)  # (N, G, HW + T, D)
        tokens = self.memory_attention(mq, keys, values, activation=activation, **train)  # (N, T, V)
        memory = activation(memory + self.drop(self.memory_expand(tokens, **train), **train))
        memory = activation(memory + self.drop(self.ffn(memory, activation=activation, **train), **train))  # (N, T, channels)
        pixels = self.pixel_attention(pq, mk, mv, activation=activation, **train)  # (N, HW, V)
        pixels = ops.reshape(pixels, (-1, height, width, spec.value_channels))
        return x + self.drop(self.pixel_expand(pixels, **train), **train), memory

    def compute_output_shape(self, x_shape, memory_shape):
        return x_shape, memory_shape


def run_blocks(blocks: Sequence[Block], x, memory, channels: int, backbone: Backbone, name: str, dtype):
    """Run `blocks` one after the other, each followed by its transformer, if any.

    Args:
        blocks: The first takes in `channels`.
        x: (N, H, W, C) pixels.
        memory: (N, T, C) tokens, or None without transformers.
        channels, backbone: Of the pixels, and its conventions.
        name: Of the stage.
        dtype: Policy of the layers.
    """
    for index, block in enumerate(blocks):
        x = ResidualBlock(channels, block, backbone, name=f"{name}.blocks.{index}", dtype=dtype)(x)
        channels = block.channels[-1]
        if block.transformer is not None and backbone.memory is not None:
            widths, make = (channels, backbone.memory.channels), {"name": f"{name}.transformers.{index}", "dtype": dtype}
            x, memory = DualPathTransformer(*widths, block.transformer, backbone.norm, backbone.activation, block.drop_path, **make)(
                x, memory
            )
    return x, memory
