"""Errors that are easy to make in a port move what is compared far beyond the tolerance of the comparison."""

from __future__ import annotations

from dataclasses import replace

import pytest

from axialzoo.spec import Norm
from tests.parity import common, reference
from tests.parity.common import PLANTED

TOLERANCE = 1e-9
pytestmark = pytest.mark.backends(*common.BACKENDS)


def errors(in_keras, tensors=None, change=lambda model: None, **norm) -> tuple[float, float]:
    """Return those of the output in evaluation, and of the moving statistics after one call in training."""
    spec = replace(PLANTED.spec, backbone=replace(PLANTED.spec.backbone, norm=replace(Norm(), **norm))) if norm else PLANTED.spec
    model, x = in_keras.model_of(spec, "float64", tensors), in_keras.last(PLANTED.images("float64"))
    change(model)
    measured = {"output": in_keras.forward(model, x)}
    in_keras.forward(model, x, training=True)
    measured |= {f"after/{name}": value for name, value in in_keras.to_tensors(model).items()}
    every = {name: reference.relative(measured[name], array) for name, array in reference.planted().items()}
    return every.pop("output"), max(every.values())


def with_changed(ending: str, change):
    return {name: change(array) if name.endswith(ending) else array for name, array in common.tensors(PLANTED.spec).items()}


def swap(model) -> None:
    block = model.get_layer("stages.0.blocks.0")
    block.height.axis, block.width.axis = 1, 0


VISIBLE = {
    "transposed_kernel": lambda: {"tensors": with_changed("spatial1.conv.weight", lambda array: array.swapaxes(2, 3))},
    "transposed_projection": lambda: {"tensors": with_changed("width.qkv.weight", lambda array: array.T.reshape(array.shape))},
    "reversed_position_index": lambda: {"tensors": with_changed("_position", lambda array: array[::-1])},
    "swapped_axes": lambda: {"change": swap},
    "wrong_epsilon": lambda: {"epsilon": 1e-3},
}


def test_nothing_wrong_passes(in_keras):
    assert max(errors(in_keras)) <= TOLERANCE


@pytest.mark.parametrize("name", VISIBLE)
def test_planted_error_is_caught_by_the_outputs(in_keras, name):
    assert errors(in_keras, **VISIBLE[name]())[0] > 1e5 * TOLERANCE


@pytest.mark.parametrize("name", ["wrong_momentum", "biased_variance"])
def test_planted_error_invisible_in_evaluation_is_caught_by_the_moving_statistics(in_keras, name, monkeypatch):
    if name == "biased_variance":
        monkeypatch.setattr("axialzoo.keras.norm._unbiased", lambda variance, n: variance)
    output, moving = errors(in_keras, **({"momentum": 0.9} if name == "wrong_momentum" else {}))
    assert output <= TOLERANCE
    assert moving > 1e5 * TOLERANCE
