"""Where the fused CPU kernel serves in training: for which tensors, and on which back end of Keras."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

BACKENDS = {"jax": "axialzoo.ops.jax", "tensorflow": "axialzoo.ops.tensorflow", "torch": "axialzoo.ops.keras.torch_backend"}


class CustomOp(NamedTuple):
    """A function on the kernel and its gradients, for a back end to make one function with derivatives of any order of.

    Attributes:
        plain: ``plain(form, *inputs)`` gives a tuple of outputs: of plain operations, for other devices and higher derivatives.
        forward: ``forward(form, *inputs)`` gives the same outputs, and a tuple of what its gradients want besides.
        backward: ``backward(form, inputs, outputs, kept, grads)`` gives a gradient for each input, None for those that are None.
    """

    reference: Callable[..., tuple]
    forward: Callable[..., tuple[tuple, tuple]]
    backward: Callable[..., tuple]


def kernel_ops() -> Any:
    """The module that calls the kernel on the back end that Keras has."""
    return importlib.import_module(BACKENDS[keras.backend.backend()])


def can_train_rows(x, *variables: Any) -> bool:
    """Whether the kernel takes rows of floats and variables of floats, to train them here and now.

    Not what is recorded to be run elsewhere, nor what several devices share: those are of plain operations.
    """
    if not all(keras.backend.standardize_dtype(one.dtype) == "float32" for one in (x, *variables)) or 0 in x.shape:
        return False
    return keras.distribution.distribution() is None and kernel_ops().can_train(x)


def shape_of(x) -> tuple[Any, ...]:
    """The shape of x: whole numbers, or tensors of one where a graph does not know it yet, of 64 bits for their products."""
    sides: Any = ops.shape(x)
    return tuple(side if isinstance(side, int) else ops.cast(side, "int64") for side in sides)


def index_buffers(given: dict[str, Any], results: dict[str, tuple]) -> tuple[dict[str, Any], dict[str, int]]:
    """The arrays that there are of those that a function of the kernel is given, and numbers of them and of what it fills, by name."""
    given = {name: array for name, array in given.items() if array is not None}
    return given, {name: number for number, name in enumerate((*given, *results))}


def encode_arguments(structure: type, numbers: dict[str, int], fields: dict[str, Any]) -> list[tuple[int, Any]]:
    """A structure of ``axial.h`` as an operator takes it: for each field a buffer and a place in it, or -1 and a whole number.

    Args:
        structure: Of :mod:`axialzoo.ops.kernels.structures`; those in it are laid out field by field.
        numbers: Of each buffer by name.
        fields: Of each field a whole number, the name of a buffer, or that and a place in it, in floats; a field that is not named is
            the buffer of its name, or 0.
    """
    found = []
    for name in flat_fields(structure):
        value = fields.get(name, name)
        buffer, place = (value, 0) if isinstance(value, str) else value if isinstance(value, tuple) else (None, value)
        found.append((numbers[buffer], place) if buffer in numbers else (-1, 0 if buffer is not None else place))
    return found


def flat_fields(structure: type) -> list[str]:
    """Names of a structure's fields, those of the structures in it in their place."""
    fields = getattr(structure, "_fields_")  # noqa: B009  # of ctypes
    return [leaf for name, kind in fields for leaf in (flat_fields(kind) if hasattr(kind, "_fields_") else [name])]
