"""Keras's inference form is equal to the model."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.backends("torch", full=("tensorflow", "jax"))


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict:
    from tests.kernels import keras_forms

    return keras_forms.measured(tmp_path_factory.mktemp("forms"))


def test_outputs_are_those_of_the_model(found):
    assert {name: error for name, error in found["apart"].items() if not error <= 1e-9} == {}
    assert found["float32"] <= 2e-5 and found["predict"] <= 1e-5


def test_only_norms_that_share_their_convolution_are_left_and_the_logits_own(found):
    left = found["norms"]
    assert left["axial_fcos_blood_cells_xs"] > left["axial_resnet_cifar10_xs"]
    assert 0 < left["axial_resnet_cifar10_xs"] < 0.25  # those of the logits, which have a factor a head


def test_a_saved_form_is_the_same_and_a_planted_error_is_seen(found):
    assert found["saved"] <= 1e-6
    assert found["planted"] > 1e-3


def test_what_wants_the_tensors_of_a_model_refuses_its_form(found):
    refused = found["refused"]
    assert all("optimised for inference" in refused[name] for name in ("checkpoint", "weights", "classes"))
    assert refused["classes"].startswith("reset_classifier: ")
    assert "has been optimised" in refused["again"] and "found Sequential" in refused["other"] and "mixed_bfloat16" in refused["mixed"]
    assert found["trainable"] == 0
