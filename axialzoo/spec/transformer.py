"""Memory tokens beside the pixels, and the layers in which both read one another (MaX-DeepLab, arXiv:2012.00759)."""

from __future__ import annotations

from dataclasses import dataclass

from axialzoo.spec.check import require, require_count


@dataclass(frozen=True)
class Memory:
    """Learned tokens that travel beside the pixels, one for each mask that a model can predict.

    Attributes:
        tokens: Number of tokens.
        channels: Channels of each token.
    """

    tokens: int = 128
    channels: int = 256

    def __post_init__(self):
        require_count("Memory", "tokens", self.tokens)
        require_count("Memory", "channels", self.channels)


@dataclass(frozen=True)
class Transformer:
    """Widths of a transformer layer between pixels and tokens.

    After a block of a backbone it is a dual-path transformer (arXiv:2012.00759, figure 3): tokens attend to pixels and tokens, pixels
    attend to tokens. In a k-means decoder it is a k-means layer (arXiv:2207.04044, equation 5).

    Attributes:
        bottleneck_channels: Channels of pixels and tokens inside the layer.
        key_channels: Channels of queries and of keys, all heads together.
        value_channels: Channels of values, all heads together.
        heads: Attention heads.
        ffn_channels: Hidden channels of the feed-forward network of the tokens.
    """

    bottleneck_channels: int = 256
    key_channels: int = 128
    value_channels: int = 256
    heads: int = 8
    ffn_channels: int = 2048

    def __post_init__(self):
        for field in ("bottleneck_channels", "key_channels", "value_channels", "heads", "ffn_channels"):
            require_count("Transformer", field, getattr(self, field))
        for field in ("key_channels", "value_channels"):
            channels = getattr(self, field)
            require(channels % self.heads == 0, f"Transformer.{field}: expected a multiple of heads={self.heads}, found {channels}")

    @property
    def qkv_channels(self) -> int:
        """Channels of queries, keys and values together."""
        return 2 * self.key_channels + self.value_channels
