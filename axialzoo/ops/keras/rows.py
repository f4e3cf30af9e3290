"""Products of rows of channels in training on the fused kernel: 1x1 convolutions and projections."""

from __future__ import annotations

from typing import Any

from keras import ops

from axialzoo.ops.folding import PANEL
from axialzoo.ops.keras.dispatch import CustomOp, kernel_ops, shape_of
from axialzoo.ops.kernels.structures import AxialLinear, AxialWeightGradient


def pack_weight(weight):
    """Pack a weight for the kernel: (I, O) to (panels, I, 64), padded with zeros."""
    inputs, outputs = weight.shape
    padded = ops.pad(weight, ((0, 0), (0, -outputs % PANEL))) if outputs % PANEL else weight
    return ops.transpose(ops.reshape(padded, (inputs, -1, PANEL)), (1, 0, 2))


def product(x, weight):
    """Multiply rows of channels by a matrix: (N, H, W, I) and (I, O) to (N, H, W, O).

    Call only if :func:`axialzoo.ops.keras.dispatch.can_train_rows`.
    """
    return kernel_ops().operate(PRODUCT, None, (x, weight))[0]


def _sizes(x, outputs: int) -> dict[str, Any]:
    n, h, w, inputs = shape_of(x)
    strides = {"x_batch": h * w * inputs, "x_height": w * inputs, "x_width": inputs}
    return {"batch": n, "height": h, "width": w, **strides, "inputs": inputs, "outputs": outputs}


def _multiply(x, weight):
    outputs = weight.shape[1]
    arrays, results = {"x": x, "weight": pack_weight(weight)}, {"y": (*shape_of(x)[:3], outputs)}
    return kernel_ops().run("linear", AxialLinear, arrays, results, **_sizes(x, outputs))[0]


def _forward(attributes: None, x, weight):
    return (_multiply(x, weight),), ()


def _backward(attributes: None, inputs, outputs, saved, grads):
    (x, weight), (grad,) = inputs, grads
    rows, columns = weight.shape
    arrays, results = {"x": x, "grad_y": grad}, {"grad_weight": (columns, rows)}
    (grad_weight,) = kernel_ops().run("weight_gradient", AxialWeightGradient, arrays, results, **_sizes(x, columns))
    return _multiply(grad, ops.transpose(weight)), ops.transpose(grad_weight)


def _reference(attributes: None, x, weight):
    """Compute :func:`product` with `keras.ops`."""
    _, h, w, inputs = ops.shape(x)
    return (ops.reshape(ops.reshape(x, (-1, inputs)) @ weight, (-1, h, w, weight.shape[1])),)


PRODUCT = CustomOp(_reference, _forward, _backward)
