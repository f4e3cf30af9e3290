"""PyTorch gives the authors' numbers; and each error that is easy to make is seen here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from axialzoo.torch import AxialClassifier
from axialzoo.torch.attention import AxialAttention
from axialzoo.torch.blocks import ResidualBlock
from tests.golden import reference
from tests.golden.reference import TOLERANCE, Case

CASES = {case.name: case for case in reference.layer_cases()}
ATTENTION = [name for name, case in CASES.items() if case.kind == "attention"]


def load(module: nn.Module, tensors: reference.Tensors) -> nn.Module:
    module.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})
    return module


def layer(case: Case) -> nn.Module:
    norm = case.model.backbone.norm
    if case.kind == "block":
        return load(ResidualBlock(case.inputs, case.block, case.model.backbone), case.tensors)
    return load(AxialAttention(case.inputs, case.attention, norm, case.axis), case.tensors)


def run(module: nn.Module, case: Case, training: bool) -> np.ndarray:
    with torch.no_grad():
        return case.finish(module.train(training)(torch.from_numpy(case.x)).numpy())


def moving(module: nn.Module) -> reference.Tensors:
    return {name: tensor.numpy() for name, tensor in module.state_dict().items() if ".running_" in name}


def network() -> nn.Module:
    return load(AxialClassifier(reference.network_spec()), reference.network_tensors()).eval()


def logits_error(model: nn.Module) -> float:
    with torch.no_grad():
        actual = model(torch.from_numpy(reference.network_input())).numpy()
    return reference.error({"logits": actual}, reference.network_golden())


@pytest.mark.parametrize("name", CASES)
def test_layer_gives_the_authors_numbers_in_evaluation(name):
    case = CASES[name]
    assert np.abs(run(layer(case), case, training=False) - case.eval).max() <= TOLERANCE


@pytest.mark.parametrize("name", CASES)
def test_layer_gives_the_authors_numbers_in_training_and_their_moving_statistics(name):
    case = CASES[name]
    module = layer(case)
    assert np.abs(run(module, case, training=True) - case.train).max() <= TOLERANCE
    assert set(moving(module)) == set(case.after)
    assert reference.error(moving(module), case.after) <= TOLERANCE


@pytest.mark.filterwarnings("ignore:ConvNorm. its sub-layer conv has hooks")
def test_network_gives_the_authors_logits_and_every_stage():
    model, remaining = network(), {}
    model.stem[0].conv.register_forward_hook(lambda module, inputs, output: remaining.update(conv1=output))
    with torch.no_grad():
        *stages, last = model.endpoints(torch.from_numpy(reference.network_input()))[1:]
        actual = {"logits": model.forward_head(last).numpy()}
    for stage, x in {**remaining, **dict(zip(reference.STAGES, [*stages, last]))}.items():
        actual |= reference.summary(stage, x.numpy())
    assert set(actual) == set(reference.network_golden())
    assert reference.error(actual, reference.network_golden()) <= TOLERANCE


# Planted errors.


def test_a_wrong_epsilon_of_the_similarity_norms_alone_is_caught():
    model = network()
    for module in model.modules():
        if isinstance(module, AxialAttention):
            module.norm_similarity.eps = 1e-3
    assert 1e-4 < logits_error(model) < 1e-3


def test_swapped_axes_are_caught():
    model = network()
    for module in model.modules():
        if isinstance(module, AxialAttention):
            module.axis = 1 - module.axis
    assert logits_error(model) > 100 * TOLERANCE


@pytest.mark.parametrize("name", ATTENTION)
def test_a_swapped_axis_is_caught_in_a_single_layer(name):
    case = CASES[name]
    square = case.x[:, :, :5, :5]
    swapped = run(layer(replace(case, axis=1 - case.axis)), replace(case, x=square), training=False)
    assert np.abs(swapped - run(layer(case), replace(case, x=square), training=False)).max() > 100 * TOLERANCE


@pytest.mark.parametrize("table", ["query_position", "key_position", "value_position"])
@pytest.mark.parametrize("name", CASES)
def test_a_reversed_position_index_is_caught(name, table):
    case = CASES[name]
    tensors = {tensor: value[::-1].copy() if tensor.endswith(table) else value for tensor, value in case.tensors.items()}
    assert np.abs(run(layer(replace(case, tensors=tensors)), case, training=False) - case.eval).max() > 100 * TOLERANCE


@pytest.mark.parametrize("kernel", ["stem.0.conv.weight", "stages.3.blocks.0.expand.conv.weight", "head.fc.weight"])
def test_a_transposed_kernel_is_caught(kernel):
    tensors = dict(reference.network_tensors())
    weight = tensors[kernel]
    tensors[kernel] = np.ascontiguousarray(
        weight.swapaxes(-1, -2) if weight.shape[-1] > 1 and weight.ndim == 4 else weight.T.reshape(weight.shape)
    )
    assert logits_error(load(AxialClassifier(reference.network_spec()), tensors).eval()) > 100 * TOLERANCE


@pytest.mark.parametrize("name", CASES)
def test_projection_rows_left_in_the_authors_order_are_caught(name):
    case = CASES[name]
    qkv = next(tensor for tensor in case.tensors if tensor.endswith("qkv.weight"))
    heads = case.attention.heads
    tensors = {
        **case.tensors,
        qkv: case.tensors[qkv].reshape(-1, heads, case.tensors[qkv].shape[1]).swapaxes(0, 1).reshape(case.tensors[qkv].shape),
    }
    assert np.abs(run(layer(replace(case, tensors=tensors)), case, training=False) - case.eval).max() > 100 * TOLERANCE


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_momentum_is_caught(name):
    case = CASES[name]
    module = layer(case)
    for norm in module.modules():
        if hasattr(norm, "momentum"):
            norm.momentum = 0.01
    assert np.abs(run(module, case, training=True) - case.train).max() <= TOLERANCE  # invisible in the output
    assert reference.error(moving(module), case.after) > 100 * TOLERANCE


@pytest.mark.parametrize("name", CASES)
def test_the_biased_variance_is_caught(name):
    case = CASES[name]
    module = layer(case)
    before = {tensor: value for tensor, value in case.tensors.items() if tensor.endswith("running_var")}
    run(module, case, training=True)
    n = case.x.size // case.inputs
    biased = {
        tensor: before[tensor] * 0.9 + (value - before[tensor] * 0.9) * (n - 1) / n
        for tensor, value in moving(module).items()
        if tensor in before
    }
    assert reference.error(biased, case.after) > 10 * TOLERANCE
