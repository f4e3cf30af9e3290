"""Keras's layers on the fused kernel, on the back end of this process."""

from __future__ import annotations

import ctypes
import importlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest

from axialzoo.keras.attention import AxialAttention
from axialzoo.ops.keras import inference
from axialzoo.ops.kernels import Kernel, bindings, kernel, use_kernel
from axialzoo.ops.kernels.structures import AxialForward
from axialzoo.spec import Attention, Norm
from axialzoo.spec.attention import SIMILARITY_TERMS, VALUE_TERMS

ENTRY = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(AxialForward), ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
KEPT: list[Any] = []  # what C calls must not be collected


def some(terms: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [chosen for count in range(1, len(terms) + 1) for chosen in itertools.combinations(terms, count)]


def cases(large: bool) -> Iterator[tuple[str, dict[str, Any], tuple[int, ...]]]:
    """Name, fields of the layer and (N, H, W)."""
    grid = list(itertools.product(some(SIMILARITY_TERMS), some(VALUE_TERMS)))
    for index, (similarity, value) in enumerate(grid if large else grid[::5]):
        yield f"terms {similarity} {value}", {"similarity": similarity, "value": value, "axis": index % 2}, (3, 9, 7)
    for span, positions, beyond_tables in itertools.product((None, 3, 7) if large else (None, 5), (2, 9, 40), ("local", "interpolate")):
        for axis in (0, 1):
            yield (
                f"span {span} {positions} {beyond_tables} {axis}",
                dict(span=span, max_length=positions, beyond_tables=beyond_tables, axis=axis),
                (1, 11, 13),
            )
    for length, heads, depth in ((1, 1, 1), (56, 8, 4), (65, 3, 5), (7, 16, 8)) if large else ((1, 1, 1), (33, 3, 5)):
        for axis, batch in ((0, 1), (1, 3)):
            fields = {
                "axis": axis,
                "heads": heads,
                "key_channels": heads * depth,
                "value_channels": 2 * heads * depth,
                "max_length": length,
            }
            yield f"length {length} {heads} {depth} {axis}", fields, (batch, length, 5) if axis == 0 else (batch, 4, length)
    for value in (VALUE_TERMS, ("position",)):
        yield f"gated {value}", {"gated": True, "value": value, "axis": 0}, (1, 9, 5)
    for encoding, axis in itertools.product(("absolute", "sinusoidal"), (0, 1)):
        yield f"{encoding} {axis}", {"encoding": encoding, "similarity": ("content",), "value": ("content",), "axis": axis}, (3, 12, 5)


def layer(axis: int = 0, **fields: Any) -> AxialAttention:
    """A layer away from its initial values."""
    spec = Attention(**{"key_channels": 8, "value_channels": 16, "heads": 4, "max_length": 9, **fields})
    built = AxialAttention(12, spec, Norm(), axis, dtype="float32")
    built.build((None, None, None, 12))
    random = np.random.default_rng(0)
    for variable in built.weights:
        noise = random.standard_normal(variable.shape)
        if variable.path.endswith("moving_variance"):
            variable.assign(0.5 + np.abs(noise))
        elif variable.path.endswith(("moving_mean", "beta")):
            variable.assign(0.3 * noise)
        else:
            variable.assign((1 if variable.path.endswith("gamma") else 0) + 0.3 * noise)
    return built


def folded(source: AxialAttention) -> AxialAttention:
    built = AxialAttention.from_config(source.get_config())
    built.build((None, None, None, source.inputs))
    built.set_weights(source.get_weights())
    built.fold()
    built.trainable = False
    return built


def relative(actual, expected) -> float:
    actual, expected = (keras.ops.convert_to_numpy(x).astype(np.float64) for x in (actual, expected))
    assert actual.shape == expected.shape
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))


PLANTED = (
    *("qkv/kernel", "norm_qkv/beta", "norm_output/beta", "norm_output/gamma", "norm_similarity/gamma"),
    *("query_position", "key_position", "value_position"),
)


def planted() -> dict[str, float]:
    """Change of the output if a variable of a folded layer has its rows reversed."""
    x = np.random.default_rng(2).standard_normal((2, 9, 5, 12)).astype("float32")
    plain, actual = layer(), {}
    for name in PLANTED:
        form = folded(plain)
        form(x, training=False)  # whatever is kept between calls is kept now
        variable = next(weight for weight in form.weights if weight.path.endswith(name))
        variable.assign(np.flip(keras.ops.convert_to_numpy(variable), 0))
        actual[name] = relative(form(x, training=False), plain(x, training=False))
    return actual


