"""Keras's layers in training on the fused kernel, on the back end of this process."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

from axialzoo.keras import attention, create_model, fused_layer
from axialzoo.keras.attention import AxialAttention
from axialzoo.keras.blocks import ConvNorm, ResidualBlock
from axialzoo.keras.heads.decoder import DepthwiseNorm
from axialzoo.keras.pooling import MaxPool
from axialzoo.ops.keras import dispatch
from axialzoo.ops.kernels import use_kernel
from axialzoo.spec import Norm, get_entry
from axialzoo.spec.attention import SIMILARITY_TERMS, VALUE_TERMS
from tests.kernels.keras_fused import layer, relative, some

Step = dict[str, np.ndarray]


def cases(large: bool) -> Iterator[tuple[str, dict[str, Any], tuple[int, ...]]]:
    """Name, fields of the layer and (N, H, W)."""
    grid = list(itertools.product(some(SIMILARITY_TERMS), some(VALUE_TERMS)))
    for index, (similarity, value) in enumerate(grid if large else grid[-1:]):
        for axis in (0, 1) if large else (index % 2,):
            yield f"terms {similarity} {value} {axis}", {"similarity": similarity, "value": value, "axis": axis}, (2, 9, 7)
    for length, heads in itertools.product((2, 7, 14, 33), (1, 3, 8, 16)) if large else ():
        fields = {"heads": heads, "key_channels": 2 * heads, "value_channels": 5 * heads, "max_length": length}
        yield f"length {length} {heads}", fields, (2, length, 5)
    yield "gated, one term", {"gated": True, "similarity": ("query",), "value": ("position",)}, (2, 9, 7)
    if large:
        yield "gated", {"gated": True}, (2, 9, 7)
        yield "interpolated", {"max_length": 5, "beyond_tables": "interpolate", "axis": 1}, (2, 7, 9)
        yield "long tables", {"max_length": 30}, (2, 9, 7)
        yield "absolute", {"encoding": "absolute", "similarity": ("content",), "value": ("content",)}, (2, 9, 7)


def copied(source: keras.layers.Layer, dtype: str) -> keras.layers.Layer:
    built = type(source).from_config({**source.get_config(), "dtype": dtype})
    built.build((None, None, None, source.inputs))
    built.set_weights(source.get_weights())
    return built


def step(source: keras.layers.Layer, x: np.ndarray, cotangent: np.ndarray, dtype: str, plain: bool) -> Step:
    """Output, gradients and moving statistics of one step."""
    built = copied(source, dtype)
    with use_kernel("plain") if plain else contextlib.nullcontext():
        y, grads = differentiated(built, x.astype(dtype), cotangent.astype(dtype))
    named = {"output": y, "x": grads[0]}
    named |= {variable.path: grad for variable, grad in zip(built.trainable_variables, grads[1:], strict=True)}
    named |= {variable.path: variable for variable in built.non_trainable_variables}
    return {name: np.asarray(keras.ops.convert_to_numpy(item), np.float64) for name, item in named.items()}


def differentiated(made: keras.layers.Layer, x: np.ndarray, cotangent: np.ndarray) -> tuple[Any, list[Any]]:
    """Output, and gradients of its product with `cotangent`, by x and the variables; the moving statistics are moved."""
    if keras.backend.backend() == "torch":
        import torch

        images = torch.from_numpy(x).requires_grad_()
        y = made(images, training=True)
        inputs = [images, *(variable.value for variable in made.trainable_variables)]
        return y, list(torch.autograd.grad(y, inputs, torch.from_numpy(cotangent), materialize_grads=True))
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        @tf.function(input_signature=[tf.TensorSpec((None, *x.shape[1:]), x.dtype)])
        def call(images):
            with tf.GradientTape() as tape:
                tape.watch(images)
                y = made(images, training=True)
            inputs = [images, *(variable.value for variable in made.trainable_variables)]
            return y, tape.gradient(y, inputs, cotangent, unconnected_gradients="zero")

        return call(x)
    import jax

    rest = [variable.value for variable in made.non_trainable_variables]

    def function(values, images):
        y, moved = made.stateless_call(values, rest, images, training=True)
        return (y * cotangent).sum(), (y, moved)

    run = jax.jit(jax.grad(function, (0, 1), has_aux=True))
    (grads, grad), (y, moved) = run([variable.value for variable in made.trainable_variables], x)
    for variable, value in zip(made.non_trainable_variables, moved):
        variable.assign(value)
    return y, [grad, *grads]


def differences(source: keras.layers.Layer, x: np.ndarray) -> dict[str, tuple[float, float, float]]:
    """Distance of the fused form from the plain one, and of either from float64, by quantity; relative to it, or to the largest one."""
    outputs = source.compute_output_shape(x.shape)
    cotangent = np.random.default_rng(6).standard_normal(outputs).astype("float32")
    ours, plain, exact = (step(source, x, cotangent, *how) for how in (("float32", False), ("float32", True), ("float64", True)))
    floor = 1e-2 * max(float(np.linalg.norm(array)) for array in exact.values())

    def apart(array: np.ndarray, other: np.ndarray, scale: np.ndarray) -> float:
        return float(np.linalg.norm(array - other) / max(float(np.linalg.norm(scale)), floor))

    return {
        name: (apart(ours[name], plain[name], reference), apart(ours[name], reference, reference), apart(plain[name], reference, reference))
        for name, reference in exact.items()
    }


def made_case(fields: dict[str, Any], size: tuple[int, ...]) -> tuple[AxialAttention, np.ndarray]:
    return layer(**fields), np.random.default_rng(5).standard_normal((*size, 12)).astype("float32")


def convolutions(large: bool) -> dict[str, dict[str, tuple[float, float, float]]]:
    """A whole block with a stride, whose convolutions have their norms, residual and activations; and convolutions alone."""
    x = np.random.default_rng(5).standard_normal((2, 8, 6, 12)).astype("float32")
    spec = get_entry("axial_resnet_cifar10_xs").spec.backbone
    actual = {}
    layers: dict[str, Any] = {
        "block": ResidualBlock(12, spec.stages[1].blocks[0], spec, dtype="float32"),
        "depthwise": Depthwise(12, 3, Norm(), dtype="float32"),
    }
    if large:
        layers |= {"1x1": ConvNorm(12, 20, 1, Norm(), 2, dtype="float32"), "3x3": ConvNorm(12, 20, 3, Norm(), dtype="float32")}
    for name, built in layers.items():
        built.build((None, None, None, 12))
        random = np.random.default_rng(7)
        for variable in built.weights:
            if variable.path.endswith("gamma"):
                variable.assign(1 + 0.2 * random.standard_normal(variable.shape))
        actual[name] = differences(built, x)
    return actual


class Depthwise(DepthwiseNorm):
    """With what `copied` asks of a layer besides."""

    inputs = 12


class Pool(MaxPool):
    """With what `step` asks of a layer besides."""

    inputs = 3

    def call(self, x, training=None):
        return super().call(x)


def pooled() -> dict[str, dict[str, tuple[float, float, float]]]:
    """Max pools of maps with many equal pixels, of even and odd sides."""
    return {f"pool {size}": differences(Pool(dtype="float32"), levels(*size)) for size in ((8, 6), (7, 9), (1, 2))}


def levels(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 3, (2, height, width, 3)).astype("float32")


def pool_turned() -> float:
    """Change of the gradients of a max pool if the last of equal pixels has them, not the first, by a reversed input."""
    pool, x = Pool(dtype="float32"), levels(7, 9)
    cotangent = np.random.default_rng(6).standard_normal(pool.compute_output_shape(x.shape)).astype("float32")
    images, grads = (np.flip(item, (1, 2)).copy() for item in (x, cotangent))
    turned = step(pool, images, grads, "float32", False)["x"]
    return relative(np.flip(turned, (1, 2)), step(pool, x, cotangent, "float32", False)["x"])


def planted() -> float:
    """Changes if the variance of the logits is a hundredth too large."""
    source, x = made_case({}, (2, 9, 7))
    cotangent = np.random.default_rng(6).standard_normal(source.compute_output_shape(x.shape)).astype("float32")
    expected, honest = step(source, x, cotangent, "float32", False), dispatch.kernel_ops().logit_moments

    def wrong(*arguments):
        qkv, mean, variance = honest(*arguments)
        return qkv, mean, variance * 1.01

    dispatch.kernel_ops().logit_moments = wrong
    try:
        actual = step(source, x, cotangent, "float32", False)
    finally:
        dispatch.kernel_ops().logit_moments = honest
    return max(float(np.linalg.norm(actual[name] - item) / max(np.linalg.norm(item), 1e-3)) for name, item in expected.items())


def second() -> float:
    """Gradients by x of the squares of the gradients of the output's squares, against those of the plain form."""
    source, x = made_case({"axis": 1}, (1, 3, 4))
    ours = twice_differentiated(copied(source, "float32"), x)
    with use_kernel("plain"):
        return relative(ours, twice_differentiated(copied(source, "float32"), x))


