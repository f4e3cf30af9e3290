"""PyTorch gives the Medical Transformer's numbers, layer by layer and whole, in evaluation and in training; planted errors are seen."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from axialzoo.spec import Model, adapt, num_parameters
from axialzoo.torch import build
from axialzoo.torch.attention import AxialAttention
from axialzoo.torch.blocks import ResidualBlock
from axialzoo.torch.heads import unet
from axialzoo.torch.losses import loss_of
from converters.medical_transformer_names import to_ours, to_theirs
from tests.golden import medt
from tests.golden.medt import SPECS, TOLERANCE, described, golden

MODELS = [*SPECS]
TRAINED = [name for name in MODELS if f"{name}/train/loss" in golden()]
LOCAL = ("logo_64_grid2", "MedT_64_grid2")
NOISE = 1e-3  # of the largest: norms of gradients that are 0 in exact arithmetic


def spec_of(name: str) -> Model:
    return adapt(SPECS[name], in_channels=described()["models"][name]["input_shape"][1])


@cache
def tensors_of(name: str) -> dict[str, np.ndarray]:
    return to_ours(spec_of(name), medt.state(name))


def model_of(name: str, spec: Model | None = None, tensors: dict[str, np.ndarray] | None = None) -> Any:
    model = build(spec or spec_of(name))
    model.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in (tensors or tensors_of(name)).items()})
    return model.eval()


def logits_of(model: Any, name: str) -> torch.Tensor:
    return model(torch.from_numpy(medt.images(name)))["semantic"]


def logits_error(model: Any, name: str) -> float:
    with torch.no_grad():
        return float(np.abs(logits_of(model, name).numpy() - golden()[f"{name}/logits"]).max())


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_the_authors(name):
    assert num_parameters(spec_of(name)) == described()["models"][name]["parameters"]
    assert logits_error(model_of(name), name) <= TOLERANCE


@pytest.mark.parametrize("name", LOCAL)
def test_gradients_in_evaluation_are_the_authors(name):
    model, about = model_of(name), described()["models"][name]
    loss = loss_of(model.spec.head)(
        {"semantic": logits_of(model, name)}, {"semantic": torch.from_numpy(medt.targets(name))}, model.spec.head
    )
    assert abs(float(loss["total"].detach()) - float(golden()[f"{name}/eval/loss"])) <= 1e-5
    loss["total"].backward()
    named = dict(model.named_parameters())
    without = {key for key, parameter in named.items() if parameter.grad is None}
    gradients = {key: np.zeros(value.shape, "float32") for key, value in tensors_of(name).items()}
    gradients |= {key: parameter.grad.numpy() for key, parameter in named.items() if parameter.grad is not None}
    theirs = to_theirs(model.spec, gradients)
    marked = to_theirs(model.spec, {key: np.full(value.shape, float(key in without)) for key, value in tensors_of(name).items()})
    zeros = {key for key, value in marked.items() if np.any(value) and not key.endswith(("flatten_index", "bn_similarity.bias"))}
    assert zeros == set(about["parameters_without_gradient"])  # the shift of a similarity norm cancels in the softmax
    norms = np.array([np.sqrt(np.square(theirs[key], dtype="float64").sum()) for key in about["eval_grad_l2_names"]])
    expected = golden()[f"{name}/eval/grad_l2"]
    counted = expected > NOISE * expected.max()
    assert (np.abs(norms - expected)[counted] / expected[counted]).max() <= 1e-3
    for key in (key for key in golden() if key.startswith(f"{name}/eval/grad/")):
        value = golden()[key]
        assert np.abs(theirs[key.rpartition("grad/")[2]] - value).max() <= 1e-3 * max(np.abs(value).max(), 1e-3), key


@pytest.mark.parametrize("name", TRAINED)
def test_a_training_forward_is_the_authors_with_statistics_of_each_patch(name):
    """In float64, as training is badly conditioned: the authors' float32 is as far from that as `tolerance` says."""
    model, tolerance = model_of(name).double().train(), described()["models"][name]["tolerance"]["train"]
    logits = model(torch.from_numpy(medt.images(name)).double())["semantic"]
    loss = F.cross_entropy(logits, torch.from_numpy(medt.targets(name)))
    assert abs(float(loss.detach()) - float(golden()[f"{name}/train/loss"])) <= 1e-5
    x, at_most = logits.detach().numpy(), 1.1 * tolerance["logits_float64_max"]
    for key, value in {"mean": x.mean(), "first": x[0, :8, :4, :4], "last": x[-1, -8:, -4:, -4:], "map_mean": x[0].mean(0)}.items():
        assert np.abs(value - golden()[f"{name}/train/logits/{key}"]).max() <= at_most, key
    theirs = to_theirs(model.spec, {key: value.numpy() for key, value in model.state_dict().items()})
    prefix = f"{name}/train/after/"
    after = {key.removeprefix(prefix): value for key, value in golden().items() if key.startswith(prefix) and "num_batches" not in key}
    assert len(after) > 10
    assert max(float(np.abs(theirs[key] - value).max()) for key, value in after.items()) <= 1.1 * tolerance["after_float64"]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("case", described()["layers"])
