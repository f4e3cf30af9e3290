"""Keras's layers on the fused kernel, in a process of its own: ``python -m tests.kernels.keras_fused large|small``; prints JSON."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from axialzoo.keras.attention import AxialAttention
from axialzoo.kernels import Kernel, use_kernel
from axialzoo.spec import Attention, Norm
from axialzoo.spec.attention import SIMILARITY_TERMS, VALUE_TERMS


def some(terms: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [chosen for count in range(1, len(terms) + 1) for chosen in itertools.combinations(terms, count)]


def cases(large: bool) -> Iterator[tuple[str, dict[str, Any], tuple[int, ...]]]:
    """Name, fields of the layer and (N, H, W)."""
    grid = list(itertools.product(some(SIMILARITY_TERMS), some(VALUE_TERMS)))
    for index, (similarity, value) in enumerate(grid if large else grid[::5]):
        yield f"terms {similarity} {value}", {"similarity": similarity, "value": value, "axis": index % 2}, (3, 9, 7)
    for span, positions, long_axis in itertools.product((None, 3, 7) if large else (None, 5), (2, 9, 40), ("local", "interpolate")):
        for axis in (0, 1):
            yield (
                f"span {span} {positions} {long_axis} {axis}",
                dict(span=span, positions=positions, long_axis=long_axis, axis=axis),
                (1, 11, 13),
            )
    for length, heads, depth in ((1, 1, 1), (56, 8, 4), (65, 3, 5), (7, 16, 8)) if large else ((1, 1, 1), (33, 3, 5)):
        for axis, batch in ((0, 1), (1, 3)):
            fields = {"axis": axis, "heads": heads, "key_channels": heads * depth, "value_channels": 2 * heads * depth, "positions": length}
            yield f"length {length} {heads} {depth} {axis}", fields, (batch, length, 5) if axis == 0 else (batch, 4, length)
    for value in (VALUE_TERMS, ("position",)):
        yield f"gated {value}", {"gated": True, "value": value, "axis": 0}, (1, 9, 5)
    for encoding, axis in itertools.product(("absolute", "sinusoidal"), (0, 1)):
        yield f"{encoding} {axis}", {"encoding": encoding, "similarity": ("content",), "value": ("content",), "axis": axis}, (3, 12, 5)


def layer(axis: int = 0, **fields: Any) -> AxialAttention:
    """A layer away from its initial values."""
    spec = Attention(**{"key_channels": 8, "value_channels": 16, "heads": 4, "positions": 9, **fields})
    made = AxialAttention(12, spec, Norm(), axis, dtype="float32")
    made.build((None, None, None, 12))
    random = np.random.default_rng(0)
    for variable in made.weights:
        noise = random.standard_normal(variable.shape)
        if variable.path.endswith("moving_variance"):
            variable.assign(0.5 + np.abs(noise))
        elif variable.path.endswith(("moving_mean", "beta")):
            variable.assign(0.3 * noise)
        else:
            variable.assign((1 if variable.path.endswith("gamma") else 0) + 0.3 * noise)
    return made


def folded(source: AxialAttention) -> AxialAttention:
    made = AxialAttention.from_config(source.get_config())
    made.build((None, None, None, source.inputs))
    made.set_weights(source.get_weights())
    made.fold()
    made.trainable = False
    return made


def relative(found, expected) -> float:
    found, expected = (keras.ops.convert_to_numpy(x).astype(np.float64) for x in (found, expected))
    assert found.shape == expected.shape
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


PLANTED = (
    *("qkv/kernel", "norm_qkv/beta", "norm_output/beta", "norm_output/gamma", "norm_similarity/gamma"),
    *("query_position", "key_position", "value_position"),
)


def planted() -> dict[str, float]:
    """How far the output moves where a variable of a folded layer has its rows the other way round."""
    x = np.random.default_rng(2).standard_normal((2, 9, 5, 12)).astype("float32")
    plain, found = layer(), {}
    for name in PLANTED:
        form = folded(plain)
        form(x, training=False)  # whatever is kept between calls is kept now
        variable = next(one for one in form.weights if one.path.endswith(name))
        variable.assign(np.flip(keras.ops.convert_to_numpy(variable), 0))
        found[name] = relative(form(x, training=False), plain(x, training=False))
    return found


def counted() -> list[int]:
    """Grows by one with each call of the kernel."""
    calls, serving = [], Kernel.forward

    def forward(self, arguments, threads=1):
        calls.append(threads)
        serving(self, arguments, threads)

    Kernel.forward = forward
    return calls


def main(large: bool) -> None:
    found: dict[str, Any] = {"cases": {}}
    calls = counted()
    for name, fields, size in cases(large):
        source = layer(**fields)
        form = folded(source)
        x = np.random.default_rng(1).standard_normal((*size, 12)).astype("float32")
        exact, fused = source(x, training=False), form(x, training=False)
        with use_kernel("plain"):
            plain = form(x, training=False)
        found["cases"][name] = [relative(fused, plain), relative(form(x, training=False), plain), relative(fused, exact)]
    found["calls"] = len(calls)
    found["planted"] = planted()
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1] == "large")
