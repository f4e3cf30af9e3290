"""Operations of layers with tokens beside the pixels. Tokens are maps of one line: (N, 1, T, C)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from axialzoo.native.attention2d import attend
from axialzoo.native.attention_arrays import Attention2DArrays, AxisPairs
from axialzoo.native.builder import Builder
from axialzoo.native.program import Matrix, Step, View
from axialzoo.ops.folding import norm_factors
from axialzoo.spec.transformer import Transformer

EVERYWHERE = AxisPairs(2**30)


def learned_tokens(build: Builder, name: str) -> View:
    """Return learned tokens, the same for each image."""
    tokens = np.asarray(build.weights.tensors[name])
    return build.constant(tokens, (build.image.shape[0], 1, *tokens.shape), (0, 0, tokens.shape[1]))


def token_norm(
    build: Builder, name: str, x: View, *, residual: View | None = None, activation: str = "none", out: View | None = None
) -> View:
    """Append a linear layer on each token and its norm, ``NAME.linear`` and ``NAME.norm``."""
    matrix = build.weights.conv(f"{name}.linear", f"{name}.norm", False)
    return build.convolution(name, x, matrix, residual=residual, activation=activation, out=out)


def feed_forward(build: Builder, name: str, x: View, activation: str) -> View:
    """Append a feed-forward network, and return its activated sum with x."""
    hidden = token_norm(build, f"{name}.expand", x, activation=activation)
    return token_norm(build, f"{name}.reduce", hidden, residual=x, activation=activation)


def token_attention(build: Builder, name: str, spec: Transformer, queries: View, others: View, activation: str) -> View:
    """Append the attention of all queries, (N, H, W, 2 K + V), to all keys and values of the same channels."""

    def fold() -> Attention2DArrays:
        (logits, _), (scale, shift) = (
            norm_factors(build.weights.tensors, f"{name}.{norm}.", build.weights.epsilon) for norm in ("norm_similarity", "norm_output")
        )
        scales = np.zeros((3, spec.heads), np.float32)
        scales[0] = logits
        return Attention2DArrays(
            spec.heads, spec.key_channels // spec.heads, (EVERYWHERE, EVERYWHERE), scales, True, True, scale.astype(np.float32), None,
            shift.astype(np.float32),
        )  # fmt: skip

    keys, arrays = spec.key_channels, build.weights.once(f"{name}|arrays", fold)
    return attend(build, name, queries.part(0, keys), others.part(keys, others.channels - keys), arrays, activation)


def plan_dual_path(build: Builder, name: str, spec: Transformer, activation: str, x: View, memory: View) -> tuple[View, View]:
    """Append a dual-path transformer: pixels, not activated, and tokens to the same."""
    (batch, _, count, _), (height, width), channels = memory.shape, x.size, spec.qkv_channels
    joined = build.new(batch, (1, height * width + count), channels)
    pixels = replace(joined, shape=(batch, height, width, channels), strides=(joined.strides[0], width * channels, channels))
    tokens = replace(joined, shape=(batch, 1, count, channels), offset=height * width * channels)
    reduced = token_norm(build, f"{name}.memory_reduce", memory, activation=activation)
    token_norm(build, f"{name}.memory_qkv", reduced, out=tokens)
    reduced = build.conv_norm(f"{name}.pixel_reduce", build.activate(x, activation), activation=activation)
    build.conv_norm(f"{name}.pixel_qkv", reduced, out=pixels)
    attended = token_attention(build, f"{name}.memory_attention", spec, tokens, joined, activation)
    memory = token_norm(build, f"{name}.memory_expand", attended, residual=memory, activation=activation)
    memory = feed_forward(build, f"{name}.ffn", memory, activation)
    attended = token_attention(build, f"{name}.pixel_attention", spec, pixels, tokens, activation)
    return build.conv_norm(f"{name}.pixel_expand", attended, residual=x), memory


def cluster_sums(build: Builder, name: str, logits: View, values: View) -> View:
    """Append the sums of the values of each token's pixels, those where its logit is the largest: (N, 1, T, V)."""
    y = build.new(logits.shape[0], (1, logits.channels), values.channels)
    return build.append(Step("cluster_sums", name, logits, y, factor=values))


def normalised_before(build: Builder, name: str, norm: str) -> Matrix:
    """Return the weight of a linear layer with the norm `norm` before it and its own after it."""

    def fold() -> Matrix:
        matrix = build.weights.conv(f"{name}.linear", f"{name}.norm", False)
        factor, offset = norm_factors(build.weights.tensors, f"{norm}.", build.weights.epsilon)
        weight = matrix.weight.astype(np.float64)
        return Matrix.of(weight * factor[:, None], matrix.bias + offset @ weight[0])

    return build.weights.once(f"{name}|{norm}|before", fold)
