"""What a model costs at an input size: multiply-adds and the bytes of its activations, from its spec alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from axialzoo.spec.attention import Attention
from axialzoo.spec.layers import Layer, layers
from axialzoo.spec.model import Model, size_pair
from axialzoo.spec.parameters import count
from axialzoo.spec.window import Window


@dataclass(frozen=True)
class Cost:
    """Per image.

    Attributes:
        parameters: Trainable ones.
        multiply_adds: Of convolutions, projections, attention products and the classifier (norms, sums and
            activations not counted, as papers do).
        attention_multiply_adds: The part of q.k, q.r, k.r, and of the retrieved values and positions.
        activation_bytes: Of every layer's output in float32, attention logits included: about what
            training keeps; inference needs a fraction.
    """

    parameters: int
    multiply_adds: int
    attention_multiply_adds: int
    activation_bytes: int


def cost(spec: Model, input_size=None) -> Cost:
    """The cost of `spec` at `input_size` (a side or (height, width); default the model's own)."""
    size = spec.input_size if input_size is None else size_pair(input_size)
    costs = [layer_cost(layer, size) for layer in layers(spec)]
    return Cost(count(spec), *(sum(column) for column in zip(*costs)))


class LayerCost(NamedTuple):
    """Of one layer, as in :class:`Cost`."""

    multiply_adds: int
    attention_multiply_adds: int
    activation_bytes: int


def layer_cost(layer: Layer, size: tuple[int, int]) -> LayerCost:
    """The cost of one layer of a model whose input has `size`."""
    height, width = (-(-side // stride) for side, stride in zip(size, layer.stride))
    if layer.op in ("linear", "gate"):
        return LayerCost(layer.inputs * layer.outputs, 0, 4 * layer.outputs)
    if layer.op == "attention":
        attention = layer.attention
        assert attention is not None
        projection = height * width * layer.inputs * (2 * attention.key_channels + attention.value_channels)
        pairs = attended_pairs(attention, (height, width), layer.axis)
        products = pairs * _per_pair(attention)
        elements = height * width * _attention_channels(layer) + pairs * attention.heads * (len(attention.similarity) + 1)
        return LayerCost(projection + products, products, 4 * elements)
    elements = height * width * layer.outputs
    return LayerCost(elements * layer.inputs * layer.kernel**2 if layer.op == "conv" else 0, 0, 4 * elements)


def attended_pairs(attention: Attention, size: tuple[int, int], axis: int | None) -> int:
    """How many (query, key) pairs a map of (height, width) has; axis None attends along both.

    Windows around a position count whole at the map's edges too, as convolutions do: only so do the multiply-adds of
    arXiv:2003.07853, Table 1, come out.
    """
    if attention.kind == "local":
        return size[0] * size[1] * (2 * attention.reach(attention.positions) + 1) ** 2
    pairs = [Window.of(side, attention).pairs for side in size]
    return pairs[0] * pairs[1] if axis is None else pairs[axis] * size[1 - axis]


def _per_pair(attention: Attention) -> int:
    return len(attention.similarity) * attention.key_channels + len(attention.value) * attention.value_channels


def _attention_channels(layer: Layer) -> int:
    attention = layer.attention
    assert attention is not None
    return 2 * (2 * attention.key_channels + attention.value_channels) + (len(attention.value) + 1) * attention.value_channels
