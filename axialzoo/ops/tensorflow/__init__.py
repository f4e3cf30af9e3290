"""The fused kernel for Keras's TensorFlow back end: the custom operators ``AxialzooAttention`` and ``AxialzooRun``.

They run on CPUs, eagerly and in graphs that TensorFlow runs itself. Code compiled by XLA, derivatives in evaluation and second
derivatives in training use the reference implementation in `keras.ops`.
"""

from __future__ import annotations

import ctypes
import functools
import os
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import ops as graphs
from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext

from axialzoo.ops.attributes import NAMED, AttentionAttributes
from axialzoo.ops.keras.dispatch import CustomOp, encode_arguments, index_buffers
from axialzoo.ops.keras.inference import average_pool, depthwise, kernel_arrays, linear, max_pool, reference_layer, subsample
from axialzoo.ops.keras.moments import logit_moments
from axialzoo.ops.keras.norm import normalised
from axialzoo.ops.keras.rows import product
from axialzoo.ops.keras.tables import Activation
from axialzoo.ops.keras.training import attend
from axialzoo.ops.kernels import kernel
from axialzoo.ops.kernels.bindings import bind, framework_op, function_index
from axialzoo.ops.kernels.library import cores

__all__ = [  # what every back end's module offers, and `operate` and `run`, which operators call
    "kernel_arrays", "attend", "available", "average_pool", "axial_attention", "can_train", "depthwise", "linear", "logit_moments",
    "max_pool", "normalised", "operate", "product", "run", "subsample", "supports",
]  # fmt: skip


def supports(x) -> bool:
    """Return whether the kernel supports `x` here: not within code that XLA compiles."""
    compiled_by_xla = not tf.executing_eagerly() and GraphOrParentsInXlaContext(graphs.get_default_graph())
    return not compiled_by_xla and available()


def available() -> bool:
    """Return whether the operators are available; ``use_kernel("plain")`` turns them off."""
    return kernel() is not None and _loaded() is not None


@functools.cache
def _loaded() -> Any:
    """Load the operators; None where there is no kernel, or TensorFlow has a GPU."""
    path = None if tf.config.list_physical_devices("GPU") else framework_op("tensorflow")
    if path is None:
        return None
    operators = tf.load_op_library(path)
    bind(ctypes.CDLL(path))
    return operators


def axial_attention(x, arrays, attributes: AttentionAttributes, activation: Activation | None = None):
    """Compute a folded layer from its `kernel_arrays`, activated: (N, H, W, C) to (N, H, W, V)."""
    fused_kernel = kernel()
    assert fused_kernel is not None  # see supports
    none = tf.zeros((0,))  # stands for a missing term
    arrays = [none if array is None else array for array in arrays]
    y = _loaded().axialzoo_attention(x, *arrays, **attributes.named(), isa=fused_kernel.isa_index, threads=_threads())
    return y if activation is None else activation(y)


def _threads() -> int:
    """Return the number of threads that TensorFlow uses for one operator."""
    configured = tf.config.threading.get_intra_op_parallelism_threads() or int(os.environ.get("TF_NUM_INTRAOP_THREADS", "0"))
    return configured or cores()


@tf.RegisterGradient("AxialzooAttention")  # once a process, however often the operators are loaded
def _gradient(op, gradient):
    """Return the gradients by every input, computed by the reference implementation."""
    attributes = AttentionAttributes(*(op.get_attr(name) for name in NAMED))
    x, *arrays = op.inputs
    arrays = [None if array.shape.num_elements() == 0 else array for array in arrays]  # an empty array stands for a missing term
    variables = [x, *(array for array in arrays if array is not None)]
    with tf.GradientTape() as tape:
        tape.watch(variables)
        y = reference_layer(x, tuple(arrays), attributes)
    grads = iter(tape.gradient(y, variables, gradient))
    return [next(grads), *(None if array is None else next(grads) for array in arrays)]


can_train = supports


def run(function: str, structure: type, arrays: dict[str, Any], results: dict[str, tuple], **fields: Any) -> list[Any]:
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
    data = _pack_integers([value for pair in encode_arguments(structure, buffers, fields) for value in pair])
    shapes = _pack_integers([value for shape in results.values() for value in (len(shape), *shape)])
    settings = {"num_results": len(results), "function": function_index(function), "isa": fused_kernel.isa_index, "threads": _threads()}
    outputs = _loaded().axialzoo_run(data, shapes, list(arrays.values()), **settings)
    for output, shape in zip(outputs, results.values()):
        output.set_shape([side if isinstance(side, int) else None for side in shape])
    return outputs


def _pack_integers(values: list[Any]):
    """Pack integers and scalar tensors into one int64 tensor."""
    constants = np.array([value if isinstance(value, int) else 0 for value in values], np.int64)
    symbolic = [[index] for index, value in enumerate(values) if not isinstance(value, int)]
    if not symbolic:
        return tf.constant(constants)
    return tf.tensor_scatter_nd_update(constants, symbolic, tf.stack([tf.cast(values[index], tf.int64) for (index,) in symbolic]))


def operate(operator: CustomOp, attributes: Any, inputs: tuple) -> tuple:
    """Apply `operator` to `inputs`, each a tensor or None."""
    present = [x is not None for x in inputs]

    def with_none(tensors: Any) -> tuple:
        iterator = iter(tensors)
        return tuple(next(iterator) if is_present else None for is_present in present)

    def dense(grads: Any) -> list[Any]:  # the gradient of a lookup is a sparse IndexedSlices
        return [tf.convert_to_tensor(grad) for grad in grads]

    def reference_gradients(*values):
        tensors, grads = values[: sum(present)], values[sum(present) :]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs = operator.reference(attributes, *with_none(tensors))
        return dense(tape.gradient(outputs, tensors, grads, unconnected_gradients="zero"))

    @tf.custom_gradient
    def function(*tensors):
        outputs, saved = operator.forward(attributes, *with_none(tensors))

        def gradient(*grads):
            @tf.custom_gradient
            def first(*values):
                inputs, output_grads = with_none(values[: len(tensors)]), values[len(tensors) :]
                input_grads = operator.backward(attributes, inputs, outputs, saved, output_grads)

                def second(*cotangents):
                    with tf.GradientTape() as tape:
                        tape.watch(values)
                        first_order = reference_gradients(*values)
                    return dense(tape.gradient(first_order, values, cotangents, unconnected_gradients="zero"))

                return [grad for grad in input_grads if grad is not None], second

            return first(*tensors, *grads)

        return outputs, gradient

    return function(*(tf.convert_to_tensor(x) for x in inputs if x is not None))  # reads variables here, outside of the function
