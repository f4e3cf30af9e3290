"""Keras's layers train on the fused kernel as in plain operations."""

from __future__ import annotations

import pytest

from axialzoo.ops.kernels import kernel

pytestmark = pytest.mark.backends("torch", full=("tensorflow", "jax"))


@pytest.fixture(scope="module", params=["small", pytest.param("large", marks=pytest.mark.full)])
def found(request) -> dict:
    if kernel() is None:
        pytest.skip("no kernel: there is no compiler here")
    from tests.kernels import keras_training

    return keras_training.measured(request.param == "large")


def test_outputs_gradients_and_statistics_are_those_of_the_plain_form(found):
    for case, errors in found["differences"].items():
        assert {name: item for name, (item, *_) in errors.items() if not item <= (1e-5 if name == "output" else 1e-4)} == {}, case


def test_they_are_as_exact_as_those_of_the_plain_form(found):
    for case, errors in found["differences"].items():
        ours, plain = (sum(error[index] for error in errors.values()) for index in (1, 2))
        assert ours <= 2 * plain, case


def test_gradients_of_gradients_are_those_of_the_plain_form(found):
    assert found["second"] <= 1e-3


def test_a_planted_error_is_seen(found):
    assert found["planted"] > 1e-3 and found["pool turned"] > 1e-3


def test_where_it_does_not_serve_the_plain_form_does(found):
    assert [name for name, serves in found["refused"].items() if serves] == ["served"]


def test_fit_takes_the_kernel_and_its_loss_follows_the_plain_one(found):
    ours, plain = found["fit"], found["plain fit"]
    assert found["calls"]["layer"] >= 4 and found["calls"]["product"] >= 11 and found["calls in plain"] == 0
    assert ours[-1] < 0.9 * ours[0]
    assert max(abs(item - other) for item, other in zip(ours, plain, strict=True)) <= 1e-3
