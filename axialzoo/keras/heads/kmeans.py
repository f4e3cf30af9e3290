"""The k-means layer of kMaX-DeepLab (arXiv:2207.04044, equation 5): pixels are assigned to clusters, and centres become their sums."""

from __future__ import annotations

from typing import Any, ClassVar

import keras
from keras import ops

from axialzoo.keras.blocks import ACTIVATIONS, ConvNorm
from axialzoo.keras.heads.mask_predictor import MaskPredictor
from axialzoo.keras.norm import BatchNorm
from axialzoo.keras.tokens import Configured, DropResidual, FeedForward, TokenAttention, TokenNorm, split_qkv
from axialzoo.spec import Norm
from axialzoo.spec.heads.mask_parts import KMeansLayer as Spec


@keras.saving.register_keras_serializable(package="axialzoo")
class KMeansLayer(Configured):
    """Assigns each pixel to the slot with its largest mask logit, adds the sum of a slot's pixels to its centre, then self-attention.

    Args:
        pixels, channels: Channels of pixels and of cluster centres.
        spec: Widths and drop path.
        predictor: Channels before the last convolution and of the pixel features, and classes, of its predictor.
        norm, activation, kernel: Of the layers.

    Shapes:
        Pixels ``(N, H, W, pixels)``, not activated, and centres ``(N, T, channels)`` to new centres and the predictor's outputs.
    """

    SPECS: ClassVar[dict[str, type]] = {"norm": Norm, "spec": Spec}

    def __init__(
        self, pixels: int, channels: int, spec: Spec, predictor: tuple[int, int, int], norm: Norm, activation: str, kernel: int,
        output_dtype: Any = None, **kwargs,
    ):  # fmt: skip
        policy = keras.dtype_policies.get(output_dtype)
        arguments = {"pixels": pixels, "channels": channels, "spec": spec, "predictor": list(predictor), "norm": norm}
        arguments |= {"activation": activation, "kernel": kernel, "output_dtype": policy and policy.name}
        super().__init__(arguments, **kwargs)
        transformer, dtype = spec.transformer, {"dtype": self.dtype_policy}
        width, values = transformer.bottleneck_channels, transformer.value_channels
        self.transformer_spec = transformer
        self.memory_reduce = TokenNorm(channels, width, norm, name="memory_reduce", **dtype)
        self.pixel_reduce = ConvNorm(pixels, width, 1, norm, name="pixel_reduce", **dtype)
        self.pixel_value = ConvNorm(width, values, 1, norm, name="pixel_value", **dtype)
        self.kmeans_norm = BatchNorm(values, norm, name="kmeans_norm", **dtype)
        self.kmeans_expand = TokenNorm(values, channels, norm, zero=True, name="kmeans_expand", **dtype)
        self.memory_qkv = TokenNorm(width, transformer.qkv_channels, norm, name="memory_qkv", **dtype)
        self.memory_attention = TokenAttention(transformer.heads, values, norm, name="memory_attention", **dtype)
        self.memory_expand = TokenNorm(values, channels, norm, zero=True, name="memory_expand", **dtype)
        self.ffn = FeedForward(channels, transformer.ffn_channels, norm, name="ffn", **dtype)
        self.predictor = MaskPredictor(width, width, *predictor, norm, activation, kernel, policy, name="predictor", **dtype)
        self.activation = ACTIVATIONS[activation]
        self.drop = DropResidual(spec.drop_path, name="drop", **dtype)

    def build(self, input_shape=None):
        self.build_layers()

    def call(self, x, centers, training=None):
        activation, transformer, train = self.activation, self.transformer_spec, {"training": training}
        tokens = self.memory_reduce(centers, activation=activation, **train)  # (N, T, width)
        pixels = self.pixel_reduce(activation(x), activation=activation, **train)  # (N, H, W, width)
        predictions = self.predictor(pixels, tokens, tokens, **train)
        sums = cluster_sums(predictions["mask_logits"], self.pixel_value(pixels, **train))  # (N, T, V)
        update = self.kmeans_expand(self.kmeans_norm(sums, **train), **train)
        centers = centers + self.drop(update, **train)
        q, k, v = split_qkv(self.memory_qkv(tokens, **train), transformer.key_channels, transformer.heads)  # (N, G, T, D)
        update = self.memory_expand(self.memory_attention(q, k, v, activation=activation, **train), **train)
        centers = activation(centers + self.drop(update, **train))
        centers = activation(centers + self.drop(self.ffn(centers, activation=activation, **train), **train))  # (N, T, channels)
        return centers, predictions

    def compute_output_spec(self, x, centers, training=None):
        embedding = keras.KerasTensor((*centers.shape[:-1], self.transformer_spec.bottleneck_channels), dtype=self.compute_dtype)
        pixels = keras.KerasTensor((*x.shape[:-1], self.transformer_spec.bottleneck_channels), dtype=self.compute_dtype)
        return keras.KerasTensor(centers.shape, dtype=self.compute_dtype), self.predictor.compute_output_spec(pixels, embedding, embedding)


def cluster_sums(logits, values):
    """Sum the values of each slot's pixels, those where its logit is the largest: (N, H, W, T), (N, H, W, V) to (N, T, V)."""
    slots, channels = logits.shape[-1], values.shape[-1]
    owner = ops.argmax(ops.stop_gradient(logits), axis=-1)  # (N, H, W); of equal logits the first
    _, height, width = ops.shape(owner)
    assignment = ops.one_hot(ops.reshape(owner, (-1, height * width)), slots, dtype=values.dtype)  # (N, HW, T)
    return ops.swapaxes(assignment, 1, 2) @ ops.reshape(values, (-1, height * width, channels))
