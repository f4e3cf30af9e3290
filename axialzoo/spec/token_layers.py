"""Primitive layers of models with tokens beside the pixels: their tensors and their cost."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from axialzoo.spec.primitives import BatchNorm, Layer, LayerCost, Parameter, conv_norm, norm_tensors
from axialzoo.spec.transformer import Transformer


@dataclass(frozen=True)
class Tokens(Layer):
    """Learned tokens: one tensor (tokens, channels)."""

    op: ClassVar[str] = "tokens"
    tokens: int = 1

    def tensors(self) -> Iterator[Parameter]:
        yield Parameter(self.name, (self.tokens, self.outputs), "position")

    def cost(self, size: tuple[int, int]) -> LayerCost:
        return LayerCost(0, 0, 4 * self.tokens * self.outputs)


@dataclass(frozen=True)
class TokenLinear(Layer):
    """A linear layer on every token; without bias unless it says so."""

    op: ClassVar[str] = "token_linear"
    tokens: int = 1
    bias: bool = False

    def tensors(self) -> Iterator[Parameter]:
        yield Parameter(f"{self.name}.weight", (self.outputs, self.inputs), "linear")
        if self.bias:
            yield Parameter(f"{self.name}.bias", (self.outputs,), "bias")

    def cost(self, size: tuple[int, int]) -> LayerCost:
        return LayerCost(self.tokens * self.inputs * self.outputs, 0, 4 * self.tokens * self.outputs)


@dataclass(frozen=True)
class LayerNorm(Layer):
    """Layer normalisation over channels, with scale and shift."""

    op: ClassVar[str] = "layer_norm"

    def tensors(self) -> Iterator[Parameter]:
        yield Parameter(f"{self.name}.weight", (self.outputs,), "norm_scale")
        yield Parameter(f"{self.name}.bias", (self.outputs,), "norm_shift")


@dataclass(frozen=True)
class TokenAttention(Layer):
    """Attention whose similarities are normalised per head and whose results per channel.

    Attributes:
        heads: Attention heads.
        key_channels: Channels of queries and keys.
        tokens: Number of tokens.
        pairs: Which pairs attend: ``"token_all"`` (tokens to pixels and tokens), ``"pixel_token"`` or ``"token_token"``.
    """

    op: ClassVar[str] = "token_attention"
    heads: int = 8
    key_channels: int = 128
    tokens: int = 1
    pairs: str = "token_token"

    def tensors(self) -> Iterator[Parameter]:
        yield from norm_tensors(f"{self.name}.norm_similarity", self.heads)
        yield from norm_tensors(f"{self.name}.norm_output", self.outputs)  # head by head

    def cost(self, size: tuple[int, int]) -> LayerCost:
        pixels = math.prod(-(-side // step) for side, step in zip(size, self.stride or (1, 1)))
        keys = {"token_all": pixels + self.tokens, "pixel_token": self.tokens, "token_token": self.tokens}[self.pairs]
        queries = pixels if self.pairs == "pixel_token" else self.tokens
        attention_macs = queries * keys * (self.key_channels + self.outputs)
        return LayerCost(attention_macs, attention_macs, 4 * queries * (keys * self.heads + self.outputs))


@dataclass(frozen=True)
class MaskProduct(Layer):
    """Products of every pixel with every token: mask logits, or a k-means update."""

    op: ClassVar[str] = "mask_product"

    def tensors(self) -> Iterator[Parameter]:
        yield from ()

    def macs_per_position(self) -> int:
        return self.inputs * self.outputs


def token_norm(name: str, inputs: int, outputs: int, tokens: int) -> Iterator[Layer]:
    """Yield a linear layer on tokens and its batch norm, ``NAME.linear`` and ``NAME.norm``."""
    yield TokenLinear(f"{name}.linear", inputs, outputs, None, (), tokens)
    yield BatchNorm(f"{name}.norm", outputs, outputs, None)


def dual_path_layers(name: str, spec: Transformer, pixels: int, channels: int, tokens: int, stride: int) -> Iterator[Layer]:
    """Yield the layers of a dual-path transformer between maps of `pixels` channels at `stride` and `tokens` of `channels`."""
    at, width = (stride, stride), spec.bottleneck_channels
    yield from token_norm(f"{name}.memory_reduce", channels, width, tokens)
    yield from conv_norm(f"{name}.pixel_reduce", pixels, width, 1, stride)
    yield from token_norm(f"{name}.memory_qkv", width, spec.qkv_channels, tokens)
    yield from conv_norm(f"{name}.pixel_qkv", width, spec.qkv_channels, 1, stride)
    attention = (spec.heads, spec.key_channels, tokens)
    yield TokenAttention(f"{name}.memory_attention", spec.value_channels, spec.value_channels, at, (), *attention, "token_all")
    yield TokenAttention(f"{name}.pixel_attention", spec.value_channels, spec.value_channels, at, (), *attention, "pixel_token")
    yield from token_norm(f"{name}.memory_expand", spec.value_channels, channels, tokens)
    yield from _feed_forward(name, spec, channels, tokens)
    yield from conv_norm(f"{name}.pixel_expand", spec.value_channels, pixels, 1, stride)


def kmeans_layers(name: str, spec: Transformer, pixels: int, channels: int, tokens: int, stride: int) -> Iterator[Layer]:
    """Yield the layers of a k-means layer, without its predictor."""
    width, attention = spec.bottleneck_channels, (spec.heads, spec.key_channels, tokens)
    yield from token_norm(f"{name}.memory_reduce", channels, width, tokens)
    yield from conv_norm(f"{name}.pixel_reduce", pixels, width, 1, stride)
    yield from conv_norm(f"{name}.pixel_value", width, spec.value_channels, 1, stride)
    yield MaskProduct(f"{name}.kmeans_update", spec.value_channels, tokens, (stride, stride))
    yield BatchNorm(f"{name}.kmeans_norm", spec.value_channels, spec.value_channels, None)
    yield from token_norm(f"{name}.kmeans_expand", spec.value_channels, channels, tokens)
    yield from token_norm(f"{name}.memory_qkv", width, spec.qkv_channels, tokens)
    yield TokenAttention(f"{name}.memory_attention", spec.value_channels, spec.value_channels, None, (), *attention)
    yield from token_norm(f"{name}.memory_expand", spec.value_channels, channels, tokens)
    yield from _feed_forward(name, spec, channels, tokens)


def _feed_forward(name: str, spec: Transformer, channels: int, tokens: int) -> Iterator[Layer]:
    yield from token_norm(f"{name}.ffn.expand", channels, spec.ffn_channels, tokens)
    yield from token_norm(f"{name}.ffn.reduce", spec.ffn_channels, channels, tokens)
