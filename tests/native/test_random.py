"""The native runtime against PyTorch on random networks, and against float64 on every registered one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axialzoo.native import Engine
from axialzoo.runtime.local import InProcessModel, torch_model
from axialzoo.spec import Model, get_entry, list_models
from tests.native.test_agreement import arrays, images
from tests.parity.common import tensors
from tests.spec.strategies import models

RELATIVE = 1e-5
ROUNDING = 5e-7  # a few roundings of float32, which make no difference whoever has fewer
SIZES = ((33, 49), (51, 35))
sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))
networks = st.builds(lambda spec, headless: replace(spec, head=None) if headless else spec, models(), st.booleans())


def distance(spec: Model, size: tuple[int, int], batch: int, factor: float = 1.0) -> float:
    """Largest difference from PyTorch in float64, over the largest value; `factor` scales the first weight of the native runtime.

    Outputs that almost cancel, or are all 0, count as 0.1; the images are of about 1.
    """
    weights = tensors(spec, "float32")
    x = images(spec, size, batch)
    expected = InProcessModel(torch_model(spec, weights, "float64"), "float64").outputs(x)
    first = next(name for name in weights if name.endswith("weight"))
    outputs = Engine(spec, {**weights, first: weights[first] * np.float32(factor)}).outputs(x)
    pairs = zip(arrays(outputs), arrays(expected), strict=True)
    return max(float(np.abs(y - reference).max() / max(np.abs(reference).max(), 0.1)) for y, reference in pairs)


@settings(max_examples=6, deadline=None, derandomize=True, database=None)
@given(networks, sizes, st.integers(1, 3))
def test_random_networks_compute_what_pytorch_computes(spec, size, batch):
    assert distance(spec, size, batch) <= RELATIVE


@pytest.mark.full
@settings(max_examples=1000, deadline=None, database=None)
@given(networks, sizes, st.integers(1, 3))
def test_many_random_networks_compute_what_pytorch_computes(spec, size, batch):
    assert distance(spec, size, batch) <= RELATIVE


def test_a_scaled_weight_is_caught():
    spec = get_entry("axial_resnet_cifar10_xs").spec
    assert distance(spec, (19, 22), 2) <= RELATIVE < distance(spec, (19, 22), 2, 1.001)


def root_mean_square(outputs, expected) -> float:
    pairs = zip(arrays(outputs), arrays(expected), strict=True)
    return max(float(np.sqrt(np.mean((y - reference) ** 2) / np.mean(reference**2))) for y, reference in pairs)


@pytest.mark.full
@pytest.mark.parametrize("name", list_models())
def test_float64_is_as_near_as_it_is_to_pytorch_s_float32(name, capsys):
    spec = get_entry(name).spec
    weights = tensors(spec, "float32")
    native = Engine(spec, weights)
    single, double = (InProcessModel(torch_model(spec, weights, precision), precision) for precision in ("float32", "float64"))
    for size in SIZES:
        x = images(spec, size, 8)  # the error of a few numbers is chance
        expected = double.outputs(x)
        own, pytorch = (root_mean_square(model.outputs(x), expected) for model in (native, single))
        with capsys.disabled():
            print(f"\n{name:45} {size[0]:3} x {size[1]:3}   native {own:.1e}   PyTorch {pytorch:.1e}   ratio {own / pytorch:.2f}", end="")
        assert own <= max(2 * pytorch, ROUNDING)
