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


CASES = {case.name: case for case in deeplab2.layer_cases()}


def some_full(names, quick):
    return [name if name in quick else pytest.param(name, marks=pytest.mark.full) for name in names]


@pytest.mark.parametrize("name", some_full(CASES, common.DEEPLAB2_LAYERS))
def test_layer_gives_deeplab2s_numbers_in_either_mode(measured, backend, name):
    case, results = CASES[name], measured(backend, name not in common.DEEPLAB2_LAYERS)
    for mode, wanted in (("eval", case.eval), ("train", case.train)):
        assert np.abs(results[f"deeplab2/{case.name}/{mode}"] - wanted).max() <= TOLERANCE
    assert case.after
    for name, wanted in case.after.items():
        assert np.abs(results[f"deeplab2/{case.name}/after/{name}"] - wanted).max() <= TOLERANCE


@pytest.mark.parametrize("file", some_full(deeplab2.NETWORKS, common.DEEPLAB2))
def test_network_gives_deeplab2s_endpoints_and_a_reversed_index_does_not(measured, backend, file):
    results = measured(backend, file in common.DEEPLAB2_FULL)
    assert results[f"deeplab2/{file}"] <= TOLERANCE
    assert results[f"deeplab2/{file}/planted"] > 20 * TOLERANCE
