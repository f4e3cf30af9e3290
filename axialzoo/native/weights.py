"""Folded weights of a checkpoint, computed once for all sizes: norms folded in float64, then float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from axialzoo.native.attention_arrays import AttentionArrays
from axialzoo.native.program import Matrix
from axialzoo.ops.folding import FoldedAttention, fold_attention, head_fastest, norm_factors
from axialzoo.spec import Attention

T = TypeVar("T")
Tensors = Mapping[str, np.ndarray]


class Weights:
    """Canonical tensors and what has been folded of them.

    Args:
        tensors: By canonical name.
        epsilon: Of every norm.
    """

    def __init__(self, tensors: Tensors, epsilon: float):
        self.tensors, self.epsilon = tensors, epsilon
        self._folded: dict[str, Any] = {}

    def once(self, key: str, fold: Callable[[], T]) -> T:
        """Return what `fold` returned at the first call for `key`."""
        if key not in self._folded:
            self._folded[key] = fold()
        return self._folded[key]

    def conv(self, name: str, norm: str | None, bias: bool, order: np.ndarray | None = None, scale: str | None = None) -> Matrix:
        """Return a convolution, (taps, inputs, outputs), or a depthwise one, (taps, channels).

        Args:
            name: Name of the layer, as ``"stem.0.conv"``.
            norm: Name of the norm that follows, or None.
            bias: Whether the layer has a bias.
            order: Input channel of the layer at each channel of the map, if the map has them in another order.
            scale: Name of a learned factor of the result, or None.
        """

        def fold() -> Matrix:
            weight = np.asarray(self.tensors[f"{name}.weight"], np.float64)
            weight = weight[:, :, None, None] if weight.ndim == 2 else weight  # (O, I, h, w)
            shift = np.asarray(self.tensors[f"{name}.bias"], np.float64) if bias else np.zeros(len(weight))
            if norm is not None:
                factor, offset = norm_factors(self.tensors, f"{norm}.", self.epsilon)
                weight, shift = weight * factor[:, None, None, None], shift * factor + offset
            if scale is not None:
                factor = float(np.asarray(self.tensors[scale], np.float64)[0])
                weight, shift = weight * factor, shift * factor
            weight = weight if order is None else weight[:, order]
            taps = weight.transpose(2, 3, 1, 0).reshape(-1, weight.shape[1], len(weight))
            return Matrix.of(taps, shift)

        return self.once(f"{name}|{norm}|{scale}|{order is not None}", fold)

    def depthwise(self, name: str, norm: str, first: int, channels: int) -> Matrix:
        """Return a depthwise convolution and its norm, (taps, channels), of `channels` channels from `first` on."""
        matrix, end = self.conv(name, norm, False), first + channels
        return self.once(f"{name}|{first}", lambda: Matrix.of(matrix.weight[:, 0, first:end], matrix.bias[first:end]))

    def attention(self, name: str, spec: Attention, axis: int, length: int, order: np.ndarray | None) -> tuple[Matrix, AttentionArrays]:
        """Return the projection of an axial attention layer, and its arrays for an axis of `length` positions."""
        folded = self.fold_attention_once(name, spec)

        def project() -> Matrix:
            weight = folded.weight if order is None else folded.weight[:, order]
            return Matrix.of(weight.T[None], folded.bias)

        tables = folded.tables
        reach = spec.reach(length)
        resolved = []
        for table in tables:
            if table is not None and spec.beyond_tables == "interpolate" and length > (len(table) + 1) // 2:
                table = interpolate(table, 2 * length - 1)
            resolved.append(None if table is None else np.ascontiguousarray(table, np.float32))
        arrays = AttentionArrays(
            axis, spec.heads, spec.key_depth, reach, (resolved[0], resolved[1], resolved[2]), folded.scales.astype(np.float32),
            "content" in spec.similarity, "content" in spec.value,
            None if folded.position_scale is None else folded.position_scale.astype(np.float32), folded.shift.astype(np.float32), True,
        )  # fmt: skip
        return self.once(f"{name}|projection|{order is not None}", project), arrays

    def fold_attention_once(self, name: str, spec: Attention) -> FoldedAttention:
        """Return the folded arrays of an attention layer, for maps of any size."""
        return self.once(f"{name}|attention", lambda: self.fold_attention(name, spec))

    def fold_attention(self, name: str, spec: Attention) -> FoldedAttention:
        """Fold the norms and gates of an attention layer."""
        return fold_attention(self.tensors, f"{name}.", spec, self.epsilon)

    def positions(self, name: str, spec: Attention, length: int, channels: int) -> np.ndarray:
        """Return the vectors of absolute positions or sines along an axis, (length, channels)."""
        if spec.encoding == "sinusoidal":
            return sinusoids(length, channels).astype(np.float32)
        table = np.asarray(self.tensors[name], np.float64)
        return (table[:length] if length <= len(table) else interpolate(table, length)).astype(np.float32)


def interpolate(table: np.ndarray, rows: int) -> np.ndarray:
    """Interpolate a table linearly to another number of rows, with the end rows aligned: (R, D) to (rows, D)."""
    place = np.arange(rows) * ((len(table) - 1) / max(rows - 1, 1))
    low = np.minimum(place.astype(np.int64), len(table) - 1)
    high, share = np.minimum(low + 1, len(table) - 1), (place - low)[:, None]
    return table[low] * (1 - share) + table[high] * share


def sinusoids(length: int, channels: int) -> np.ndarray:
    """Return sines in the first half of the channels, cosines in the second, of wavelengths up to 20,000 pi: (length, channels)."""
    half = -(-channels // 2)
    rate = np.exp(np.arange(half) * (-np.log(10000.0) / half))
    angle = np.arange(length)[:, None] * rate
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)[:, :channels]


__all__ = ["Weights", "head_fastest", "interpolate", "sinusoids"]
