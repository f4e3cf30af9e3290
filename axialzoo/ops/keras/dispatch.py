"""Dispatch of operators to the fused CPU kernel on each back end of Keras, and checks of which tensors it can train."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

BACKENDS = {"jax": "axialzoo.ops.jax", "tensorflow": "axialzoo.ops.tensorflow", "torch": "axialzoo.ops.keras.torch_backend"}


class CustomOp(NamedTuple):
    """A function on the kernel with its gradients, which each back end turns into one function with derivatives of any order.

    Attributes:
        reference: ``reference(attributes, *inputs)`` returns a tuple of outputs, computed by `keras.ops`, for other devices and higher
            derivatives.
        forward: ``forward(attributes, *inputs)`` returns the same outputs, and a tuple of tensors to save for `backward`.
        backward: ``backward(attributes, inputs, outputs, saved, grads)`` returns a gradient for each input, None for inputs that are None.
    """

    reference: Callable[..., tuple]
    forward: Callable[..., tuple[tuple, tuple]]
    backward: Callable[..., tuple]


def kernel_ops() -> Any:
    """Return the module that calls the kernel on the current back end of Keras."""
    return importlib.import_module(BACKENDS[keras.backend.backend()])


def can_train_rows(x, *variables: Any) -> bool:
    """Return whether the kernel can train rows of floats with variables of floats here and now.

    It cannot where operations are traced to run elsewhere, or distributed over devices; Keras's own operations do that.
    """
    if not all(keras.backend.standardize_dtype(tensor.dtype) == "float32" for tensor in (x, *variables)) or 0 in x.shape:
        return False
    return keras.distribution.distribution() is None and kernel_ops().can_train(x)


def shape_of(x) -> tuple[Any, ...]:
    """Return the shape of x: integers, or int64 tensors where a graph does not know them yet, so that products do not overflow."""
    sides: Any = ops.shape(x)
    return tuple(side if isinstance(side, int) else ops.cast(side, "int64") for side in sides)


def index_buffers(arrays: dict[str, Any], results: dict[str, tuple]) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the arrays that are not None, by name, and the index of each of them and of each result."""
    arrays = {name: array for name, array in arrays.items() if array is not None}
    return arrays, {name: index for index, name in enumerate((*arrays, *results))}


def encode_arguments(structure: type, buffers: dict[str, int], fields: dict[str, Any]) -> list[tuple[int, Any]]:
    """Encode a structure of ``axial.h`` for an operator: for each field a buffer's index and an offset, or -1 and an integer.

    Args:
        structure: A structure of :mod:`axialzoo.ops.kernels.structures`; nested structures are flattened.
        buffers: Index of each buffer by name.
        fields: For each field an integer, the name of a buffer, or a name and an offset in floats. A field that is not listed is the
            buffer of its own name if there is one, else 0.
    """
    encoded = []
    for name in flat_fields(structure):
        value = fields.get(name, name)
        buffer, offset = (value, 0) if isinstance(value, str) else value if isinstance(value, tuple) else (None, value)
        encoded.append((buffers[buffer], offset) if buffer in buffers else (-1, 0 if buffer is not None else offset))
    return encoded


def flat_fields(structure: type) -> list[str]:
    """Return the names of a structure's fields; a nested structure is replaced by its fields."""
    fields = getattr(structure, "_fields_")  # noqa: B009  # an attribute of ctypes
    return [field for name, kind in fields for field in (flat_fields(kind) if hasattr(kind, "_fields_") else [name])]
