"""Errors that are easy to make in a port move what is compared far beyond the tolerance of the comparison."""

from __future__ import annotations

import pytest

from tests.parity import reference

TOLERANCE = 1e-9


def errors(results, name: str) -> tuple[float, float]:
    """Of the output in evaluation, and of the moving statistics after one call in training."""
    wanted = reference.planted()
    found = {key: reference.relative(results[f"planted/{name}/{key}"], array) for key, array in wanted.items()}
    return found.pop("output"), max(found.values())


def test_nothing_wrong_passes(results):
    assert max(errors(results, "right")) <= TOLERANCE


@pytest.mark.parametrize("name", ["transposed_kernel", "transposed_projection", "reversed_position_index", "swapped_axes", "wrong_epsilon"])
def test_planted_error_is_caught_by_the_outputs(results, name):
    assert errors(results, name)[0] > 1e5 * TOLERANCE


@pytest.mark.parametrize("name", ["wrong_momentum", "biased_variance"])
def test_planted_error_invisible_in_evaluation_is_caught_by_the_moving_statistics(results, name):
    output, moving = errors(results, name)
    assert output <= TOLERANCE
    assert moving > 1e5 * TOLERANCE
