"""The dual-path transformer of MaX-DeepLab (arXiv:2012.00759, figure 3): pixels and tokens read one another."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from axialzoo.spec import Backbone, Block, Norm
from axialzoo.spec.transformer import Transformer
from axialzoo.torch.blocks import ACTIVATIONS, ConvNorm
from axialzoo.torch.norm import checkpoint_block
from axialzoo.torch.tokens import DropResidual, FeedForward, TokenAttention, TokenNorm, split_qkv


class DualPathTransformer(nn.Module):
    """Tokens attend to pixels and tokens, and pixels to tokens; a feed-forward network follows on the tokens.

    Args:
        pixels: Channels of the pixels.
        channels: Channels of the tokens.
        spec: Widths.
        norm, activation: Of every layer inside.
        drop_path: Probability that a residual of a sample is dropped in training.

    Shapes:
        Pixels ``(N, pixels, H, W)``, not activated, and tokens ``(N, T, channels)`` to the same.
    """

    def __init__(self, pixels: int, channels: int, spec: Transformer, norm: Norm, activation: str, drop_path: float = 0.0):
        super().__init__()
        width, values = spec.bottleneck_channels, spec.value_channels
        self.spec = spec
        self.memory_reduce = TokenNorm(channels, width, norm)
        self.pixel_reduce = ConvNorm(pixels, width, 1, norm)
        self.memory_qkv = TokenNorm(width, spec.qkv_channels, norm)
        self.pixel_qkv = ConvNorm(width, spec.qkv_channels, 1, norm)
        self.memory_attention = TokenAttention(spec.heads, values, norm)
        self.pixel_attention = TokenAttention(spec.heads, values, norm)
        self.memory_expand = TokenNorm(values, channels, norm, zero=True)
        self.ffn = FeedForward(channels, spec.ffn_channels, norm)
        self.pixel_expand = ConvNorm(values, pixels, 1, norm)
        self.activation = ACTIVATIONS[activation]
        self.drop = DropResidual(drop_path)
        nn.init.zeros_(self.pixel_expand.norm.weight)

    def forward(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        spec, activation, size = self.spec, self.activation, x.shape[2:]
        tokens = self.memory_reduce(memory, activation)  # (N, T, width)
        pixels = self.pixel_reduce(activation(x), None, activation)  # (N, width, H, W)
        mq, mk, mv = split_qkv(self.memory_qkv(tokens), spec.key_channels, spec.heads)  # (N, G, T, D)
        pq, pk, pv = split_qkv(self.pixel_qkv(pixels).flatten(2).mT, spec.key_channels, spec.heads)  # (N, G, HW, D)
        tokens = self.memory_attention(mq, torch.cat([pk, mk], 2), torch.cat([pv, mv], 2), activation)  # (N, T, V)
        memory = activation(memory + self.drop(self.memory_expand(tokens), 0, self.training))
        memory = activation(memory + self.drop(self.ffn(memory, activation), 1, self.training))  # (N, T, channels)
        pixels = self.pixel_attention(pq, mk, mv, activation).mT.unflatten(2, size)  # (N, V, H, W)
        return x + self.drop(self.pixel_expand(pixels), 2, self.training), memory


def transformers_of(blocks: Sequence[Block], backbone: Backbone) -> nn.ModuleDict:
    """Return the transformers after `blocks`, by the number of the block that they follow."""
    modules, memory = nn.ModuleDict(), backbone.memory
    for number, block in enumerate(blocks):
        if block.transformer is not None and memory is not None:
            widths = (block.channels[-1], memory.channels)
            modules[str(number)] = DualPathTransformer(*widths, block.transformer, backbone.norm, backbone.activation, block.drop_path)
    return modules


def run_blocks(
    blocks: nn.ModuleList, transformers: nn.ModuleDict, x: Tensor, memory: Tensor | None, checkpointing: bool
) -> tuple[Tensor, Tensor | None]:
    """Run `blocks` one after the other, each followed by its transformer, if any; recompute them in the backward pass if `checkpointing`.

    Args:
        blocks: Of pixels to pixels.
        transformers: By the number of the block that they follow; of pixels and tokens to both.
        x: (N, C, H, W) pixels.
        memory: (N, T, C) tokens, or None without transformers.
        checkpointing: Whether activations are recomputed instead of kept.
    """
    for number, block in enumerate(blocks):
        x = checkpoint_block(block, x) if checkpointing else block(x)
        if str(number) in transformers:
            transformer = transformers[str(number)]
            x, memory = checkpoint_block(transformer, x, memory) if checkpointing else transformer(x, memory)
    return x, memory
