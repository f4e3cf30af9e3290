"""Keras's gradient of every parameter is PyTorch's, in training mode; deep networks one block at a time."""

from __future__ import annotations

import numpy as np
import pytest

from axialzoo.spec import parameters
from tests.parity import common, reference
from tests.parity.common import BACKENDS, CASES, outputs_and_dtypes

TOLERANCE = {"float64": 1e-8, "float32": 1e-4}  # relative to the largest of the parameter's gradient
FLOOR = 1e-3  # of the largest gradient of all: smaller gradients are rounding errors of larger terms


def gradients(in_keras, name: str, dtype: str) -> dict[str, np.ndarray]:
    case = CASES[name]
    model = in_keras.model_of(case.spec, dtype, common.tensors(case.spec, dtype, last_gamma=0.1))
    return in_keras.canonical(model, in_keras.step(model)(in_keras.last(case.images(dtype)), case.targets(dtype))[1])


def errors(gradients: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> dict[str, float]:
    floor = FLOOR * max(np.abs(gradient).max() for gradient in wanted.values())
    return {name: reference.relative(gradients[name], gradient, floor) for name, gradient in wanted.items()}


@pytest.mark.backends(*BACKENDS, every={"tensorflow": 5, "jax": 17, "torch": 2})
@pytest.mark.parametrize(("name", "dtype"), outputs_and_dtypes({name: case for name, case in CASES.items() if case.gradients}))
def test_gradients_are_those_of_pytorch(in_keras, name, dtype):
    every = errors(gradients(in_keras, name, dtype), reference.gradients(CASES[name], dtype))
    assert set(every) == {parameter.name for parameter in parameters(CASES[name].spec) if parameter.trainable}
    assert {key: value for key, value in every.items() if value > TOLERANCE[dtype]} == {}


@pytest.mark.backends(*BACKENDS)
def test_a_gradient_of_the_wrong_sign_is_caught(in_keras):
    name, turned = "xs_square", "stages.1.blocks.0.height.query_position"
    planted = gradients(in_keras, name, "float64")
    planted[turned] = -planted[turned]
    assert errors(planted, reference.gradients(CASES[name], "float64"))[turned] > 1
