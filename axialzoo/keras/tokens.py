"""Layers of models with tokens beside the pixels: learned tokens, projections with a norm, attention with norms for scales."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from axialzoo.keras.drop_path import drop_path
from axialzoo.keras.linear import Linear, NumpyNormal
from axialzoo.keras.norm import Activation, BatchNorm, Layer, scale_from_batch_stats, statistics_dtype
from axialzoo.keras.scope import own_scope
from axialzoo.spec import Norm, from_dict, to_dict


class Configured(Layer):
    """A layer whose arguments are its config: numbers, strings, and dataclasses of the types in `SPECS`."""

    SPECS: ClassVar[dict[str, type]] = {"norm": Norm}

    def __init__(self, arguments: dict[str, Any], **kwargs):
        super().__init__(**kwargs)
        self.arguments = {key: to_dict(value) if dataclasses.is_dataclass(value) else value for key, value in arguments.items()}

    def get_config(self) -> dict:
        return {**super().get_config(), **self.arguments}

    @classmethod
    def from_config(cls, config: dict):
        decoded = {key: from_dict(spec, config[key]) for key, spec in cls.SPECS.items() if key in config}
        return super().from_config({**config, **decoded})

    def build_layers(self) -> None:
        """Build the layers inside, whose variables' paths have a level for each dot in their names."""
        with own_scope(self):
            for layer in self._flatten_layers(include_self=False, recursive=False):
                layer.build(None)


@keras.saving.register_keras_serializable(package="axialzoo")
class Tokens(Configured):
    """Learned tokens, the same for each image at the start: (tokens, C)."""

    def __init__(self, tokens: int, channels: int, **kwargs):
        super().__init__({"tokens": tokens, "channels": channels}, **kwargs)
        self.shape_of = (tokens, channels)

    def build(self, input_shape=None):
        with own_scope(self):  # `add_weight` would put the layer's name, dots and all, into the variable's path
            self.tokens = keras.Variable(NumpyNormal(1.0), self.shape_of, self.variable_dtype, name="tokens")

    def call(self, x):
        """Return the tokens for each image of `x`: (N, tokens, C)."""
        tokens: Any = ops.convert_to_tensor(self.tokens)
        return ops.broadcast_to(tokens[None], (ops.shape(x)[0], *self.shape_of))

    def compute_output_shape(self, x_shape):
        return (x_shape[0], *self.shape_of)


@keras.saving.register_keras_serializable(package="axialzoo")
class TokenNorm(Configured):
    """A linear layer without bias on each token, and its batch norm.

    Args:
        inputs, outputs: Channels.
        norm: Epsilon and momentum.
        zero: Whether the norm's scale starts at 0, as at the end of a residual branch.

    Shapes:
        ``(N, T, inputs)`` to ``(N, T, outputs)``.
    """

    def __init__(self, inputs: int, outputs: int, norm: Norm, zero: bool = False, **kwargs):
        super().__init__({"inputs": inputs, "outputs": outputs, "norm": norm, "zero": zero}, **kwargs)
        self.inputs, self.outputs, self.zero = inputs, outputs, zero
        make = {"use_bias": False, "kernel_initializer": NumpyNormal(inputs**-0.5), "dtype": self.dtype_policy}
        self.linear = Linear(outputs, name="linear", **make)
        self.norm = BatchNorm(outputs, norm, name="norm", dtype=self.dtype_policy)

    def build(self, input_shape=None):
        with own_scope(self):
            self.linear.build((None, None, self.inputs))
            self.norm.build()
        if self.zero:
            self.norm.gamma.assign(ops.zeros((self.outputs,)))

    def call(self, x, activation: Activation | None = None, training=None):
        """Return ``activation(norm(linear(x)))``."""
        return self.norm(self.linear(x), activation=activation, training=training)

    def fold(self) -> None:
        """Fold the norm into the linear layer, for inference."""
        kernel = ops.convert_to_numpy(self.linear.kernel).astype(np.float64)  # (I, O)
        self.linear.kernel.assign(kernel * self.norm.folded_factor())

    def compute_output_shape(self, x_shape):
        return (*x_shape[:-1], self.outputs)


