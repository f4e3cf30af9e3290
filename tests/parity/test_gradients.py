"""Keras's gradient of every parameter is PyTorch's, in training mode; deep networks one block at a time."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from axialzoo.spec import parameters
from tests.parity import reference
from tests.parity.common import CASES, cases

TOLERANCE = {"float64": 1e-8, "float32": 1e-4}  # relative to the largest of the parameter's gradient
FLOOR = 1e-3  # of the largest gradient of all: smaller gradients are rounding errors of larger terms

reference_of = functools.cache(lambda name, dtype: reference.gradients(CASES[name], dtype))


def errors(results, name: str, dtype: str) -> dict[str, float]:
    wanted = reference_of(name, dtype)
    floor = FLOOR * max(np.abs(gradient).max() for gradient in wanted.values())
    return {key: reference.relative(results[f"gradients/{name}/{dtype}/{key}"], gradient, floor) for key, gradient in wanted.items()}


def check(results, name: str, dtype: str) -> None:
    found = errors(results, name, dtype)
    assert set(found) == {parameter.name for parameter in parameters(CASES[name].spec) if parameter.trainable}
    wrong = {key: value for key, value in found.items() if value > TOLERANCE[dtype]}
    assert not wrong


@pytest.mark.parametrize(("name", "dtype"), [(name, dtype) for name in cases(True) for dtype in CASES[name].dtypes if not CASES[name].full])
def test_gradients_are_those_of_pytorch(results, name, dtype):
    check(results, name, dtype)


@pytest.mark.full
@pytest.mark.parametrize(("name", "dtype"), [(name, dtype) for name in cases(True) for dtype in CASES[name].dtypes if CASES[name].full])
def test_gradients_of_more_blocks_are_those_of_pytorch(measured, backend, name, dtype):
    check(measured(backend, True), name, dtype)


def test_a_gradient_of_the_wrong_sign_is_caught(results):
    key = "gradients/xs_square/float64/stages.1.blocks.0.height.query_position"
    name = key.rpartition("/")[2]
    assert errors(type(results)(results, **{key: -results[key]}), "xs_square", "float64")[name] > 1
