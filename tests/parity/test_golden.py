"""Keras gives the authors' numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.golden import reference

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
