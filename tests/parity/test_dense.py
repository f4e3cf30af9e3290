"""Segmentation and detection trained twenty steps by their heads' own losses: Keras ends where PyTorch ends."""

from __future__ import annotations

import numpy as np
import pytest

from tests.parity import common, dense, reference

WEIGHTS, MAPS = 1e-8, 1e-9  # relative to the largest value of each tensor, and of the maps; losses and gradients as maps
FLOOR = 1e-3  # of the largest gradient of all: smaller gradients are rounding errors of larger terms
pytestmark = [
    pytest.mark.backends(dense.BACKEND, full=[name for name in common.BACKENDS if name != dense.BACKEND]),
    pytest.mark.usefixtures("float64_optimizers"),
]


def errors(in_keras, network: str, optimizer: str, wanted) -> dict[str, float]:
    ended = in_keras.dense_trained(network, optimizer)[0]
    return {name: reference.relative(ended[name], array) for name, array in wanted.items()}


def gradient_error(in_keras, network: str, wanted) -> float:
    gradients = in_keras.dense_trained(network, "sgd")[1]  # the same with either optimizer
    floor = FLOOR * max(np.abs(gradient).max() for gradient in wanted.values())
    return max(reference.relative(gradients[name], array, floor) for name, array in wanted.items())


@pytest.mark.parametrize("optimizer", dense.OPTIMIZERS)
@pytest.mark.parametrize("network", dense.CASES)
def test_twenty_steps_end_at_the_same_weights_statistics_and_maps(in_keras, network, optimizer):
    expected = reference.dense_trained(network, optimizer)
    losses = expected["losses"]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])  # it learns, and does not diverge
    actual = errors(in_keras, network, optimizer, expected)
    maps = {name: actual.pop(name) for name in ("maps", "losses")}
    assert max(maps.values()) <= MAPS, maps
    assert {name: error for name, error in actual.items() if error > WEIGHTS} == {}


@pytest.mark.parametrize("network", dense.CASES)
def test_gradients_of_the_heads_own_losses_are_those_of_pytorch(in_keras, network):
    assert gradient_error(in_keras, network, reference.dense_gradients(network)) <= MAPS


@pytest.mark.parametrize("error", dense.PLANTED)
def test_an_error_planted_in_the_targets_is_caught_by_gradients_weights_and_maps(in_keras, error):
    network, change = dense.PLANTED[error]
    assert gradient_error(in_keras, network, reference.dense_gradients(network, change)) > 1e5 * MAPS
    actual = errors(in_keras, network, "sgd", reference.dense_trained(network, "sgd", change))
    assert actual.pop("maps") > 1e4 * MAPS and actual.pop("losses") > 1e5 * MAPS
    assert max(actual.values()) > 1e5 * WEIGHTS
