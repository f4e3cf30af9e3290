"""The fused kernel under Keras's JAX back end: targets of XLA's foreign function interface.

It serves what is computed on a CPU; for other devices the same is computed of plain operations, and so are derivatives in evaluation,
and derivatives of derivatives in training.
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

__all__ = [  # what every back end's module has, and what operators are made of
    "kernel_arrays", "attend", "average_pool", "axial_attention", "can_train", "depthwise", "linear", "logit_moments", "max_pool",
    "normalised", "operate", "product", "run", "subsample", "supports",
]  # fmt: skip
TARGET, RUN = "axialzoo_attention", "axialzoo_run"


def supports(x) -> bool:
    """Whether the kernel can take `x` here: not where a size is left open, as in exports."""
    return all(isinstance(side, int) for side in x.shape) and kernel() is not None and _loaded() is not None


@functools.cache
def _loaded() -> ctypes.CDLL | None:
    """The library whose target XLA knows, or None where the plain form has to serve."""
    path = framework_op("jax")
    if path is None:
        return None
    library = ctypes.CDLL(path)
    bind(library)
    for target, handler in ((TARGET, library.axial_attention), (RUN, library.axial_run)):
        jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(handler), platform="cpu")
    return library


def axial_attention(x, arrays, attributes: AttentionAttributes, activation: Activation | None = None):
    """A folded layer, of what `kernel_arrays` gives, activated: (N, H, W, C) to (N, H, W, V)."""
    found = kernel()
    assert found is not None  # see serves
    y = _attention(x, arrays, attributes, found.isa_index)
    return y if activation is None else activation(y)


@functools.partial(jax.jit, static_argnums=(2, 3))
@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _attention(x, arrays, attributes: AttentionAttributes, isa: int):
    return jax.lax.platform_dependent(
        x, arrays, cpu=functools.partial(_on_cpu, attributes=attributes, isa=isa), default=functools.partial(reference_layer, attributes=attributes)
    )


@_attention.__wrapped__.defjvp
def _(attributes, isa, primals, tangents):
    return jax.jvp(functools.partial(reference_layer, attributes=attributes), primals, tangents)


def _on_cpu(x, arrays, attributes: AttentionAttributes, isa: int):
    shift = arrays[-1]
    call = jax.ffi.ffi_call(TARGET, jax.ShapeDtypeStruct((*x.shape[:3], shift.shape[0]), x.dtype), vmap_method="sequential")
    none = np.zeros((0,), x.dtype)  # for a term that is not there
    settings = {name: np.int64(value) for name, value in {**attributes.named(), "isa": isa}.items()}
    return call(x, *(none if array is None else array for array in arrays), **settings)


def subsample(x, step: int):
    """As :func:`axialzoo.ops.keras.inference.subsample`, of sizes left open too, which JAX then knows to be those behind a convolution."""
    return jax.lax.slice(x, (0,) * 4, x.shape, (1, step, step, 1))


def depthwise(conv: keras.layers.DepthwiseConv2D, x):
    """As :func:`axialzoo.ops.keras.inference.depthwise`; on a CPU a sum of products, since XLA's own is a plain loop there."""
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
    """As :func:`axialzoo.ops.keras.inference.max_pool`; on a CPU of slices, since XLA's gradient looks for each maximum's place anew."""
    return jax.lax.platform_dependent(x, cpu=_max_of_slices, default=inference.max_pool) if supports(x) else inference.max_pool(x)


def _max_of_slices(x):
    _, h, w, _ = x.shape
    x = jax.numpy.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    first, *others = (x[:, row : row + h : 2, column : column + w : 2] for row in range(3) for column in range(3))
    for other in others:  # of equal ones the first has the gradient, as everywhere; what is not a number stays
        first = jax.lax.select((other > first) | (other != other), other, first)
    return first


can_train = supports


def run(function: str, structure: type, given: dict[str, Any], results: dict[str, tuple[int, ...]], **fields: Any) -> tuple:
    """Calls a function of the kernel by its name in ``axial.h``, less ``axial_``, on a CPU.

    `structure` is of its arguments, and `fields` are its fields, as :func:`axialzoo.ops.keras.dispatch.template` takes them; `given` are
    arrays by name, None for one that is not there, and `results` the shapes of those that it fills.
    """
    found = kernel()
    assert found is not None  # see can_train
    given, numbers = index_buffers(given, results)
    shapes = [jax.ShapeDtypeStruct(shape, np.float32) for shape in results.values()]
    call = jax.ffi.ffi_call(RUN, shapes, vmap_method="sequential")
    data = np.array(encode_arguments(structure, numbers, fields), np.int64).reshape(-1)
    return tuple(call(*given.values(), function=np.int64(function_index(function)), isa=np.int64(found.isa_index), fields=data))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def operate(operator: CustomOp, attributes: Any, inputs: tuple) -> tuple:
    """What `operator` computes of `inputs`; those that are None stay so."""
    return _forward(operator, attributes, inputs)[0]


def _forward_rule(operator: CustomOp, attributes: Any, inputs: tuple):
    outputs, kept = _forward(operator, attributes, inputs)
    return outputs, (inputs, outputs, kept)


def _backward_rule(operator: CustomOp, attributes: Any, known: tuple, grads: tuple):
    return (_backward(operator, attributes, known, grads),)


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
    found = _forward(operator, attributes, *primals)
    moved = jax.jvp(lambda inputs: operator.reference(attributes, *inputs), primals, tangents)[1]
    return found, (moved, _zeros(found[1]))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _backward(operator: CustomOp, attributes: Any, known: tuple, grads: tuple) -> tuple:
    return jax.lax.platform_dependent(
        known, grads,
        cpu=lambda known, grads: operator.backward(attributes, *known, grads),
        default=lambda known, grads: _reference_gradients(operator, attributes, known[0], grads),
    )  # fmt: skip


@_backward.defjvp
def _(operator, attributes, primals, tangents):
    (known, grads), (moved, moved_grads) = primals, tangents
    gradients = functools.partial(_reference_gradients, operator, attributes)
    return _backward(operator, attributes, *primals), jax.jvp(gradients, (known[0], grads), (moved[0], moved_grads))[1]


def _reference_gradients(operator: CustomOp, attributes: Any, inputs: tuple, grads: tuple) -> tuple:
    return jax.vjp(lambda *inputs: operator.reference(attributes, *inputs), *inputs)[1](grads)


def _zeros(shapes):
    return jax.tree.map(lambda one: jax.numpy.zeros(one.shape, one.dtype), shapes)