def twice_differentiated(made: keras.layers.Layer, x: np.ndarray) -> Any:
    if keras.backend.backend() == "torch":
        import torch

        images = torch.from_numpy(x).requires_grad_()
        (first,) = torch.autograd.grad(made(images, training=True).square().sum(), images, create_graph=True)
        return torch.autograd.grad(first.square().sum(), images)[0]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        images = tf.constant(x)
        with tf.GradientTape() as outer:
            outer.watch(images)
            with tf.GradientTape() as tape:
                tape.watch(images)
                y = tf.reduce_sum(made(images, training=True) ** 2)
            first = tf.reduce_sum(tape.gradient(y, images) ** 2)
        return outer.gradient(first, images)
    import jax

    values, rest = ([variable.value for variable in some] for some in (made.trainable_variables, made.non_trainable_variables))

    def squares(images):
        return (made.stateless_call(values, rest, images, training=True)[0] ** 2).sum()

    return jax.jit(jax.grad(lambda images: (jax.grad(squares)(images) ** 2).sum()))(x)


def counted(patch: pytest.MonkeyPatch) -> list[str]:
    """Grows with each layer that is trained, or traced, on the kernel."""
    calls: list[str] = []
    honest, product = fused_layer.train_fused, dispatch.kernel_ops().product

    def train_fused(*arguments):
        calls.append("layer")
        return honest(*arguments)

    def counted_product(*arguments):
        calls.append("product")
        return product(*arguments)

    patch.setattr(attention, "train_fused", train_fused)
    patch.setattr(dispatch.kernel_ops(), "product", counted_product)
    return calls


