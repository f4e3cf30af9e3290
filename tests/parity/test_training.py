"""Twenty steps from one checkpoint on the same batches end at the same parameters and moving statistics."""

from __future__ import annotations

import numpy as np
import pytest

from axialzoo.spec import Parameter
from tests.parity import common, reference

TOLERANCE = 1e-8  # relative, float64


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("network", common.TRAINED)
def test_twenty_steps_end_where_pytorch_ends(results, network, optimizer):
    start, wanted = common.tensors(common.TRAINED[network].spec, last_gamma=0.1), reference.trained(network, optimizer)
    errors = {name: reference.relative(results[f"training/{network}/{optimizer}/{name}"], array) for name, array in wanted.items()}
    assert {name for name, error in errors.items() if error > TOLERANCE} == set()
    still = {name for name, array in wanted.items() if np.array_equal(array, start[name])}
    without_effect = ("norm_similarity.bias", "height.norm_output.bias")  # a softmax, or the next norm, takes any shift away
    assert all(name.endswith(without_effect) for name in still), still


def test_one_step_fewer_is_caught(results, monkeypatch):
    monkeypatch.setattr(common, "STEPS", common.STEPS - 1)
    wanted = reference.trained.__wrapped__("axial", "sgd")
    assert max(reference.relative(results[f"training/axial/sgd/{name}"], array) for name, array in wanted.items()) > 1e4 * TOLERANCE


def decay_errors(results, network: str, optimizer: str, wanted) -> dict[str, float]:
    return {name: reference.relative(results[f"decay/{network}/{optimizer}/{name}"], array) for name, array in wanted.items()}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("network", common.DECAYING)
def test_kernels_and_projections_decay_and_gates_and_positions_do_not(results, network, optimizer):
    wanted = reference.decayed(network, optimizer)
    errors = decay_errors(results, network, optimizer, wanted)
    assert {name for name, error in errors.items() if error > TOLERANCE} == set()
    assert any(name.endswith("gates" if network == "gated" else "position") for name in wanted)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("network", common.DECAYING)
def test_decaying_gates_and_positions_is_caught(results, network, optimizer, monkeypatch):
    monkeypatch.setattr(Parameter, "decays", property(lambda self: self.role in ("conv", "linear", "position")))
    wanted = reference.decayed.__wrapped__(network, optimizer)
    assert max(decay_errors(results, network, optimizer, wanted).values()) > 1e4 * TOLERANCE
