"""Batch norms in training on the fused kernel, with residual and activation: one pass for moments, one for the rest."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from keras import ops

from axialzoo.ops.keras.dispatch import CustomOp, kernel_ops, shape_of
from axialzoo.ops.kernels.structures import AxialNorm


class NormAttributes(NamedTuple):
    """Attributes of the operator: see :func:`normalised`."""

    epsilon: float
    terms: int
    heads: int
    relu: bool


def normalised(x, weight, bias, epsilon: float, residual, relu: bool, terms: int, heads: int) -> tuple[Any, Any, Any]:
    """Normalise rows by their own moments; call only if :func:`axialzoo.ops.keras.dispatch.can_train_rows`.

    Args:
        x: (..., terms C).
        weight, bias: (terms C,), in the order of x's channels.
        epsilon: Added to the variance.
        residual: (..., C), added to the result; or None.
        relu: Whether a ReLU follows.
        terms: Number of norms whose results are summed (retrieved contents and positions: 2).
        heads: G if the channels of x lie with the head index fastest and those of the result head by head, else 0.

    Returns:
        (..., C), and mean and biased variance of x's channels, which have no gradients.
    """
    return kernel_ops().operate(NORM, NormAttributes(epsilon, terms, heads, relu), (x, weight, bias, residual))


def _sizes(attributes: NormAttributes, x) -> dict[str, Any]:
    *rows, channels = shape_of(x)
    terms, heads, relu = attributes.terms, attributes.heads, int(attributes.relu)
    return {"rows": math.prod(rows), "terms": terms, "outputs": channels // terms, "heads": heads, "relu": relu}


def _forward(attributes: NormAttributes, x, weight, bias, residual):
    run, sizes = kernel_ops().run, _sizes(attributes, x)
    channels = weight.shape
    mean, variance = run("norm_moments", AxialNorm, {"x": x}, {"mean": channels, "variance": channels}, **sizes)
    inverse = ops.rsqrt(variance + attributes.epsilon)  # (terms C,)
    arrays = {"x": x, "mean": mean, "scale": weight * inverse, "bias": bias, "residual": residual}
    (y,) = run("norm_forward", AxialNorm, arrays, {"y": (*shape_of(x)[:-1], sizes["outputs"])}, **sizes)
    return (y, mean, variance), (inverse,)


def _backward(attributes: NormAttributes, inputs, outputs, saved, grads):
    (x, weight, _, residual), (y, mean, _), (inverse,), grad = inputs, outputs, saved, grads[0]
    arrays = {"x": x, "mean": mean, "scale": weight * inverse, "inverse": inverse, "grad_y": grad, "y": y if attributes.relu else None}
    results = {"grad_x": shape_of(x), "grad_weight": weight.shape, "grad_bias": weight.shape}
    if residual is None or not attributes.relu:
        filled = kernel_ops().run("norm_backward", AxialNorm, arrays, results, **_sizes(attributes, x))
        return *filled, None if residual is None else grad
    return kernel_ops().run("norm_backward", AxialNorm, arrays, {**results, "grad_residual": shape_of(grad)}, **_sizes(attributes, x))


def _reference(attributes: NormAttributes, x, weight, bias, residual):
    """Compute :func:`normalised` with `keras.ops`."""
    *sides, channels = ops.shape(x)
    rows = ops.reshape(x, (-1, channels))  # (R, terms C)
    n = ops.cast(ops.shape(rows)[0], x.dtype)
    mean = ops.sum(rows, 0) / n  # (terms C,)
    variance = ops.sum(ops.square(rows - mean), 0) / n
    y = (rows - mean) * (weight * ops.rsqrt(variance + attributes.epsilon)) + bias
    y = ops.sum(ops.reshape(y, (-1, attributes.terms, channels // attributes.terms)), 1)  # (R, C)
    if attributes.heads:
        y = ops.swapaxes(ops.reshape(y, (-1, channels // attributes.terms // attributes.heads, attributes.heads)), 1, 2)  # (R, G, D)
    y = ops.reshape(y, (*sides, channels // attributes.terms))
    y = y if residual is None else residual + y
    return ops.relu(y) if attributes.relu else y, ops.stop_gradient(mean), ops.stop_gradient(variance)


NORM = CustomOp(_reference, _forward, _backward)
