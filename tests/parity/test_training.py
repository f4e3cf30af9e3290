"""Twenty steps from one checkpoint on the same batches end at the same parameters and moving statistics."""

from __future__ import annotations

import numpy as np
import pytest

from axialzoo.spec import Parameter
from tests.parity import common, reference

TOLERANCE = 1e-8  # relative, float64
pytestmark = [
    pytest.mark.backends(*common.BACKENDS, every={"tensorflow": 5, "jax": 11, "torch": 3}),
    pytest.mark.usefixtures("float64_optimizers"),
]


def errors(in_keras, network: str, optimizer: str, wanted, by_role: bool = False) -> dict[str, float]:
    tensors = in_keras.trained(network, optimizer, by_role)
    return {name: reference.relative(tensors[name], array) for name, array in wanted.items()}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("network", common.TRAINED)
def test_twenty_steps_end_where_pytorch_ends(in_keras, network, optimizer):
    start, expected = common.tensors(common.TRAINED[network].spec, last_gamma=0.1), reference.trained(network, optimizer)
    assert {name for name, error in errors(in_keras, network, optimizer, expected).items() if error > TOLERANCE} == set()
    still = {name for name, array in expected.items() if np.array_equal(array, start[name])}
    assert all(name.endswith(common.WITHOUT_EFFECT) for name in still), still


def test_one_step_fewer_is_caught(in_keras, monkeypatch):
    in_keras.trained("axial", "sgd", False)
    monkeypatch.setattr(common, "STEPS", common.STEPS - 1)
    assert max(errors(in_keras, "axial", "sgd", reference.trained.__wrapped__("axial", "sgd")).values()) > 1e4 * TOLERANCE


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("network", common.DECAYING)
def test_kernels_and_projections_decay_and_gates_and_positions_do_not(in_keras, network, optimizer):
    expected = reference.decayed(network, optimizer)
    assert {name for name, error in errors(in_keras, network, optimizer, expected, True).items() if error > TOLERANCE} == set()
    assert any(name.endswith("gates" if network == "gated" else "position") for name in expected)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("network", common.DECAYING)
def test_decaying_gates_and_positions_is_caught(in_keras, network, optimizer, monkeypatch):
    in_keras.trained(network, optimizer, True)
    monkeypatch.setattr(Parameter, "decays", property(lambda self: self.role in ("conv", "linear", "position")))
    assert max(errors(in_keras, network, optimizer, reference.decayed.__wrapped__(network, optimizer), True).values()) > 1e4 * TOLERANCE