def test_gated_layers_and_those_without_positions_are_the_authors(case, training):
    spec, axis, tensors, stored = medt.layer(case)
    block = spec.backbone.stages[0].blocks[0]
    inputs, attention, norm = spec.backbone.in_channels, block.attention, spec.backbone.norm
    assert attention is not None
    layer = ResidualBlock(inputs, block, spec.backbone) if axis < 0 else AxialAttention(inputs, attention, norm, axis)
    layer.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in tensors.items()})
    with torch.no_grad():
        y = layer.train(training)(torch.from_numpy(stored["input"]))
        y = y if axis < 0 or block.stride == 1 else F.avg_pool2d(y, block.stride)
    mode = "train" if training else "eval"
    assert np.abs(y.numpy() - stored[f"{mode}/output"]).max() <= TOLERANCE
    if training:
        after = medt.arranged(spec, stored, "train/after", axis < 0)
        assert after and max(float(np.abs(layer.state_dict()[key].numpy() - value).max()) for key, value in after.items()) <= TOLERANCE


def test_beyond_upstreams_patches_the_global_features_count_twice():
    """U-Bench's copy at 256: measured there, the input of its last convolution is exactly twice the global features."""
    spec = adapt(SPECS["MedT_64_grid2"], patches="top_left")
    model, inputs = model_of("MedT_64_grid2", spec), {}
    model.head.decoder.register_forward_hook(lambda module, args, output: inputs.update(decoder=output))
    model.head.merge.register_forward_hook(lambda module, args, output: inputs.update(merge=args[0]))
    with torch.no_grad():
        model(torch.randn(1, 3, 96, 80))
    features, merged = inputs["decoder"], inputs["merge"]
    assert torch.equal(merged[:, :, 64:], 2 * features[:, :, 64:]) and torch.equal(merged[:, :, :, 64:], 2 * features[:, :, :, 64:])
    assert not torch.equal(merged[:, :, :64, :64], 2 * features[:, :, :64, :64])


# Planted errors.


def test_gates_left_out_are_caught():
    tensors = {key: np.ones_like(value) if key.endswith(".gates") else value for key, value in tensors_of("gated_64").items()}
    assert logits_error(model_of("gated_64", tensors=tensors), "gated_64") > 100 * TOLERANCE


def test_gates_in_another_order_are_caught():
    tensors = {key: value[::-1] if key.endswith(".gates") else value for key, value in tensors_of("gated_64").items()}
    assert logits_error(model_of("gated_64", tensors=tensors), "gated_64") > 100 * TOLERANCE


@pytest.mark.parametrize("name", LOCAL)
def test_a_swapped_patch_order_is_caught(name, monkeypatch):
    def columns_first(patches, grid):
        return right(patches.unflatten(0, (grid, grid)).transpose(0, 1).flatten(0, 1), grid)

    right = unet.join_patches
    monkeypatch.setattr(unet, "join_patches", columns_first)
    assert logits_error(model_of(name), name) > 100 * TOLERANCE


@pytest.mark.parametrize("name", LOCAL)
def test_a_local_branch_on_the_wrong_patch_is_caught(name, monkeypatch):
    right = unet.split_patches
    monkeypatch.setattr(unet, "split_patches", lambda image, grid: right(image, grid).roll(1, 0))
    assert logits_error(model_of(name), name) > 100 * TOLERANCE


def test_upsampling_with_aligned_corners_is_caught(monkeypatch):
    def aligned(x, finer):
        return F.interpolate(x, finer.shape[2:], mode="bilinear", align_corners=True)

    monkeypatch.setattr(unet, "upsample_bilinear", aligned)
    assert logits_error(model_of("axialunet_64"), "axialunet_64") > 100 * TOLERANCE


def test_patches_as_one_batch_in_training_are_caught(monkeypatch):
    """Their statistics would be those of all patches together."""
    name = "MedT_64_grid2"
    model = model_of(name).train()
    branch, key = model.head.local, f"{name}/train/after/bn1_p.running_mean"
    monkeypatch.setattr(branch, "training", False)  # the branch's own way of going through patches; its norms still train
    with torch.no_grad():
        logits_of(model, name)
    assert np.abs(branch.stem[0].norm.running_mean.numpy() - golden()[key]).max() > 1e-2


def test_a_wrong_epsilon_of_the_similarity_norms_is_caught():
    spec = spec_of("gated_64")
    model = model_of("gated_64", replace(spec))
    for module in model.modules():
        if isinstance(module, AxialAttention):
            module.norm_similarity.eps = 1e-3
    assert 5e-5 < logits_error(model, "gated_64") < 1e-3
