"""Tests of the fused kernel on JAX alone: see :mod:`tests.kernels.keras_fused`."""

from __future__ import annotations

import tempfile
from typing import Any

import jax
import numpy as np

from axialzoo.keras import create_model, optimize_for_inference
from axialzoo.keras.heads.decoder import DepthwiseNorm
from axialzoo.ops.jax import TARGET
from axialzoo.ops.kernels import use_kernel
from axialzoo.spec import Norm
from tests.kernels.keras_fused import folded, layer, relative
from tests.kernels.keras_fused_models import X as IMAGES
from tests.kernels.keras_fused_models import apart, models

X = np.random.default_rng(3).standard_normal((2, 9, 5, 12)).astype("float32")


def gradient(form, x):
    return jax.grad(lambda x: (form(x, training=False) ** 2).sum())(x)


def checks(calls: list[int]) -> dict[str, Any]:
    form = folded(layer())

    def call(x):
        return form(x, training=False)

    expected, double = call(X), np.stack([X, 2 * X])
    jitted = jax.jit(call)
    before = len(calls)
    actual: dict[str, Any] = {
        "jit": relative(jitted(X), expected),
        "vmap": relative(jax.vmap(call)(double), np.stack([call(x) for x in double])),
    }
    actual["calls in jit and vmap"] = len(calls) - before  # 1, then 2 in one and 2 alone
    traced = jax.jit(call).trace(X)
    actual["lowered"] = {platform: TARGET in traced.lower(lowering_platforms=(platform,)).as_text() for platform in ("cpu", "cuda")}
    depthwise = DepthwiseNorm(12, 3, Norm())
    depthwise.build()
    traced = jax.jit(lambda x: depthwise(x)).trace(X)
    actual["convolves"] = {
        platform: "convolution" in traced.lower(lowering_platforms=(platform,)).as_text() for platform in ("cpu", "cuda")
    }
    with use_kernel("plain"):
        actual["plain"] = TARGET in jax.jit(lambda x: call(x)).lower(X).as_text()  # traced anew
    (batch,) = jax.export.symbolic_shape("batch")
    open_size = jax.ShapeDtypeStruct((batch, *X.shape[1:]), X.dtype)
    actual["of any batch"] = TARGET in jax.export.export(jax.jit(call))(open_size).mlir_module()
    actual["tangent"] = _tangent(call)
    return actual | models(calls) | {"SavedModel": exported()}


def exported() -> float:
    """Difference between a SavedModel of the form in TensorFlow, which does not know XLA's targets, and the model."""
    import tensorflow as tf

    model = create_model("axial_resnet_cifar10_xs", input_size=32)
    with tempfile.TemporaryDirectory() as folder:
        optimize_for_inference(model).export(folder, verbose=False)
        served = tf.saved_model.load(folder)
        return apart(served.serve(IMAGES), model(IMAGES, training=False))


def _tangent(call) -> float:
    """Derivatives along a direction, forwards, against those of the plain form."""
    fused = jax.jvp(call, (X,), (X[::-1],))[1]
    with use_kernel("plain"):
        return relative(fused, jax.jvp(call, (X,), (X[::-1],))[1])
