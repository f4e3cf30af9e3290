"""Keras gives the authors' numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.golden import deeplab2, reference
from tests.parity import common

TOLERANCE = 5e-5  # absolute, across frameworks; the smallest planted error moves the logits by 1.7e-4


def test_network_gives_the_authors_logits(results):
    assert np.abs(results["golden/network/logits"] - reference.network_golden()["logits"]).max() <= TOLERANCE


@pytest.mark.parametrize("case", reference.layer_cases(), ids=lambda case: case.name)
def test_layer_gives_the_authors_numbers_in_either_mode(results, case):
    for mode, wanted in (("eval", case.eval), ("train", case.train)):
        assert np.abs(case.finish(results[f"golden/{case.name}/{mode}"]) - wanted).max() <= TOLERANCE
    assert case.after
    for name, wanted in case.after.items():
        assert np.abs(results[f"golden/{case.name}/after/{name}"] - wanted).max() <= TOLERANCE


# deeplab2


@pytest.mark.parametrize("case", deeplab2.layer_cases(), ids=lambda case: case.name)
def test_layer_gives_deeplab2s_numbers_in_either_mode(results, case):
    for mode, wanted in (("eval", case.eval), ("train", case.train)):
        assert np.abs(results[f"deeplab2/{case.name}/{mode}"] - wanted).max() <= TOLERANCE
    assert case.after
    for name, wanted in case.after.items():
        assert np.abs(results[f"deeplab2/{case.name}/after/{name}"] - wanted).max() <= TOLERANCE


@pytest.mark.parametrize("file", [*common.DEEPLAB2, *(pytest.param(file, marks=pytest.mark.full) for file in common.DEEPLAB2_FULL)])
def test_network_gives_deeplab2s_endpoints_and_a_reversed_index_does_not(measured, backend, file):
    results = measured(backend, file in common.DEEPLAB2_FULL)
    assert results[f"deeplab2/{file}"] <= TOLERANCE
    assert results[f"deeplab2/{file}/planted"] > 20 * TOLERANCE
