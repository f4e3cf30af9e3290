"""Parameters and multiply-adds: from the spec, from the PyTorch modules, and counted on the running model."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from axialzoo.spec import adapt, cost, get_entry, list_models, num_parameters, parameters
from axialzoo.torch import AxialClassifier
from tests.spec import deeplab2

# The counter registers hooks of all modules, so that layers call their sub-layers, and say so.
pytestmark = pytest.mark.filterwarnings("ignore:.*hooks of all modules are registered")
PARAMETERS = {
    **deeplab2.PARAMETERS,
    "axial_resnet26_s": 5_944_936,
    "axial_resnet50_s": 11_586_216,
    "axial_resnet50_m": 25_179_400,
    "axial_resnet50_l": 43_973_480,
}
MULTIPLY_ADDS = {"axial_resnet26_s": 1.812e9, "axial_resnet50_s": 2.843e9, "axial_resnet50_m": 5.955e9, "axial_resnet50_l": 10.194e9}


def on_meta(spec) -> AxialClassifier:
    """The modules with shapes and no memory."""
    with torch.device("meta"):
        return AxialClassifier(spec)


@pytest.mark.parametrize(("name", "expected"), PARAMETERS.items())
def test_parameters_are_exactly_the_originals(name, expected):
    assert num_parameters(get_entry(name).spec) == expected == get_entry(name).published["parameters"]


@pytest.mark.parametrize("name", list_models())
def test_the_spec_predicts_every_tensor_of_the_modules(name):
    spec = get_entry(name).spec
    model = on_meta(spec)
    assert {parameter.name: parameter.shape for parameter in parameters(spec)} == {k: tuple(v.shape) for k, v in model.state_dict().items()}
    assert {p.name for p in parameters(spec) if p.trainable} == {k for k, _ in model.named_parameters()}
    assert sum(tensor.numel() for tensor in model.parameters()) == num_parameters(spec)


@pytest.mark.parametrize(("name", "expected"), MULTIPLY_ADDS.items())
def test_multiply_adds_at_224_are_the_measured_ones(name, expected):
    assert abs(cost(get_entry(name).spec, 224).multiply_adds / expected - 1) < 1e-3


def test_multiply_adds_of_axial26s_are_exact():
    actual = cost(get_entry("axial_resnet26_s").spec, 224)
    assert actual.multiply_adds == 1_811_875_840
    assert actual.attention_multiply_adds == 3 * 45_660_160 + 2 * 91_320_320


def counted(spec, size: tuple[int, int]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        on_meta(spec).eval().requires_grad_(False)(torch.empty(1, 3, *size, device="meta"))
    return counter.get_total_flops() // 2


SMALL = [*list_models("axial_resnet[25]*"), *list_models("axial_resnet_cifar*")]
NARROW = {**{name: get_entry(name).spec for name in SMALL}, **deeplab2.NARROW}
TWO_D = list_models("stand_alone_*")  # counted as published: whole windows, a product for each pair; computed in tiles, by rows and columns


@pytest.mark.parametrize("size", [(224, 224), (64, 96), (97, 33)])
@pytest.mark.parametrize("name", NARROW)
def test_the_cost_model_is_what_a_counter_sees_on_the_running_model(name, size):
    spec = adapt(NARROW[name], beyond_tables="interpolate", span=1023)  # whole axes, so that no window is padded
    assert cost(spec, size).multiply_adds == counted(spec, size)


@pytest.mark.full
@pytest.mark.parametrize("name", [name for name in list_models() if name not in [*NARROW, *TWO_D]])
def test_the_cost_model_is_what_a_counter_sees_on_the_largest_models(name):
    spec = adapt(get_entry(name).spec, beyond_tables="interpolate", span=1023)
    assert cost(spec, (97, 33)).multiply_adds == counted(spec, (97, 33))


def test_a_wrong_stride_is_caught():
    spec = get_entry("axial_resnet26_s").spec
    assert cost(spec, 224).multiply_adds != counted(spec, (224, 225 + 31))