def fitted(plain: bool) -> list[float]:
    """Losses of a few steps of `fit` on the same pictures."""
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(8)
    x, y = random.standard_normal((20, 32, 32, 3)).astype("float32"), random.integers(0, 10, 20)
    with use_kernel("plain") if plain else contextlib.nullcontext():
        model = create_model("axial_resnet_cifar10_xs")
        jit = False if keras.backend.backend() == "tensorflow" else "auto"
        model.compile(keras.optimizers.SGD(0.05, 0.9), loss_options={}, jit_compile=jit)
        history = model.fit(x, {"labels": y}, batch_size=8, epochs=3, shuffle=False, verbose=0)  # the last batch is smaller
    return history.history["loss"]


def refused() -> dict[str, bool]:
    """Tell whether the kernel would train a layer that it must not."""
    x = np.zeros((1, 9, 5, 12), "float32")

    def can(made: AxialAttention, x: np.ndarray) -> bool:
        return fused_layer.can_train_fused(made, keras.ops.convert_to_tensor(x), 0)

    frozen = layer()
    frozen.norm_output.trainable = False
    actual = {"served": can(layer(), x), "span": can(layer(span=3), x), "frozen norm": can(frozen, x)}
    actual["float64"] = can(copied(layer(), "float64"), x.astype("float64"))
    actual["mixed"] = can(copied(layer(), "mixed_bfloat16"), x)
    with use_kernel("plain"):
        actual["plain"] = can(layer(), x)
    return actual


def measured(large: bool) -> dict[str, Any]:
    actual: dict[str, Any] = {"differences": {}}
    for name, fields, size in cases(large):
        actual["differences"][name] = differences(*made_case(fields, size))
    actual["differences"] |= convolutions(large) | pooled()
    actual |= {"planted": planted(), "pool turned": pool_turned(), "refused": refused(), "second": second()}
    with pytest.MonkeyPatch.context() as patch:
        calls = counted(patch)
        actual["fit"] = fitted(False)
        actual["calls"] = {name: calls.count(name) for name in ("layer", "product")}
        calls.clear()
        actual["plain fit"] = fitted(True)
        actual["calls in plain"] = len(calls)
    return actual
