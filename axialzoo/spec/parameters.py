"""The tensors of a model, from its spec alone: names, shapes and roles, before any framework is imported."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from axialzoo.spec.layers import Layer, layers
from axialzoo.spec.model import Model

# role -> (name of the variable in Keras, permutation from PyTorch's layout to Keras's, trainable)
ROLES: dict[str, tuple[str, tuple[int, ...] | None, bool]] = {
    "conv": ("kernel", (2, 3, 1, 0), True),  # (O, I, h, w) -> (h, w, I, O)
    "linear": ("kernel", (1, 0), True),  # (O, I) -> (I, O)
    "bias": ("bias", None, True),
    "norm_scale": ("gamma", None, True),
    "norm_shift": ("beta", None, True),
    "norm_mean": ("moving_mean", None, False),
    "norm_variance": ("moving_variance", None, False),
    "position": ("", None, True),  # keeps its name
}


DECAYED = ("conv", "linear")  # roles


@dataclass(frozen=True)
class Parameter:
    """A tensor of the checkpoint.

    Attributes:
        name: Canonical and dotted, as in PyTorch's ``state_dict``.
        shape: In PyTorch's layout.
        role: A key of `ROLES`: what it is, hence how Keras names and lays it out.
    """

    name: str
    shape: tuple[int, ...]
    role: str

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def trainable(self) -> bool:
        return ROLES[self.role][2]

    @property
    def decays(self) -> bool:
        """Whether weight decay shrinks it: kernels and projections; not norms, biases, position tables, absolute positions or gates."""
        return self.role in DECAYED

    @property
    def keras_name(self) -> str:
        """The path of the Keras variable, dots for slashes."""
        owner, _, leaf = self.name.rpartition(".")
        return f"{owner}.{ROLES[self.role][0] or leaf}"

    @property
    def keras_order(self) -> tuple[int, ...] | None:
        """The permutation from PyTorch's layout to Keras's, or None where they agree."""
        return ROLES[self.role][1]

    @property
    def keras_shape(self) -> tuple[int, ...]:
        order = self.keras_order
        return self.shape if order is None else tuple(self.shape[axis] for axis in order)


def parameters(spec: Model) -> tuple[Parameter, ...]:
    """Every tensor of `spec`, in the order in which the network uses them."""
    return tuple(tensor for layer in layers(spec) for tensor in _tensors(layer))


def count(spec: Model) -> int:
    """Number of trainable parameters."""
    return sum(parameter.size for parameter in parameters(spec) if parameter.trainable)


def _tensors(layer: Layer) -> Iterator[Parameter]:
    if layer.op == "conv":
        yield Parameter(f"{layer.name}.weight", (layer.outputs, layer.inputs, layer.kernel, layer.kernel), "conv")
    elif layer.op == "norm":
        yield from _norm(layer.name, layer.outputs)
    elif layer.op == "gate":
        yield Parameter(f"{layer.name}.weight", (layer.outputs, layer.inputs, 1, 1), "conv")
        yield Parameter(f"{layer.name}.bias", (layer.outputs,), "bias")
    elif layer.op == "linear":
        yield Parameter(f"{layer.name}.weight", (layer.outputs, layer.inputs), "linear")
        yield Parameter(f"{layer.name}.bias", (layer.outputs,), "bias")
    elif layer.op == "attention":
        yield from _attention(layer)
    else:
        raise AssertionError(f"unknown layer {layer}")


def _norm(name: str, width: int) -> Iterator[Parameter]:
    yield Parameter(f"{name}.weight", (width,), "norm_scale")
    yield Parameter(f"{name}.bias", (width,), "norm_shift")
    yield Parameter(f"{name}.running_mean", (width,), "norm_mean")
    yield Parameter(f"{name}.running_var", (width,), "norm_variance")


def _attention(layer: Layer) -> Iterator[Parameter]:
    attention, name = layer.attention, layer.name
    assert attention is not None
    width = 2 * attention.key_channels + attention.value_channels
    yield Parameter(f"{name}.qkv.weight", (width, layer.inputs), "linear")  # rows: all q, all k, all v, each head by head
    yield from _norm(f"{name}.norm_qkv", width)
    for table, shape in attention.tables(layer.inputs).items():
        yield Parameter(f"{name}.{table}", shape, "position")  # row of a relative one: key - query + positions - 1
    if attention.gated:
        yield Parameter(f"{name}.gates", (len(attention.gates),), "position")
    yield from _norm(f"{name}.norm_similarity", len(attention.similarity) * attention.heads)  # term by term, head by head
    yield from _norm(f"{name}.norm_output", len(attention.value) * attention.value_channels)  # content, then position
