"""Layers of models with tokens beside the pixels: learned tokens, projections with a norm, attention with norms for scales."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from axialzoo.spec import Norm
from axialzoo.torch.drop_path import drop_path
from axialzoo.torch.norm import Activation, BatchNorm


class Tokens(nn.Module):
    """Learned tokens, the same for each image at the start: (tokens, C)."""

    def __init__(self, tokens: int, channels: int):
        super().__init__()
        self.tokens = nn.Parameter(nn.init.trunc_normal_(torch.empty(tokens, channels), std=1.0))

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens for each image of `x`: (N, tokens, C)."""
        return self.tokens.expand(x.shape[0], -1, -1)


class TokenNorm(nn.Module):
    """A linear layer without bias on each token, and its batch norm.

    Args:
        inputs, outputs: Channels.
        norm: Epsilon and momentum.
        zero: Whether the norm's scale starts at 0, as at the end of a residual branch.

    Shapes:
        ``(N, T, inputs)`` to ``(N, T, outputs)``.
    """

    def __init__(self, inputs: int, outputs: int, norm: Norm, zero: bool = False):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.norm = BatchNorm(outputs, norm)
        nn.init.normal_(self.linear.weight, std=inputs**-0.5)
        if zero:
            nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor, activation: Activation | None = None) -> Tensor:
        """Return ``activation(norm(linear(x)))``."""
        x = self.linear(x).transpose(1, 2)  # (N, outputs, T)
        return self.norm(x, None, activation).transpose(1, 2)


class TokenAttention(nn.Module):
    """Attention whose logits are normalised per head, instead of scaled, and whose results per channel.

    Args:
        heads: Attention heads.
        channels: Channels of the values, all heads together.
        norm: Epsilon and momentum.

    Shapes:
        Queries ``(N, G, L, Dk)``, keys ``(N, G, S, Dk)`` and values ``(N, G, S, Dv)`` to ``(N, L, G Dv)``, activated.
    """

    def __init__(self, heads: int, channels: int, norm: Norm):
        super().__init__()
        self.norm_similarity = BatchNorm(heads, norm)
        self.norm_output = BatchNorm(channels, norm)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, activation: Activation) -> Tensor:
        if self.training:
            x = self.norm_similarity(q @ k.mT).softmax(-1) @ v  # (N, G, L, Dv)
        else:  # the shift is the same for all keys of a query and cancels
            scale = self.norm_similarity.scale_and_shift()[0].to(q.dtype)[:, None, None]  # (G, 1, 1)
            x = F.scaled_dot_product_attention(q * scale, k, v, scale=1.0)  # (N, G, L, Dv)
        x = x.transpose(2, 3).flatten(1, 2)  # (N, G Dv, L)
        return self.norm_output(x, None, activation).transpose(1, 2)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Split channels into heads: (N, L, G D) to (N, G, L, D)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def split_qkv(x: Tensor, keys: int, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Split (N, L, 2 K + V) into queries, keys and values, head by head: (N, G, L, D) each."""
    q, k, v = x.split((keys, keys, x.shape[-1] - 2 * keys), -1)
    return split_heads(q, heads), split_heads(k, heads), split_heads(v, heads)


class FeedForward(nn.Module):
    """Two linear layers with norms, the first one activated: ``(N, T, channels)`` to the same."""

    def __init__(self, channels: int, hidden: int, norm: Norm):
        super().__init__()
        self.expand = TokenNorm(channels, hidden, norm)
        self.reduce = TokenNorm(hidden, channels, norm, zero=True)

    def forward(self, x: Tensor, activation: Activation) -> Tensor:
        return self.reduce(self.expand(x, activation))


class DropResidual:
    """Drops residual branches of whole samples in training, each branch by a draw of its own.

    Args:
        rate: Probability that a branch of a sample is dropped.
        number: Number of the layer among those of its network.
    """

    def __init__(self, rate: float, number: int = 0):
        self.rate, self.number = rate, number

    def __call__(self, x: Tensor, branch: int, training: bool) -> Tensor:
        return drop_path(x, self.rate, -1 - 4 * self.number - branch) if self.rate and training else x
