"""The fused kernel under Keras's TensorFlow back end: operators of its own, ``AxialzooAttention`` and ``AxialzooRun``.

They serve on CPUs, eagerly and in graphs that TensorFlow runs itself; what XLA compiles is of plain operations, and so are derivatives
in evaluation, and derivatives of derivatives in training.
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

__all__ = [  # what every back end's module has, and what operators are made of
    "kernel_arrays", "attend", "available", "average_pool", "axial_attention", "can_train", "depthwise", "linear", "logit_moments",
    "max_pool", "normalised", "operate", "product", "run", "subsample", "supports",
]  # fmt: skip


def supports(x) -> bool:
    """Whether the kernel can take `x` here."""
    compiled = not tf.executing_eagerly() and GraphOrParentsInXlaContext(graphs.get_default_graph())  # by XLA
    return not compiled and available()


def available() -> bool:
    """Whether there is an operator, and it is wanted."""
    return kernel() is not None and _loaded() is not None


@functools.cache
def _loaded() -> Any:
    """The operators, or None where the plain form has to serve."""
    path = None if tf.config.list_physical_devices("GPU") else framework_op("tensorflow")
    if path is None:
        return None
    found = tf.load_op_library(path)
    bind(ctypes.CDLL(path))
    return found


def axial_attention(x, arrays, attributes: AttentionAttributes, activation: Activation | None = None):
    """A folded layer, of what `kernel_arrays` gives, activated: (N, H, W, C) to (N, H, W, V)."""
    found = kernel()
    assert found is not None  # see serves
    none = tf.zeros((0,))  # for a term that is not there
    arrays = [none if array is None else array for array in arrays]
    y = _loaded().axialzoo_attention(x, *arrays, **attributes.named(), isa=found.isa_index, threads=_threads())
    return y if activation is None else activation(y)


def _threads() -> int:
    """As many as TensorFlow takes for one operator."""
    asked = tf.config.threading.get_intra_op_parallelism_threads() or int(os.environ.get("TF_NUM_INTRAOP_THREADS", "0"))
    return asked or cores()


@tf.RegisterGradient("AxialzooAttention")  # once a process, however often the operators are loaded
def _gradient(op, gradient):
    """Return the gradients by every input, computed by the plain form."""
    attributes = AttentionAttributes(*(op.get_attr(name) for name in NAMED))
    x, *arrays = op.inputs
    arrays = [None if one.shape.num_elements() == 0 else one for one in arrays]  # an empty one stands for a term that is not there
    given = [x, *(one for one in arrays if one is not None)]
    with tf.GradientTape() as tape:
        tape.watch(given)
        y = reference_layer(x, tuple(arrays), attributes)
    found = iter(tape.gradient(y, given, gradient))
    return [next(found), *(None if one is None else next(found) for one in arrays)]


can_train = supports


def run(function: str, structure: type, given: dict[str, Any], results: dict[str, tuple], **fields: Any) -> list[Any]:
    """Calls a function of the kernel by its name in ``axial.h``, less ``axial_``, on a CPU.

    `structure` is of its arguments, and `fields` are its fields, as :func:`axialzoo.ops.keras.dispatch.template` takes them; `given` are
    arrays by name, None for one that is not there, and `results` the shapes of those that it fills.
    """
    found = kernel()
    assert found is not None  # see can_train
    given, numbers = index_buffers(given, results)
    data = _whole_numbers([value for pair in encode_arguments(structure, numbers, fields) for value in pair])
    shapes = _whole_numbers([value for shape in results.values() for value in (len(shape), *shape)])
    settings = {"wanted": len(results), "function": function_index(function), "isa": found.isa_index, "threads": _threads()}
    made = _loaded().axialzoo_run(data, shapes, list(given.values()), **settings)
    for one, shape in zip(made, results.values()):
        one.set_shape([side if isinstance(side, int) else None for side in shape])
    return made


def _whole_numbers(values: list[Any]):
    """Whole numbers, some of which a graph may not know yet, as one tensor."""
    known = np.array([value if isinstance(value, int) else 0 for value in values], np.int64)
    places = [[index] for index, value in enumerate(values) if not isinstance(value, int)]
    if not places:
        return tf.constant(known)
    return tf.tensor_scatter_nd_update(known, places, tf.stack([tf.cast(values[index], tf.int64) for (index,) in places]))


def operate(operator: CustomOp, attributes: Any, inputs: tuple) -> tuple:
    """What `operator` computes of `inputs`; those that are None stay so."""
    there = [one is not None for one in inputs]

    def filled(some: Any) -> tuple:
        found = iter(some)
        return tuple(next(found) if one else None for one in there)

    def dense(grads: Any) -> list[Any]:  # of what was looked up they are slices
        return [tf.convert_to_tensor(grad) for grad in grads]

    def reference_gradients(*values):
        some, grads = values[: sum(there)], values[sum(there) :]
        with tf.GradientTape() as tape:
            tape.watch(some)
            outputs = operator.reference(attributes, *filled(some))
        return dense(tape.gradient(outputs, some, grads, unconnected_gradients="zero"))

    @tf.custom_gradient
    def function(*some):
        outputs, kept = operator.forward(attributes, *filled(some))

        def gradient(*grads):
            @tf.custom_gradient
            def first(*values):
                found = operator.backward(attributes, filled(values[: len(some)]), outputs, kept, values[len(some) :])

                def second(*cotangents):
                    with tf.GradientTape() as tape:
                        tape.watch(values)
                        found = reference_gradients(*values)
                    return dense(tape.gradient(found, values, cotangents, unconnected_gradients="zero"))

                return [one for one in found if one is not None], second

            return first(*some, *grads)

        return outputs, gradient

    return function(*(tf.convert_to_tensor(one) for one in inputs if one is not None))  # variables are read here, not within
