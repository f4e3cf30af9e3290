"""Keras models are Keras's own: saved, sliced, fitted, mixed, laid out either way, in input pipelines."""

from __future__ import annotations

import json

import numpy as np
import pytest

from axialzoo.image import preprocess
from axialzoo.spec import parameters
from tests.parity import common

SPEC = common.registered(common.XS)


def test_variable_paths_are_the_canonical_names(results):
    paths = [str(path).replace("/", ".") for path in results["models/paths"]]
    assert sorted(paths) == sorted(parameter.keras_name for parameter in parameters(SPEC))


def test_evaluation_repeats_itself(results):
    assert results["models/repeat"] == 0


def test_a_saved_model_loads_without_custom_objects(results):
    assert results["models/round_trip"] == 0
    assert results["models/round_trip_same_spec"]


def test_a_sliced_model_loads_without_custom_objects(results):
    assert results["models/round_trip_sliced"] == 0


def test_channels_first_gives_the_same(results):
    assert results["models/channels_first"] <= 2e-6
    shapes = json.loads(str(results["models/channels_first_features"]))
    assert shapes == [[None, 8, 33, 30], [None, 16, 17, 15], [None, 32, 17, 15], [None, 64, 9, 8]]


@pytest.mark.parametrize(("policy", "tolerance"), [("mixed_bfloat16", 0.05), ("mixed_float16", 0.01)])
def test_half_precision_is_near_float32(results, policy, tolerance):
    assert 0 < results[f"models/{policy}"] <= tolerance
    assert json.loads(str(results[f"models/{policy}_dtypes"])) == ["float32"]
    assert_logits_alone_are_float32(results[f"models/{policy}_compute"], policy.removeprefix("mixed_"))


def test_features_have_the_shapes_that_feature_info_promises(results):
    info = json.loads(str(results["models/feature_info"]))
    assert len(info) == 4
    for index, one in enumerate(info):
        height, width = (-(-side // one["reduction"]) for side in (33, 30))
        assert results[f"models/features/{index}"].shape == (4, height, width, one["num_chs"])


def test_a_stacked_decoder_is_saved_mixed_and_laid_out_as_any_layer(results):
    assert results["decoder/round_trip"] == 0 and results["decoder/round_trip_same_config"] and results["decoder/fuse_config"]
    assert 0 < results["decoder/mixed_bfloat16"] <= 0.05
    assert_logits_alone_are_float32(results["decoder/mixed_bfloat16_compute"], "bfloat16")
    assert results["decoder/channels_first"] <= 2e-6


def test_a_pyramid_that_stops_early_keeps_the_whole_checkpoint(results):
    assert results["decoder/pyramid"] <= 1e-6 and list(results["decoder/pyramid_lengths"]) == [2, 4]
    assert results["decoder/pyramid_keeps"] == 0


def test_drop_path_drops_whole_samples_in_training_only(results):
    assert results["models/drop_path_off"] == 0
    assert results["models/drop_path_on"] > 0
    assert np.allclose(results["models/drop_path_values"], [0, 1 / 0.75])
    assert abs(results["models/drop_path_mean"] - 1) < 0.1


def test_fit_trains_everything_and_evaluate_and_predict_agree(results):
    assert 0 < results["models/fit_loss"] < 20
    still = json.loads(str(results["models/fit_unchanged"]))
    without_effect = ("norm_similarity.bias", "height.norm_output.bias")  # a softmax, or the next norm, takes any shift away
    assert all(name.endswith(without_effect) for name in still), still
    assert results["models/evaluate"] < 1e-4


def test_recomputing_blocks_gives_the_same_gradients_and_moving_statistics(results):
    assert results["models/remat"] <= 1e-5


@pytest.mark.parametrize(("name", "how"), common.PREPROCESSING.items())
@pytest.mark.parametrize("where", ["eager", "pipeline"])
def test_preprocessing_layer_gives_the_numbers_of_the_image_module(results, name, how, where):
    pictures = np.random.default_rng(5).integers(0, 256, (3, 40, 50, 3), dtype="uint8")
    wanted = np.stack([preprocess(one, how) for one in pictures]).transpose(0, 2, 3, 1)
    assert np.abs(results[f"preprocessing/{name}/{where}"] - wanted).max() <= 1e-6
    assert results[f"preprocessing/{name}/config"]


def assert_logits_alone_are_float32(computes, dtype: str) -> None:
    """Of a model under a mixed policy, the layer that gives the logits computes in float32, every other one in `dtype`."""
    found = json.loads(str(computes))
    wide = [path for path, one in found.items() if one != dtype]
    assert wide and all(path.rpartition("/")[2] == "fc" and found[path] == "float32" for path in wide), wide
