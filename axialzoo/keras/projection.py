"""Base class of every kind of attention: the projection to queries, keys and values, position tables, gates and norms."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from keras import ops

from axialzoo.keras.layer import Layer
from axialzoo.keras.linear import Linear, NumpyNormal
from axialzoo.keras.norm import BatchNorm, scale_from_batch_stats
from axialzoo.keras.sublayers import calls_sublayers
from axialzoo.ops.keras.tables import arange, interpolate
from axialzoo.spec import Attention, Norm, from_dict, to_dict


class PositionAttention(Layer):
    """Parameters of an attention layer, and its computations before and after attending.

    Args:
        inputs: Channels ``C`` of the input.
        spec: Its architecture.
        norm: Epsilon and momentum of its norms.
    """

    sublayers: ClassVar = {"qkv": Linear, "norm_qkv": BatchNorm, "norm_similarity": BatchNorm, "norm_output": BatchNorm}

    def __init__(self, inputs: int, spec: Attention, norm: Norm, **kwargs):
        super().__init__(**kwargs)
        self.inputs, self.spec, self.norm = inputs, spec, norm
        dtype = self.dtype_policy
        width = 2 * spec.key_channels + spec.value_channels
        initializer = NumpyNormal(inputs**-0.5)
        self.qkv = Linear(width, use_bias=False, kernel_initializer=initializer, name="qkv", dtype=dtype)
        self.norm_qkv = BatchNorm(width, norm, name="norm_qkv", dtype=dtype)
        self.norm_similarity = BatchNorm(len(spec.similarity) * spec.heads, norm, name="norm_similarity", dtype=dtype)
        self.norm_output = BatchNorm(len(spec.value) * spec.value_channels, norm, name="norm_output", dtype=dtype)

    def build(self, input_shape=None):
        self.qkv.build((None, None, None, self.inputs))
        self.norm_qkv.build()
        initializer = NumpyNormal(table_scale(self.spec))
        self.tables = {
            name: self.add_weight(name=name, shape=shape, initializer=initializer) for name, shape in self.spec.tables(self.inputs).items()
        }
        self.gates, self.train_gates = None, True
        if self.spec.gated:
            self.gates = self.add_weight(name="gates", shape=(len(self.spec.gates),), initializer="zeros")
            self.gates.assign([1.0 if name == "value" else 0.1 for name in self.spec.gates])
        self.norm_similarity.build()
        self.norm_output.build()

    def calls_sublayers(self) -> bool:
        """Return True where the projection and the norms have to be called, as they are not exactly what a kernel computes."""
        return calls_sublayers(self, self.sublayers)

    def project(self, x, training):
        """Project to normalised queries, keys and values: (N, H, W, C) to (N, H, W, 2K+V)."""
        return self.norm_qkv(self.qkv(x), training=training)

    def parts_of(self, x) -> tuple:
        """Slice (..., 2K+V) into queries, keys and values; `ops.split` on PyTorch reads its indices as data, which breaks exports."""
        ends = self.spec.key_channels, 2 * self.spec.key_channels
        return x[..., : ends[0]], x[..., ends[0] : ends[1]], x[..., ends[1] :]

    def sum_terms(self, terms: list, training):
        """Normalise retrieved contents and positions, (N, H, W, V) each, and sum them: (N, H, W, V)."""
        if getattr(self.norm_output, "folded", False):
            return self._sum_folded(terms)
        x = self.norm_output(ops.concatenate(terms, axis=-1), training=training)  # (N, H, W, terms V)
        return sum(ops.split(x, len(terms), axis=-1)) if len(terms) > 1 else x

    def fold(self) -> None:
        """Fold the norms into the projection, for inference; only retrieved positions keep a factor."""
        spec = self.spec
        kernel = np.array(ops.convert_to_numpy(self.qkv.kernel), np.float64) * self.norm_qkv.folded_factor()  # (C, 2K+V)
        offset = np.array(ops.convert_to_numpy(self.norm_qkv.beta), np.float64)
        factor = self.norm_output.folded_factor().reshape(len(spec.value), -1)  # (terms, V)
        if "content" in spec.value:  # rows of a softmax add up to 1: values may be multiplied before they are retrieved
            values, index = slice(2 * spec.key_channels, None), spec.value.index("content")
            kernel[:, values] *= factor[index]
            offset[values] *= factor[index]
            factor[index] = 1.0
        self.qkv.kernel.assign(kernel)
        self.norm_qkv.beta.assign(offset)
        self.norm_output.gamma.assign(factor.reshape(-1))

    def _sum_folded(self, terms: list):
        """Sum the terms after `fold`: only positions still have a factor."""
        variables = (self.norm_output.gamma, self.norm_output.beta)
        factor, shift = (ops.reshape(ops.cast(variable, terms[0].dtype), (len(terms), -1)) for variable in variables)  # (terms, V)
        x = ops.sum(shift, 0)  # (V,)
        for index, (name, term) in enumerate(zip(self.spec.value, terms)):
            x = x + (term if name == "content" else term * factor[index])  # (N, H, W, V)
        return x

    def scale_from_moments(self, mean, variance, n):
        """Return the factor of each term of the logits in training, (terms, G), from its moments, (terms, G) of `n` values each."""
        scale = scale_from_batch_stats(self.norm_similarity, ops.reshape(mean, (-1,)), ops.reshape(variance, (-1,)), n)
        return ops.reshape(scale, (-1, self.spec.heads))

    def scale_in_evaluation(self):
        """Return the factor of each term of the logits in evaluation, (terms, G), from the moving statistics.

        The shift is the same along a softmax row and cancels.
        """
        return ops.reshape(self.norm_similarity.scale(), (-1, self.spec.heads))

    def position_table(self, name: str) -> Any:
        """Return the position table `name` as it is stored; None where the spec has none."""
        return ops.convert_to_tensor(self.tables[name]) if name in self.tables else None

    def apply_gate(self, name: str, x):
        """Multiply a position table or the values by its gate, where there is one (arXiv:2102.10662, equation 3)."""
        if x is None or name not in self.spec.gates:
            return x
        gates: Any = ops.convert_to_tensor(self.gates)
        gates = gates if self.train_gates else ops.stop_gradient(gates) + 0 * gates  # gradients of 0, since Keras warns of missing ones
        return x * ops.cast(gates[self.spec.gates.index(name)], x.dtype)

    def gated_values(self, x):
        """Multiply the values in (..., 2K+V), queries, keys and values, by their gate, where they have one."""
        if "value" not in self.spec.gates:
            return x
        q, k, v = self.parts_of(x)
        return ops.concatenate([q, k, self.apply_gate("value", v)], axis=-1)

    def position_encoding_1d(self, name: str, length, channels: int):
        """Return the vectors of absolute positions or sines along an axis: (L, channels).

        Args:
            name: Name of the learned table; sines have none.
            length: Length of the axis; a learned table that is shorter is interpolated.
            channels: Channels of the input, or the share of them of this axis.
        """
        if self.spec.encoding == "sinusoidal":
            return ops.cast(sinusoids(length, channels), self.compute_dtype)
        table = self.position_table(name)  # (P, C)
        if isinstance(length, int) and length <= self.spec.max_length:
            return table[:length]
        rows = length if isinstance(length, int) else ops.maximum(length, self.spec.max_length)
        return interpolate(table, rows)[:length]

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.spec.value_channels)

    def get_config(self) -> dict:
        return {**super().get_config(), "inputs": self.inputs, "spec": to_dict(self.spec), "norm": to_dict(self.norm)}

    @classmethod
    def from_config(cls, config: dict):
        return super().from_config({**config, "spec": from_dict(Attention, config["spec"]), "norm": from_dict(Norm, config["norm"])})


def norm_logits(norm: Any, terms: list, visible, training):
    """Call the norm of the logits on their terms, and sum them.

    Args:
        norm: Norm of the logits, called with (B', T, S, terms G) or, in windows, with the visible pairs, (B, pairs, terms G).
        terms: Each (B', G, T, S), in the order of the spec.
        visible: Mask of the keys that a query sees, bool, (windows, T, S), in numpy or a tensor; None for all.
        training: Whether the norm takes the batch's moments.

    Returns:
        (B', G, T, S).
    """
    _, groups, queries, keys = ops.shape(terms[0])
    x = ops.transpose(ops.stack(terms), (1, 3, 4, 0, 2))  # (B', T, S, terms, G)
    if visible is None:
        x = norm(ops.reshape(x, (-1, queries, keys, len(terms) * groups)), training=training)  # (B', T, S, terms G)
    else:
        pairs, place = _pair_numbers(visible)  # (pairs,), (windows T S,)
        x = ops.take(ops.reshape(x, (-1, ops.shape(place)[0], len(terms) * groups)), pairs, axis=1)  # (B, pairs, terms G)
        x = ops.take(norm(x, training=training), place, axis=1)  # (B, windows T S, terms G); any numbers for masked pairs
    x = ops.sum(ops.reshape(x, (-1, queries, keys, len(terms), groups)), 3)  # (B', T, S, G)
    return ops.transpose(x, (0, 3, 1, 2))


def _pair_numbers(visible) -> tuple[Any, Any]:
    """Return the indices of visible pairs, (pairs,), and the place of every pair among them, (windows T S,); any for masked pairs."""
    if isinstance(visible, np.ndarray):
        return np.flatnonzero(visible).astype("int32"), np.maximum(np.cumsum(visible, dtype="int32") - 1, 0)
    visible = ops.reshape(visible, (-1,))
    return ops.nonzero(visible)[0], ops.maximum(ops.cumsum(ops.cast(visible, "int32")) - 1, 0)


def table_scale(spec: Attention) -> float:
    """Return the standard deviation of a new position table."""
    return spec.value_depth**-0.5 if spec.encoding == "relative" else 0.02


def sinusoids(length, channels: int):
    """Return sines in the first half of the channels, cosines in the second, of wavelengths up to 20,000 pi (arXiv:1706.03762): (L, C)."""
    half = -(-channels // 2)
    rate = np.exp(np.arange(half) * (-math.log(10000.0) / half))  # (C / 2,)
    if isinstance(length, int):
        angle = np.arange(length)[:, None] * rate  # (L, C / 2)
        return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)[:, :channels]
    angle = ops.cast(arange(length)[:, None], "float64") * ops.cast(rate, "float64")
    return ops.concatenate([ops.sin(angle), ops.cos(angle)], axis=1)[:, :channels]
