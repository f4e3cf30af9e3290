"""Heads with maps in Keras: deeplab2's numbers, and all that users of Keras rely on."""

from __future__ import annotations

import numpy as np
import pytest

from axialzoo.spec import parameters
from tests.golden import panoptic
from tests.parity.common import BACKENDS, CASES

TOLERANCE = 2e-5  # relative to the size of an output
SPEC = CASES["panoptic"].spec
pytestmark = pytest.mark.backends(*BACKENDS)


@pytest.fixture(scope="module")
def x(in_keras) -> np.ndarray:
    return in_keras.last(np.random.default_rng(4).standard_normal((2, 3, 33, 30)).astype("float32"))


@pytest.fixture(scope="module")
def model(in_keras):
    return in_keras.model_of(SPEC, "float32")


@pytest.fixture(scope="module")
def golden(in_keras):
    """A function: the errors of deeplab2's maps."""
    model = in_keras.model_of(panoptic.SPEC, "float32", panoptic.tensors())
    images = in_keras.last(panoptic.images())

    def errors() -> list[float]:
        errors = panoptic.errors({name: y.transpose(0, 3, 1, 2) for name, y in in_keras.maps(model, images).items()})
        return [errors["semantic"], errors["center"], errors["offset"]]

    return errors


def test_the_head_gives_deeplab2s_maps(golden):
    assert max(golden()) <= TOLERANCE


@pytest.mark.parametrize("name", ["corners_not_aligned", "skips_first"])
def test_a_planted_error_is_caught_in_each_map(in_keras, golden, name, monkeypatch):
    from axialzoo.keras.heads import decoder

    ops, concatenate = in_keras.ops, in_keras.ops.concatenate
    if name == "skips_first":
        monkeypatch.setattr(decoder.ops, "concatenate", lambda parts, axis: concatenate(parts[::-1], axis=axis))
    else:
        monkeypatch.setattr(decoder, "resize", lambda x, *size: ops.image.resize(x, size, data_format="channels_last"))
    assert min(golden()) > 50 * TOLERANCE


def test_variable_paths_are_the_canonical_names(model):
    paths = sorted(variable.path.replace("/", ".") for variable in model.weights)
    assert paths == sorted(parameter.keras_name for parameter in parameters(SPEC))


@pytest.mark.backends("tensorflow", "torch", full=("jax",))
def test_a_saved_model_loads_without_custom_objects(in_keras, model, x, tmp_path):
    model.save(tmp_path / "panoptic.keras")
    loaded = in_keras.keras.saving.load_model(tmp_path / "panoptic.keras")
    assert np.array_equal(in_keras.forward(loaded, x), in_keras.forward(model, x))
    assert loaded.get_config() == model.get_config()
    for name in ("semantic", "instance", "classes", "center", "offset"):
        layer = model.get_layer(f"head.{name}")
        assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.backends("tensorflow", "torch", full=("jax",))
def test_maps_are_float32_where_the_policy_is_mixed(in_keras, model, x):
    mixed, y = in_keras.model_of(SPEC, "mixed_bfloat16"), in_keras.forward(model, x)
    assert 0 < abs(in_keras.forward(mixed, x).astype("float32") - y).max() / abs(y).max() <= 0.05
    assert {str(item.dtype) for item in in_keras.maps(mixed, x).values()} == {"float32"}


@pytest.mark.backends("tensorflow", "torch", full=("jax",))
def test_channels_first_gives_the_same(in_keras, model, x, channels_first):
    first, mixed = in_keras.model_of(SPEC, "float32"), in_keras.model_of(SPEC, "mixed_bfloat16")
    in_keras.keras.config.set_image_data_format("channels_last")
    maps, laid_out = in_keras.maps(model, x), in_keras.maps(first, x.transpose(0, 3, 1, 2))
    assert max(abs(laid_out[name] - maps[name].transpose(0, 3, 1, 2)).max() for name in maps) <= 2e-6
    assert {str(item.dtype) for item in mixed.output.values()} == {"float32"}


def test_another_number_of_classes_keeps_all_but_the_last_layer_and_the_things_that_are_left(in_keras, model):
    other = model.reset_classifier(3)
    assert [other.spec.head.num_classes, list(other.spec.head.things), other.output["semantic"].shape[-1]] == [3, [1], 3]
    tensors = in_keras.to_tensors(other)
    assert sum(np.array_equal(tensors[name], array) for name, array in in_keras.to_tensors(model).items()) == len(tensors) - 2


@pytest.mark.backends("tensorflow", "torch", full=("jax",))
def test_what_lies_before_the_classes_is_given_on_demand(in_keras, model, x):
    features = model.forward_head(model.forward_features(x), pre_logits=True)["semantic"]
    assert in_keras.numpy(features).shape == (2, 17, 15, 8)
