"""PyTorch gives deeplab2's numbers; and each error that is easy to make is seen here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from axialzoo.spec import Norm
from axialzoo.torch.attention import AxialAttention
from axialzoo.torch.backbone import AxialBackbone
from axialzoo.torch.blocks import ConvNorm, ResidualBlock
from converters.deeplab2 import shapes_of
from tests.golden import deeplab2
from tests.golden.deeplab2 import NETWORKS, TOLERANCE, Case, Network
from tests.golden.test_torch_golden import load, moving

CASES = {case.name: case for case in deeplab2.layer_cases()}
ATTENTION = [name for name, case in CASES.items() if case.kind in ("attention", "pair")]
LARGE = "dl2_axial_deeplab_s_65"
SMALL = "dl2_tiny_panoptic_axial_deeplab_65x97"


class Pair(nn.Module):
    """Height, then width, every other position kept after each."""

    def __init__(self, case: Case):
        super().__init__()
        norm, self.stride = case.model.backbone.norm, case.stride
        self.height = AxialAttention(case.inputs, case.attention, norm, 0)
        self.width = AxialAttention(case.attention.value_channels, case.attention, norm, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.width(self.height(x)[:, :, :: self.stride])[:, :, :, :: self.stride]


def layer(case: Case) -> nn.Module:
    backbone = case.model.backbone
    if case.kind == "block":
        return load(ResidualBlock(case.inputs, case.block, backbone), case.tensors)
    if case.kind == "pair":
        return load(Pair(case), case.tensors)
    if case.kind == "attention":
        return load(AxialAttention(case.inputs, case.attention, backbone.norm, 0), case.tensors)
    conv = backbone.stem.convs[0]
    return load(ConvNorm(case.inputs, conv.channels, conv.kernel, backbone.norm, case.stride, case.dilation), case.tensors)


def run(module: nn.Module, case: Case, training: bool = False) -> np.ndarray:
    with torch.no_grad():
        y = module.train(training)(torch.from_numpy(case.x))
    return (F.relu(y) if case.kind == "conv" else y).numpy()


def error(module: nn.Module, case: Case, training: bool = False) -> float:
    actual, expected = run(module, case, training), case.train if training else case.eval
    assert actual.shape == expected.shape
    return float(np.abs(actual - expected).max())


def moving_error(module: nn.Module, wanted: dict[str, np.ndarray]) -> float:
    actual = moving(module)
    assert set(actual) == set(wanted) != set()
    return max(float(np.abs(actual[name] - value).max()) for name, value in wanted.items())


def network(case: Network, tensors=None, spec=None) -> nn.Module:
    return load(AxialBackbone(spec or case.spec), tensors or case.tensors).eval()


def network_error(case: Network, model: nn.Module) -> float:
    with torch.no_grad():
        return case.error([x.numpy() for x in model(torch.from_numpy(case.x))])


@pytest.mark.parametrize("name", CASES)
def test_layer_gives_their_numbers_in_evaluation(name):
    assert error(layer(CASES[name]), CASES[name]) <= TOLERANCE


@pytest.mark.parametrize("name", CASES)
def test_layer_gives_their_numbers_in_training_and_their_moving_statistics(name):
    module = layer(CASES[name])
    assert error(module, CASES[name], training=True) <= TOLERANCE
    assert moving_error(module, CASES[name].after) <= TOLERANCE


@pytest.mark.parametrize("name", NETWORKS)
def test_names_and_shapes_are_those_of_their_variables(name):
    assert shapes_of(NETWORKS[name].spec) == NETWORKS[name].variables


@pytest.mark.parametrize("name", NETWORKS)
def test_network_gives_their_endpoints(name):
    assert network_error(NETWORKS[name], network(NETWORKS[name])) <= TOLERANCE


# Planted errors.


def test_a_wrong_epsilon_of_the_similarity_norms_alone_is_caught():
    model = network(NETWORKS[LARGE])
    for module in model.modules():
        if isinstance(module, AxialAttention):
            module.norm_similarity.eps = 1e-5
    assert network_error(NETWORKS[LARGE], model) > 2 * TOLERANCE


def test_swapped_axes_are_caught():
    model = network(NETWORKS[SMALL])
    for module in model.modules():
        if isinstance(module, AxialAttention):
            module.axis = 1 - module.axis
    assert network_error(NETWORKS[SMALL], model) > 100 * TOLERANCE


@pytest.mark.parametrize(
    "change",
    [{"activation": "gelu"}, {"norm": Norm(1e-5, 0.01)}],
    ids=["activation", "epsilon"],
)
def test_another_convention_is_caught(change):
    case = NETWORKS[SMALL]
    spec = replace(case.spec, backbone=replace(case.spec.backbone, **change))
    assert network_error(case, network(case, spec=spec)) > 5 * TOLERANCE


@pytest.mark.parametrize("kernel", ["stem.1.conv.weight", "stages.3.blocks.0.shortcut.conv.weight", "stages.0.blocks.0.width.qkv.weight"])
def test_a_transposed_kernel_is_caught(kernel):
    tensors = dict(NETWORKS[SMALL].tensors)
    array = tensors[kernel]
    tensors[kernel] = np.ascontiguousarray(array.swapaxes(0, 1)).reshape(array.shape)
    assert network_error(NETWORKS[SMALL], network(NETWORKS[SMALL], tensors)) > 100 * TOLERANCE


@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if any(".running" in key and "width" in key for key in case.tensors)]
)
def test_swapped_axes_are_caught_in_a_single_layer(name):
    module = layer(CASES[name])
    for item in module.modules():
        if isinstance(item, AxialAttention):
            item.axis = 1 - item.axis
    assert error(module, CASES[name]) > 100 * TOLERANCE


@pytest.mark.parametrize("table", ["query_position", "key_position", "value_position"])
@pytest.mark.parametrize("name", [name for name in ATTENTION if "content_only" not in name])
def test_a_reversed_position_index_is_caught(name, table):
    case = CASES[name]
    tensors = {key: array[::-1].copy() if key.endswith(table) else array for key, array in case.tensors.items()}
    assert tensors.keys() == case.tensors.keys()
    assert error(layer(replace(case, tensors=tensors)), case) > 100 * TOLERANCE


@pytest.mark.parametrize("norm", ["norm_similarity.weight", "norm_output.weight"])
def test_norms_flattened_in_another_order_are_caught(norm):
    case = CASES["attn1d"]
    terms = 3 if "similarity" in norm else 2
    tensors = {key: array.reshape(terms, -1).T.reshape(-1).copy() if key == norm else array for key, array in case.tensors.items()}
    assert error(layer(replace(case, tensors=tensors)), case) > 50 * TOLERANCE


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_epsilon_or_momentum_is_caught_in_a_single_layer(name):
    case = CASES[name]
    assert error(layer(deeplab2.with_norm(case, Norm(1e-1, 0.01))), case) > 20 * TOLERANCE
    module = layer(deeplab2.with_norm(case, Norm(1e-3, 0.1)))
    assert error(module, case, training=True) <= TOLERANCE  # invisible in the output
    assert moving_error(module, case.after) > 20 * TOLERANCE


@pytest.mark.parametrize("name", ["attn1d", "attn2d_s2", "block_axial_s2"])
def test_their_variance_of_three_and_five_dimensions_is_another(name):
    module = layer(CASES[name])
    run(module, CASES[name], training=True)
    assert moving_error(module, CASES[name].theirs) > 2 * TOLERANCE


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.kind == "conv" and "k1" not in name])
def test_padding_at_one_end_alone_is_caught(name):
    module, case = layer(CASES[name]), CASES[name]
    side = 2 * module.conv.padding[0]  # type: ignore[union-attr,index,operator]
    module.conv.padding = (0, 0)  # type: ignore[union-attr]
    assert error(module, replace(case, x=np.pad(case.x, ((0, 0), (0, 0), (0, side), (0, side))))) > 100 * TOLERANCE
