"""Computes the cost of a model at an input size: multiply-adds and the bytes of its activations, from its spec alone."""

from __future__ import annotations

from dataclasses import dataclass

from axialzoo.spec.layers import layers, num_parameters
from axialzoo.spec.model import Model, size_pair


@dataclass(frozen=True)
class Cost:
    """Cost of a model for one image.

    Attributes:
        parameters: Trainable ones.
        multiply_adds: Of convolutions, projections, attention products and linear layers (norms, sums,
            resizing and activations not counted, as papers do).
        attention_multiply_adds: The part of q.k, q.r, k.r, and of the retrieved values and positions.
        activation_bytes: Of every layer's output in float32, attention logits included: about what
            training keeps; inference needs a fraction.
    """

    parameters: int
    multiply_adds: int
    attention_multiply_adds: int
    activation_bytes: int


def cost(spec: Model, input_size=None) -> Cost:
    """Return the cost of `spec` at `input_size` (a side or (height, width); default the model's own)."""
    size = spec.input_size if input_size is None else size_pair(input_size)
    costs = [layer.cost(size) for layer in layers(spec)]
    return Cost(num_parameters(spec), *(sum(column) for column in zip(*costs)))
