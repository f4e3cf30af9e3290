"""Keras computes what PyTorch computes, in evaluation: every registered model, every kind of block, any size."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
import torch

from axialzoo.spec import count, entry, list_models, parameters, without_head
from axialzoo.torch import build
from tests.parity import reference
from tests.parity.common import CASES, DYNAMIC, SYMBOLIC

# float64 relative to the largest value, float32 absolute on values of order 1
TOLERANCE = {"float64": 1e-9, "float32": 2e-5}

reference_of = functools.cache(lambda name, dtype: reference.forward(CASES[name], dtype))


def error(found: np.ndarray, wanted: np.ndarray, dtype: str) -> float:
    if dtype == "float64":
        return reference.relative(found, wanted)
    return float(np.abs(found - wanted).max() / max(1.0, np.abs(wanted).std()))


@pytest.mark.parametrize(("name", "dtype"), [(name, dtype) for name, case in CASES.items() if not case.full for dtype in case.dtypes])
def test_outputs_are_those_of_pytorch(results, name, dtype):
    found, wanted = results[f"forward/{name}/{dtype}"], reference_of(name, dtype)
    assert found.dtype == wanted.dtype == dtype
    assert np.abs(wanted).max() > 0.1
    assert error(found, wanted, dtype) <= TOLERANCE[dtype]


def test_every_registered_model_is_compared():
    specs = [case.spec for case in CASES.values()]
    assert not [name for name in list_models() if entry(name).spec not in specs and name not in SYMBOLIC]
    assert all(count(entry(name).spec) > 12e6 for name in SYMBOLIC)  # of the rest, the families are compared


@pytest.mark.full
@pytest.mark.parametrize(("name", "dtype"), [(name, dtype) for name, case in CASES.items() if case.full for dtype in case.dtypes])
def test_outputs_on_the_larger_grid_are_those_of_pytorch(measured, backend, name, dtype):
    assert error(measured(backend, True)[f"forward/{name}/{dtype}"], reference_of(name, dtype), dtype) <= TOLERANCE[dtype]


@pytest.mark.full
@pytest.mark.parametrize("name", SYMBOLIC)
def test_the_largest_models_have_the_shapes_and_variables_of_pytorch(measured, backend, name):
    spec = entry(name).spec
    shapes = json.loads(str(measured(backend, True)[f"symbolic/{name}/shapes"]))
    variables = json.loads(str(measured(backend, True)[f"symbolic/{name}/variables"]))
    with torch.device("meta"):
        features = build(spec, features_only=True).eval()(torch.empty(1, 3, 65, 97))
    assert [[*shape[1:]] for shape in shapes] == [[*x.shape[2:], x.shape[1]] for x in features]
    assert variables == {parameter.keras_name: list(parameter.keras_shape) for parameter in parameters(without_head(spec))}


@pytest.mark.parametrize("size_and_mode", ["False", "True"])
@pytest.mark.parametrize("name", DYNAMIC)
def test_sizes_known_only_at_run_time_give_the_same(measured, name, size_and_mode):
    pytest.importorskip("tensorflow")
    results = measured("tensorflow")
    errors = [results[key] for key in results if key.startswith(f"dynamic/{name}/") and key.endswith(size_and_mode)]
    assert len(errors) == (1 if size_and_mode == "True" else 3)
    assert max(errors) <= 1e-9
