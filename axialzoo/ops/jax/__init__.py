"""The fused kernel for Keras's JAX back end: targets of XLA's foreign function interface.

The kernel runs on CPUs. Other devices run the reference implementation in `keras.ops`; derivatives in evaluation and second derivatives
in training use it on CPUs too.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import jax
import keras
import numpy as np

from axialzoo.ops.attributes import AttentionAttributes
from axialzoo.ops.keras import inference
from axialzoo.ops.keras.dispatch import CustomOp, encode_arguments, index_buffers
from axialzoo.ops.keras.inference import average_pool, kernel_arrays, linear, reference_layer
from axialzoo.ops.keras.moments import logit_moments
from axialzoo.ops.keras.norm import normalised
from axialzoo.ops.keras.rows import product
from axialzoo.ops.keras.tables import Activation
from axialzoo.ops.keras.training import attend
from axialzoo.ops.kernels import kernel
from axialzoo.ops.kernels.bindings import bind, framework_op, function_index

__all__ = [  # what every back end's module offers, and `operate` and `run`, which operators call
    "kernel_arrays", "attend", "average_pool", "axial_attention", "can_train", "depthwise", "linear", "logit_moments", "max_pool",
    "normalised", "operate", "product", "run", "subsample", "supports",
]  # fmt: skip
TARGET, RUN = "axialzoo_attention", "axialzoo_run"


def supports(x) -> bool:
    """Return whether the kernel supports `x` here; it does not support unknown sizes, as in exports."""
    return all(isinstance(side, int) for side in x.shape) and kernel() is not None and _loaded() is not None


@functools.cache
def _loaded() -> ctypes.CDLL | None:
    """Load the binding and register its targets with XLA; None where there is no kernel."""
    path = framework_op("jax")
    if path is None:
        return None
    library = ctypes.CDLL(path)
    bind(library)
    for target, handler in ((TARGET, library.axial_attention), (RUN, library.axial_run)):
        jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(handler), platform="cpu")
    return library


def axial_attention(x, arrays, attributes: AttentionAttributes, activation: Activation | None = None):
    """Compute a folded layer from its `kernel_arrays`, activated: (N, H, W, C) to (N, H, W, V)."""
    fused_kernel = kernel()
    assert fused_kernel is not None  # see supports
    y = _attention(x, arrays, attributes, fused_kernel.isa_index)
    return y if activation is None else activation(y)


@functools.partial(jax.jit, static_argnums=(2, 3))
@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _attention(x, arrays, attributes: AttentionAttributes, isa: int):
    on_cpu = functools.partial(_on_cpu, attributes=attributes, isa=isa)
    return jax.lax.platform_dependent(x, arrays, cpu=on_cpu, default=functools.partial(reference_layer, attributes=attributes))


@_attention.__wrapped__.defjvp
def _(attributes, isa, primals, tangents):
    return jax.jvp(functools.partial(reference_layer, attributes=attributes), primals, tangents)


def _on_cpu(x, arrays, attributes: AttentionAttributes, isa: int):
    shift = arrays[-1]
    call = jax.ffi.ffi_call(TARGET, jax.ShapeDtypeStruct((*x.shape[:3], shift.shape[0]), x.dtype), vmap_method="sequential")
    none = np.zeros((0,), x.dtype)  # stands for a missing term
    settings = {name: np.int64(value) for name, value in {**attributes.named(), "isa": isa}.items()}
    return call(x, *(none if array is None else array for array in arrays), **settings)


def subsample(x, step: int):
    """Compute :func:`axialzoo.ops.keras.inference.subsample` of symbolic sizes too; JAX then recognises them as those of a convolution."""
    return jax.lax.slice(x, (0,) * 4, x.shape, (1, step, step, 1))


def depthwise(conv: keras.layers.DepthwiseConv2D, x):
    """Compute :func:`axialzoo.ops.keras.inference.depthwise`; on a CPU as a sum of products, because XLA runs a slow loop there."""
    if keras.backend.standardize_dtype(x.dtype) != "float32" or conv.compute_dtype != "float32" or not supports(x):
        return inference.depthwise(conv, x)
    kernel = keras.ops.convert_to_tensor(conv.kernel)  # (k, k, C, 1)
    reference = functools.partial(keras.ops.depthwise_conv, padding="same", data_format="channels_last")
    return jax.lax.platform_dependent(x, kernel, cpu=_sum_of_products, default=reference)


def _sum_of_products(x, kernel):
    (_, h, w, _), size = x.shape, len(kernel)
    x = jax.numpy.pad(x, ((0, 0), (size // 2, size // 2), (size // 2, size // 2), (0, 0)))
    return sum(x[:, row : row + h, column : column + w] * kernel[row, column, :, 0] for row in range(size) for column in range(size))


def max_pool(x):
    """Compute :func:`axialzoo.ops.keras.inference.max_pool`; on a CPU from slices, because XLA's gradient searches each maximum again."""
    return jax.lax.platform_dependent(x, cpu=_max_of_slices, default=inference.max_pool) if supports(x) else inference.max_pool(x)


