"""Keras gives the Medical Transformer's numbers, in evaluation and, with statistics of each patch, in training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from axialzoo.spec import adapt
from converters.medical_transformer_names import to_ours, to_theirs
from tests.golden import medt
from tests.parity.common import BACKENDS

TOLERANCE = 2e-5  # absolute
pytestmark = pytest.mark.backends(*BACKENDS)
FULL = [pytest.param(name, marks=pytest.mark.full) for name in ("axialunet_64", "gated_64", "logo_64_grid2", "MedT_128_gray")]


def model_of(in_keras, name: str, dtype: str = "float32"):
    spec = adapt(medt.SPECS[name], in_channels=medt.described()["models"][name]["input_shape"][1])
    return in_keras.model_of(spec, dtype, {key: tensor.astype(dtype) for key, tensor in to_ours(spec, medt.state(name)).items()})


@pytest.mark.parametrize("name", ["MedT_64_grid2", *FULL])
def test_logits_are_the_authors(in_keras, name):
    logits = in_keras.forward(model_of(in_keras, name), in_keras.last(medt.images(name)))
    assert np.abs(logits.transpose(0, 3, 1, 2) - medt.golden()[f"{name}/logits"]).max() <= TOLERANCE


@pytest.mark.full
@pytest.mark.parametrize("name", ["MedT_64_grid2", "logo_64_grid2", "gated_64"])
def test_a_training_forward_is_the_authors(in_keras, name):
    from axialzoo.keras import to_tensors

    model, tolerance = model_of(in_keras, name, "float64"), medt.described()["models"][name]["tolerance"]["train"]
    logits = in_keras.forward(model, in_keras.last(medt.images(name)), training=True).transpose(0, 3, 1, 2)
    first = medt.golden()[f"{name}/train/logits/first"]
    assert np.abs(logits[0, :8, :4, :4] - first).max() <= 1.1 * tolerance["logits_float64_max"]
    theirs, prefix = to_theirs(model.spec, to_tensors(model)), f"{name}/train/after/"
    after = {key.removeprefix(prefix): value for key, value in medt.golden().items() if key.startswith(prefix) and "num_batches" not in key}
    assert max(float(np.abs(theirs[key] - value).max()) for key, value in after.items()) <= 1.1 * tolerance["after_float64"]


@pytest.mark.parametrize("training", [False, pytest.param(True, marks=pytest.mark.full)])
@pytest.mark.parametrize("case", ["gated_block_s2", pytest.param("wopos_block_s2", marks=pytest.mark.full)])
def test_blocks_with_gates_and_without_positions_are_the_authors(in_keras, case, training):
    spec, _, tensors, stored = medt.layer(case)
    spec = replace(spec, head=None)
    model = in_keras.model_of(spec, "float32", {f"stages.0.blocks.0.{key}": tensor for key, tensor in tensors.items()})
    y = in_keras.forward(model, in_keras.last(stored["input"]), training)
    y = y[-1] if isinstance(y, list) else y
    mode = "train" if training else "eval"
    assert np.abs(y.transpose(0, 3, 1, 2) - stored[f"{mode}/output"]).max() <= TOLERANCE


@pytest.mark.full
@pytest.mark.parametrize("name", ["MedT_64_grid2", "logo_64_grid2"])
def test_gradients_in_evaluation_are_the_authors(in_keras, name):
    model = model_of(in_keras, name, "float64")  # a rounding of float32 is a share of a thousandth of some gradients
    loss = in_keras.head_loss(model.spec.head)
    run = in_keras.step_of(model, lambda outputs, target: loss(outputs, {"semantic": target}, model.spec.head)["total"], training=False)
    value, gradients = run(in_keras.last(medt.images(name)).astype("float64"), medt.targets(name).astype("int32"))
    assert abs(float(in_keras.numpy(value)) - float(medt.golden()[f"{name}/eval/loss"])) <= 1e-5
    zeros = {key: np.zeros_like(tensor) for key, tensor in to_ours(model.spec, medt.state(name)).items()}
    theirs, prefix = to_theirs(model.spec, {**zeros, **in_keras.canonical(model, gradients)}), f"{name}/eval/grad/"
    expected = {key.removeprefix(prefix): value for key, value in medt.golden().items() if key.startswith(prefix)}
    assert expected
    for key, value in expected.items():
        assert np.abs(theirs[key] - value).max() <= 1e-3 * max(np.abs(value).max(), 1e-3), key


def test_upsampling_with_aligned_corners_is_caught(in_keras, monkeypatch):
    from axialzoo.keras.heads import unet
    from axialzoo.keras.resize import resize

    name = "MedT_64_grid2"
    monkeypatch.setattr(unet, "upsample_bilinear", lambda x, finer: resize(x, *finer.shape[1:3]))
    logits = in_keras.forward(model_of(in_keras, name), in_keras.last(medt.images(name)))
    assert np.abs(logits.transpose(0, 3, 1, 2) - medt.golden()[f"{name}/logits"]).max() > 100 * TOLERANCE
