"""The k-means layer of kMaX-DeepLab (arXiv:2207.04044, equation 5): pixels are assigned to clusters, and centres become their sums."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from axialzoo.spec import Norm
from axialzoo.spec.heads.mask_parts import KMeansLayer as Spec
from axialzoo.torch.blocks import ACTIVATIONS, ConvNorm
from axialzoo.torch.heads.mask_predictor import MaskPredictor
from axialzoo.torch.norm import BatchNorm
from axialzoo.torch.tokens import DropResidual, FeedForward, TokenAttention, TokenNorm, split_qkv


class KMeansLayer(nn.Module):
    """Assigns each pixel to the slot with its largest mask logit, adds the sum of a slot's pixels to its centre, then self-attention.

    Args:
        pixels, channels: Channels of pixels and of cluster centres.
        spec: Widths and drop path.
        predictor: Channels before the last convolution and of the pixel features, and classes, of its predictor.
        norm, activation, kernel: Of the layers.

    Shapes:
        Pixels ``(N, pixels, H, W)``, not activated, and centres ``(N, T, channels)`` to new centres and the predictor's outputs.
    """

    def __init__(self, pixels: int, channels: int, spec: Spec, predictor: tuple[int, int, int], norm: Norm, activation: str, kernel: int):
        super().__init__()
        transformer = spec.transformer
        width, values = transformer.bottleneck_channels, transformer.value_channels
        self.transformer_spec = transformer
        self.memory_reduce = TokenNorm(channels, width, norm)
        self.pixel_reduce = ConvNorm(pixels, width, 1, norm)
        self.pixel_value = ConvNorm(width, values, 1, norm)
        self.kmeans_norm = BatchNorm(values, norm)
        self.kmeans_expand = TokenNorm(values, channels, norm, zero=True)
        self.memory_qkv = TokenNorm(width, transformer.qkv_channels, norm)
        self.memory_attention = TokenAttention(transformer.heads, values, norm)
        self.memory_expand = TokenNorm(values, channels, norm, zero=True)
        self.ffn = FeedForward(channels, transformer.ffn_channels, norm)
        self.predictor = MaskPredictor(width, width, *predictor, norm, activation, kernel)
        self.activation = ACTIVATIONS[activation]
        self.drop = DropResidual(spec.drop_path)

    def forward(self, x: Tensor, centers: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        activation, transformer = self.activation, self.transformer_spec
        tokens = self.memory_reduce(centers, activation)  # (N, T, width)
        pixels = self.pixel_reduce(activation(x), None, activation)  # (N, width, H, W)
        predictions = self.predictor(pixels, tokens, tokens)
        sums = cluster_sums(predictions["mask_logits"], self.pixel_value(pixels))  # (N, T, V)
        update = self.kmeans_expand(self.kmeans_norm(sums.mT).mT)
        centers = centers + self.drop(update, 0, self.training)
        q, k, v = split_qkv(self.memory_qkv(tokens), transformer.key_channels, transformer.heads)  # (N, G, T, D)
        update = self.memory_expand(self.memory_attention(q, k, v, activation))
        centers = activation(centers + self.drop(update, 1, self.training))
        centers = activation(centers + self.drop(self.ffn(centers, activation), 2, self.training))  # (N, T, channels)
        return centers, predictions


def cluster_sums(logits: Tensor, values: Tensor) -> Tensor:
    """Sum the values of each slot's pixels, those where its logit is the largest: (N, T, H, W), (N, V, H, W) to (N, T, V)."""
    owner = logits.detach().argmax(1).flatten(1)  # (N, HW); of equal logits the first
    assignment = F.one_hot(owner, logits.shape[1]).to(values.dtype)  # (N, HW, T)
    return torch.einsum("nlt,nvl->ntv", assignment, values.flatten(2))
