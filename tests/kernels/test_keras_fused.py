"""Keras's folded layers on the fused kernel are equal to their plain form."""

from __future__ import annotations

import pytest

from axialzoo.ops.kernels import kernel

pytestmark = pytest.mark.backends("torch", "jax", "tensorflow")
LAYERS = 4  # of axial attention in the model of tests/kernels/keras_fused_models.py


@pytest.fixture(scope="module", params=["small", pytest.param("large", marks=pytest.mark.full)])
def found(request) -> dict:
    if kernel() is None:
        pytest.skip("no kernel: there is no compiler here")
    from tests.kernels import keras_fused

    return keras_fused.measured(request.param == "large")


@pytest.fixture
def operator(found) -> dict:
    """Tests of back ends that call the kernel as an operator."""
    if found["backend"] == "torch":
        pytest.skip("on its torch back end Keras calls PyTorch's operator")
    return found


def test_layers_are_equal_to_their_plain_form_and_to_the_original(found):
    assert {name: errors for name, errors in found["cases"].items() if not max(errors) <= 1e-5} == {}


def test_the_kernel_has_served(found):
    assert set(found["calls"]) == {2}  # the fused form twice, the plain one never


def test_a_planted_error_is_seen_whatever_was_kept(found):
    assert min(found["planted"].values()) > 1e-3


def test_factors_handed_over_in_another_order_would_be_seen(operator):
    assert operator["swapped"] > 1e-3


def test_gradients_are_those_of_the_plain_form(operator):
    assert {name: error for name, error in operator["gradients"].items() if not error <= 1e-5} == {}


def test_models_predict_and_are_saved_as_before(operator):
    assert max(operator[name] for name in ("predict", "saved", "plain model")) <= 2e-5
    assert operator["calls in predict"] == 2 * LAYERS and operator["calls in what was saved"] == LAYERS
    assert operator["calls in plain"] == 0


def test_without_headers_the_plain_form_serves_and_says_why(operator):
    error, calls, reason = operator["without headers"]
    assert 0 < error <= 1e-5 and calls == 0
    assert "its operator could not be compiled: no headers: expected" in reason


def test_jax_jits_maps_and_differentiates_it(found):
    of("jax", found)
    assert max(found[name] for name in ("jit", "vmap", "tangent")) <= 1e-5
    assert found["calls in jit and vmap"] == 5


def test_jax_lowers_it_for_cpus_alone_and_of_sizes_that_are_known(found):
    of("jax", found)
    assert found["lowered"] == {"cpu": True, "cuda": False}
    assert not found["plain"] and not found["of any batch"]
    assert found["convolves"] == {"cpu": False, "cuda": True}  # of each channel by itself: a sum of products on CPUs


def test_tensorflow_s_graphs_have_it_at_any_size_and_know_their_shapes(found):
    of("tensorflow", found)
    assert found["graph"] <= 1e-5 and max(found["free"].values()) <= 1e-5 and found["calls in graphs"] == 5
    assert found["shapes"] == [[None, 9, 5, 16], [None, None, None, 16]] and not found["plain"]
    assert max(found["gradient in a graph"], found["gradient of any size"]) <= 1e-5
    assert found["of no images"] == [[0, 9, 5, 16], [0, 9, 5, 12]]


def test_what_tensorflow_compiles_with_xla_is_of_plain_operations(found):
    of("tensorflow", found)
    error, there = found["compiled by XLA"]
    assert 0 < error <= 1e-5 and not there


def test_what_is_exported_is_of_plain_operations(found):
    if found["backend"] == "jax":
        assert found["SavedModel"] <= 2e-5
        return
    of("tensorflow", found)
    assert max(found["SavedModel"], found["LiteRT"]) <= 2e-5 and not found["operator in SavedModel"]


def of(backend: str, found: dict) -> None:
    if found["backend"] != backend:
        pytest.skip(f"of {backend} alone")