def counted(patch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each call of the kernel, whoever calls it."""
    calls, serving = [], Kernel.run
    if keras.backend.backend() != "torch":
        between(lambda arguments: calls.append(1))
        return calls

    def run(self, name, arguments, threads=1):
        calls.extend([threads] * (name == "forward"))
        serving(self, name, arguments, threads)

    patch.setattr(Kernel, "run", run)
    return calls


def between(look: Callable[[AxialForward], object]) -> None:
    """Puts `look` between the back end's operator and the kernel: it sees the arguments of each call, and may change them."""
    actual, path = kernel(), bindings.framework_op(keras.backend.backend())
    assert actual is not None and path is not None
    serving = ENTRY(actual.symbol_address("axial_forward"))

    def entry(arguments, isa, threads, parallel):
        look(arguments.contents)
        return serving(arguments, isa, threads, parallel)

    folded(layer())(np.zeros((1, 2, 2, 12), "float32"))  # registers the operator, and binds the kernel itself
    KEPT.append(ENTRY(entry))
    ctypes.CDLL(path).axial_bind(0, KEPT[-1])


def nothing_between() -> None:
    """Binds the back end's operator to the kernel itself again."""
    actual, path = kernel(), bindings.framework_op(keras.backend.backend())
    if actual is not None and path is not None:
        ctypes.CDLL(path).axial_bind(0, ENTRY(actual.symbol_address("axial_forward")))


def swapped_scales() -> float:
    """Change of the output if the operator swaps the factors of q.rq and k.rk."""
    x, form = np.random.default_rng(2).standard_normal((2, 9, 5, 12)).astype("float32"), folded(layer())
    before = form(x, training=False)

    def swap(arguments: AxialForward) -> None:
        arguments.query_scale, arguments.key_scale = arguments.key_scale, arguments.query_scale

    between(swap)
    return relative(form(x, training=False), before)


def gradients() -> dict[str, float]:
    """Gradients by the input of what the kernel computed, against those of the plain form."""
    actual, x = {}, np.random.default_rng(2).standard_normal((2, 9, 5, 12)).astype("float32")
    for name, fields in {"all": {}, "span": {"span": 5, "axis": 1}, "content": {"similarity": ("content",), "value": ("content",)}}.items():
        form = folded(layer(**fields))
        served = in_backend().gradient(form, x)
        with use_kernel("plain"):
            actual[name] = relative(served, in_backend().gradient(form, x))
    return actual


def without_headers(calls: list[int]) -> tuple[float, int, str]:
    """Change of the output if the operator cannot be compiled, number of calls of the kernel, and the message about it."""
    backend, form = keras.backend.backend(), folded(layer())
    x = np.random.default_rng(2).standard_normal((2, 9, 5, 12)).astype("float32")
    expected, before = form(x, training=False), len(calls)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(bindings.BINDINGS, backend, bindings.Framework("numpy", "nowhere.h"))
        look_again()
        measured = relative(form(x, training=False), expected), len(calls) - before, bindings.binding_status(backend).reason
    look_again()
    return measured


def look_again() -> None:
    """Forgets whether the operator can be compiled."""
    bindings._find.cache_clear()
    inference.kernel_ops()._loaded.cache_clear()


def in_backend() -> Any:
    return importlib.import_module(f"tests.kernels.keras_fused_{keras.backend.backend()}")


def measured(large: bool) -> dict[str, Any]:
    actual: dict[str, Any] = {"backend": keras.backend.backend(), "cases": {}}
    with pytest.MonkeyPatch.context() as patch:
        calls = counted(patch)
        thinned = 1 if large else {"torch": 1, "tensorflow": 9, "jax": 18}[keras.backend.backend()]  # JAX compiles each case
        for name, fields, size in itertools.islice(cases(large), 0, None, thinned):
            source = layer(**fields)
            form = folded(source)
            x = np.random.default_rng(1).standard_normal((*size, 12)).astype("float32")
            before = len(calls)
            exact, first = source(x, training=False), form(x, training=False)
            with use_kernel("plain"):
                plain = form(x, training=False)
            actual["cases"][name] = [relative(first, plain), relative(form(x, training=False), plain), relative(first, exact)]
            actual.setdefault("calls", []).append(len(calls) - before)
        actual["planted"] = planted()
        if keras.backend.backend() != "torch":
            try:
                actual["gradients"] = gradients()
                actual["swapped"] = swapped_scales()
                calls = counted(patch)
                actual |= in_backend().checks(calls)
                actual["without headers"] = without_headers(calls)
            finally:
                nothing_between()
    return actual