@keras.saving.register_keras_serializable(package="axialzoo")
class TokenAttention(Configured):
    """Attention whose logits are normalised per head, instead of scaled, and whose results per channel.

    Args:
        heads: Attention heads.
        channels: Channels of the values, all heads together.
        norm: Epsilon and momentum.

    Shapes:
        Queries ``(N, G, L, Dk)``, keys ``(N, G, S, Dk)`` and values ``(N, G, S, Dv)`` to ``(N, L, G Dv)``, activated.
    """

    def __init__(self, heads: int, channels: int, norm: Norm, **kwargs):
        super().__init__({"heads": heads, "channels": channels, "norm": norm}, **kwargs)
        self.channels = channels
        self.norm_similarity = BatchNorm(heads, norm, name="norm_similarity", dtype=self.dtype_policy)
        self.norm_output = BatchNorm(channels, norm, name="norm_output", dtype=self.dtype_policy)

    def build(self, input_shape=None):
        self.norm_similarity.build()
        self.norm_output.build()

    def call(self, q, k, v, activation: Activation, training=None):
        logits = q @ ops.swapaxes(k, 2, 3)  # (N, G, L, S)
        scale = ops.cast(self.scale(logits, training), logits.dtype)[:, None, None]  # (G, 1, 1)
        x = ops.softmax(logits * scale, axis=-1) @ v  # (N, G, L, Dv)
        x = ops.transpose(x, (0, 2, 1, 3))  # (N, L, G, Dv)
        x = ops.reshape(x, (-1, ops.shape(x)[1], self.channels))  # (N, L, G Dv)
        return self.norm_output(x, activation=activation, training=training)

    def scale(self, logits, training):
        """Return the factor of the logits of each head, (G,). The shift is the same for all keys of a query and cancels."""
        if not training or not self.norm_similarity.trainable:
            return self.norm_similarity.scale()
        x = ops.cast(logits, statistics_dtype(logits.dtype))
        n, g, queries, keys = ops.shape(x)
        count = ops.cast(n, x.dtype) * ops.cast(queries, x.dtype) * ops.cast(keys, x.dtype)
        mean = ops.sum(x, (0, 2, 3)) / count  # (G,)
        variance = ops.sum(ops.square(x - ops.reshape(mean, (1, g, 1, 1))), (0, 2, 3)) / count
        return scale_from_batch_stats(self.norm_similarity, mean, variance, count)

    def compute_output_shape(self, q_shape, k_shape, v_shape):
        return (q_shape[0], q_shape[2], self.channels)


def split_heads(x, heads: int):
    """Split channels into heads: (N, L, G D) to (N, G, L, D)."""
    return ops.transpose(ops.reshape(x, (-1, ops.shape(x)[1], heads, x.shape[-1] // heads)), (0, 2, 1, 3))


def split_qkv(x, keys: int, heads: int) -> tuple:
    """Split (N, L, 2 K + V) into queries, keys and values, head by head: (N, G, L, D) each."""
    return tuple(split_heads(part, heads) for part in (x[..., :keys], x[..., keys : 2 * keys], x[..., 2 * keys :]))


@keras.saving.register_keras_serializable(package="axialzoo")
class FeedForward(Configured):
    """Two linear layers with norms, the first one activated: ``(N, T, channels)`` to the same."""

    def __init__(self, channels: int, hidden: int, norm: Norm, **kwargs):
        super().__init__({"channels": channels, "hidden": hidden, "norm": norm}, **kwargs)
        self.expand = TokenNorm(channels, hidden, norm, name="expand", dtype=self.dtype_policy)
        self.reduce = TokenNorm(hidden, channels, norm, zero=True, name="reduce", dtype=self.dtype_policy)

    def build(self, input_shape=None):
        self.expand.build()
        self.reduce.build()

    def call(self, x, activation: Activation, training=None):
        return self.reduce(self.expand(x, activation=activation, training=training), training=training)

    def compute_output_shape(self, x_shape):
        return x_shape


@keras.saving.register_keras_serializable(package="axialzoo")
class DropResidual(Configured):
    """Drops residual branches of whole samples in training, each branch by a draw of its own.

    Args:
        rate: Probability that a branch of a sample is dropped.
    """

    def __init__(self, rate: float, **kwargs):
        super().__init__({"rate": rate}, **kwargs)
        self.rate = rate
        self.seed = keras.random.SeedGenerator() if rate else None

    def build(self, input_shape=None):
        pass

    def call(self, x, training=None):
        return drop_path(x, self.rate, self.seed) if self.rate and training else x

    def compute_output_shape(self, x_shape):
        return x_shape
