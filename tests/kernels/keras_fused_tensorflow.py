"""Tests of the fused kernel on TensorFlow alone: see :mod:`tests.kernels.keras_fused`."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import tensorflow as tf

from axialzoo.keras import create_model, optimize_for_inference
from axialzoo.ops.kernels import use_kernel
from tests.kernels import keras_fused_models
from tests.kernels.keras_fused import folded, layer, relative

X = np.random.default_rng(3).standard_normal((2, 9, 5, 12)).astype("float32")
NAME = "AxialzooAttention"


def gradient(form, x):
    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(form(x, training=False) ** 2)
    return tape.gradient(y, x)


def operators(function) -> set[str]:
    return {node.op for node in function.graph.as_graph_def().node}


def checks(calls: list[int]) -> dict[str, Any]:
    form = folded(layer())

    def call(x):
        return form(x, training=False)

    def traced(shape=X.shape, **words):
        return tf.function(call, **words).get_concrete_function(tf.TensorSpec(shape, tf.float32))

    expected = call(X)
    before = len(calls)
    actual: dict[str, Any] = {"graph": relative(traced()(tf.constant(X)), expected), "free": {}}
    free = traced((None, None, None, 12))
    for shape in ((1, 9, 5, 12), (2, 3, 17, 12)):  # longer and shorter than the tables reach
        x = np.random.default_rng(5).standard_normal(shape).astype("float32")
        actual["free"][str(shape)] = relative(free(tf.constant(x)), call(x))
    actual["calls in graphs"] = len(calls) - before  # 1, and 2 in a graph with 2 beside
    actual["shapes"] = [traced((None, 9, 5, 12)).output_shapes.as_list(), free.output_shapes.as_list()]
    with use_kernel("plain"):
        actual["plain"] = NAME in operators(traced())
    compiled = traced(jit_compile=True)
    actual["compiled by XLA"] = [relative(compiled(tf.constant(X)), expected), NAME in operators(compiled)]
    actual["gradient in a graph"] = relative(tf.function(lambda x: gradient(form, x))(X), gradient(form, X))
    actual["gradient of any size"] = relative(
        tf.function(lambda x: gradient(form, x), input_signature=[tf.TensorSpec((None, None, None, 12))])(X), gradient(form, X)
    )
    actual["of no images"] = [call(X[:0]).shape.as_list(), gradient(form, X[:0]).shape.as_list()]
    return actual | keras_fused_models.models(calls) | exported()


def exported() -> dict[str, Any]:
    """A SavedModel and a LiteRT file of the form, computed by what knows nothing of the kernel."""
    model = create_model("axial_resnet_cifar10_xs", input_size=32)
    form, x = optimize_for_inference(model), keras_fused_models.X
    expected = np.asarray(model(x, training=False))
    form.predict(x, verbose=0)  # traced with the kernel before
    with tempfile.TemporaryDirectory() as folder:
        form.export(f"{folder}/saved", verbose=False)
        served = tf.saved_model.load(f"{folder}/saved")
        form.export(f"{folder}/model.tflite", format="litert", verbose=False)
        interpreter = tf.lite.Interpreter(f"{folder}/model.tflite")
        (images,) = interpreter.get_input_details()
        interpreter.resize_tensor_input(images["index"], x.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(images["index"], x)
        interpreter.invoke()
        lite = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        graphs = [operators(function) for function in served.signatures.values()]
        inner = {node.op for f in served.signatures.values() for item in f.graph.as_graph_def().library.function for node in item.node_def}
        return {
            "SavedModel": keras_fused_models.apart(served.serve(x), expected),
            "LiteRT": keras_fused_models.apart(lite, expected),
            "operator in SavedModel": any(NAME in item for item in (*graphs, inner)),
        }
