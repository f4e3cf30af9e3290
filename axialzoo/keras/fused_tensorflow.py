"""The fused kernel under Keras's TensorFlow back end: an operator of its own, ``AxialzooAttention``.

It serves on CPUs, eagerly and in graphs that TensorFlow runs itself; what XLA compiles, and derivatives, are of plain operations.
"""

from __future__ import annotations

import ctypes
import functools
import os
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import ops as graphs
from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext

from axialzoo.keras.fused import Form, arrays_of, linear, plain
from axialzoo.kernels import kernel
from axialzoo.kernels.bindings import bind, binding
from axialzoo.kernels.library import cores

__all__ = ["arrays_of", "available", "axial_attention", "linear", "serves"]  # as every back end's module has them


def serves(x) -> bool:
    """Whether the kernel can take `x` here."""
    compiled = not tf.executing_eagerly() and GraphOrParentsInXlaContext(graphs.get_default_graph())  # by XLA
    return not compiled and available()


def available() -> bool:
    """Whether there is an operator, and it is wanted."""
    return kernel() is not None and _loaded() is not None


@functools.cache
def _loaded() -> Any:
    """The operator, or None where the plain form has to serve."""
    path = None if tf.config.list_physical_devices("GPU") else binding("tensorflow")
    if path is None:
        return None
    found = tf.load_op_library(path)
    bind(ctypes.CDLL(path))
    tf.RegisterGradient("AxialzooAttention")(_gradient)
    return found.axialzoo_attention


def axial_attention(x, arrays, form: Form):
    """A folded layer, of what `arrays_of` gives: (N, H, W, C) to (N, H, W, V)."""
    found = kernel()
    assert found is not None  # see serves
    none = tf.zeros((0,))  # for a term that is not there
    return _loaded()(x, *(none if array is None else array for array in arrays), **form._asdict(), isa=found.number, threads=_threads())


def _threads() -> int:
    """As many as TensorFlow takes for one operator."""
    asked = tf.config.threading.get_intra_op_parallelism_threads() or int(os.environ.get("TF_NUM_INTRAOP_THREADS", "0"))
    return asked or cores()


def _gradient(op, gradient):
    """By every input, of the plain form."""
    form = Form(*(op.get_attr(name) for name in Form._fields))
    x, *arrays = op.inputs
    arrays = [None if one.shape.num_elements() == 0 else one for one in arrays]  # an empty one stands for a term that is not there
    given = [x, *(one for one in arrays if one is not None)]
    with tf.GradientTape() as tape:
        tape.watch(given)
        y = plain(x, tuple(arrays), form)
    found = iter(tape.gradient(y, given, gradient))
    return [next(found), *(None if one is None else next(found) for one in arrays)]
