"""Heads with maps in Keras: deeplab2's numbers, and all that users of Keras rely on."""

from __future__ import annotations

import json

import pytest

from axialzoo.spec import parameters
from tests.parity.common import CASES

TOLERANCE = 2e-5  # relative to the size of an output


def test_the_head_gives_deeplab2s_maps(results):
    assert results["panoptic/right"].max() <= TOLERANCE


@pytest.mark.parametrize("name", ["corners_not_aligned", "skips_first"])
def test_a_planted_error_is_caught_in_each_map(results, name):
    assert results[f"panoptic/{name}"].min() > 50 * TOLERANCE


def test_variable_paths_are_the_canonical_names(results):
    paths = sorted(str(path).replace("/", ".") for path in results["panoptic/paths"])
    assert paths == sorted(parameter.keras_name for parameter in parameters(CASES["panoptic"].spec))


def test_a_saved_model_loads_without_custom_objects(results):
    assert results["panoptic/round_trip"] == 0
    assert results["panoptic/round_trip_same_config"] and results["panoptic/parts_same_config"]


def test_maps_are_float32_where_the_policy_is_mixed(results):
    assert 0 < results["panoptic/mixed"] <= 0.05
    for key in ("panoptic/mixed_outputs", "panoptic/channels_first_mixed"):
        assert json.loads(str(results[key])) == ["float32"]


def test_channels_first_gives_the_same(results):
    assert results["panoptic/channels_first"] <= 2e-6


def test_another_number_of_classes_keeps_all_but_the_last_layer_and_the_things_that_are_left(results):
    assert json.loads(str(results["panoptic/reset"])) == [3, [1], 3]
    assert results["panoptic/reset_keeps"] == -2


def test_what_lies_before_the_classes_is_given_on_demand(results):
    assert list(results["panoptic/pre_logits"]) == [2, 17, 15, 8]