def _max_of_slices(x):
    _, h, w, _ = x.shape
    x = jax.numpy.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    first, *others = (x[:, row : row + h : 2, column : column + w : 2] for row in range(3) for column in range(3))
    for other in others:  # the first of equal values gets the gradient, as elsewhere; NaN propagates
        first = jax.lax.select((other > first) | (other != other), other, first)
    return first


can_train = supports


def run(function: str, structure: type, arrays: dict[str, Any], results: dict[str, tuple[int, ...]], **fields: Any) -> tuple:
    """Call a function of the kernel on a CPU.

    Args:
        function: Its name in ``axial.h``, without ``axial_``.
        structure: Structure of its arguments.
        arrays: Input arrays by name; None for a missing one.
        results: Shapes of the arrays that it fills, by name.
        fields: Fields of the structure: see :func:`axialzoo.ops.keras.dispatch.encode_arguments`.
    """
    fused_kernel = kernel()
    assert fused_kernel is not None  # see can_train
    arrays, buffers = index_buffers(arrays, results)
    shapes = [jax.ShapeDtypeStruct(shape, np.float32) for shape in results.values()]
    call = jax.ffi.ffi_call(RUN, shapes, vmap_method="sequential")
    data = np.array(encode_arguments(structure, buffers, fields), np.int64).reshape(-1)
    settings = {"function": np.int64(function_index(function)), "isa": np.int64(fused_kernel.isa_index), "fields": data}
    return tuple(call(*arrays.values(), **settings))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def operate(operator: CustomOp, attributes: Any, inputs: tuple) -> tuple:
    """Apply `operator` to `inputs`, each an array or None."""
    return _forward(operator, attributes, inputs)[0]


def _forward_rule(operator: CustomOp, attributes: Any, inputs: tuple):
    outputs, saved = _forward(operator, attributes, inputs)
    return outputs, (inputs, outputs, saved)


def _backward_rule(operator: CustomOp, attributes: Any, saved: tuple, grads: tuple):
    return (_backward(operator, attributes, saved, grads),)


operate.defvjp(_forward_rule, _backward_rule)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _forward(operator: CustomOp, attributes: Any, inputs: tuple) -> tuple[tuple, tuple]:
    def on_cpu(inputs: tuple):
        return operator.forward(attributes, *inputs)

    def elsewhere(inputs: tuple):
        return operator.reference(attributes, *inputs), _zeros(jax.eval_shape(on_cpu, inputs)[1])

    return jax.lax.platform_dependent(inputs, cpu=on_cpu, default=elsewhere)


@_forward.defjvp
def _(operator, attributes, primals, tangents):
    outputs, saved = _forward(operator, attributes, *primals)
    output_tangents = jax.jvp(lambda inputs: operator.reference(attributes, *inputs), primals, tangents)[1]
    return (outputs, saved), (output_tangents, _zeros(saved))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _backward(operator: CustomOp, attributes: Any, saved: tuple, grads: tuple) -> tuple:
    return jax.lax.platform_dependent(
        saved, grads,
        cpu=lambda saved, grads: operator.backward(attributes, *saved, grads),
        default=lambda saved, grads: _reference_gradients(operator, attributes, saved[0], grads),
    )  # fmt: skip


@_backward.defjvp
def _(operator, attributes, primals, tangents):
    (saved, grads), (saved_tangents, grad_tangents) = primals, tangents
    gradients = functools.partial(_reference_gradients, operator, attributes)
    return _backward(operator, attributes, *primals), jax.jvp(gradients, (saved[0], grads), (saved_tangents[0], grad_tangents))[1]


def _reference_gradients(operator: CustomOp, attributes: Any, inputs: tuple, grads: tuple) -> tuple:
    return jax.vjp(lambda *inputs: operator.reference(attributes, *inputs), *inputs)[1](grads)


def _zeros(shapes):
    return jax.tree.map(lambda shape: jax.numpy.zeros(shape.shape, shape.dtype), shapes)
