"""An optimised model is equal to the one it was made of, on every path, whole, compiled and exported."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from axialzoo.ops.kernels import kernel, use_kernel
from axialzoo.spec import Model, Norm
from axialzoo.torch import build, create_model, save_model
from axialzoo.torch.blocks import ConvNorm
from axialzoo.torch.folded import FoldedAxialAttention, FoldedConv
from axialzoo.torch.inference import optimize_for_inference
from axialzoo.torch.norm import BatchNorm
from tests.attention.layers import randomise
from tests.strategies import specs

FOUND = kernel()
PATHS = (*(FOUND.isas if FOUND else ()), "plain")
LARGE = ("axial_swidernet_1_1_1", "max_deeplab_l_backbone", "axial_deeplab_max_s")
FAMILIES = (
    *("axial_resnet50_full_s", "stand_alone_resnet50", "axial_resnet50_gelu", "max_deeplab_s_backbone", "axial_deeplab_s"),
    *("fcos_axial_resnet26_s", *(pytest.param(name, marks=pytest.mark.full) for name in LARGE)),
)


def equal(model: nn.Module, x: torch.Tensor, tolerance: float = 2e-5) -> None:
    with torch.inference_mode():
        expected, actual = model.eval()(x), optimize_for_inference(model)(x)
    assert actual.shape == expected.shape
    assert float((actual - expected).abs().max()) <= tolerance * max(1.0, float(expected.abs().max()))


def small(name: str = "axial_resnet_cifar10_xs", **changes) -> nn.Module:
    torch.manual_seed(0)
    return randomise(create_model(name, **changes)).eval()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(spec=specs(), path=st.sampled_from(PATHS))
def test_models_of_random_specs_are_equal(spec: Model, path: str):
    torch.manual_seed(0)
    model, (height, width) = randomise(build(spec)).double(), spec.input_size
    with use_kernel(path):
        equal(model, torch.randn(2, spec.backbone.in_channels, height, width, dtype=torch.float64), 1e-9)
        equal(model.float(), torch.randn(2, spec.backbone.in_channels, height, width), 1e-3)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["axial_resnet_cifar10_xs", "axial_resnet26_s"])
def test_a_named_model_is_equal(path, name):
    with use_kernel(path):
        equal(small(name), torch.randn(1, 3, 64, 48))


def maps(outputs) -> list[torch.Tensor]:
    """All tensors of what a model gives, in one order."""
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    return [tensor for part in (outputs.values() if isinstance(outputs, dict) else outputs) for tensor in maps(part)]


@pytest.mark.parametrize(("name", "size"), [("axial_deeplab_nuclei", (65, 97)), ("axial_fcos_blood_cells", (96, 64))])
@pytest.mark.parametrize("path", PATHS)
def test_models_with_maps_and_levels_are_equal(path, name, size):
    model, x = small(name), torch.randn(2, 3, *size)
    with use_kernel(path), torch.inference_mode():
        for expected, actual in zip(maps(model(x)), maps(optimize_for_inference(model)(x)), strict=True):
            assert float((actual - expected).abs().max()) <= 2e-5 * max(1.0, float(expected.abs().max()))
        exact, folded = (maps(item(x.double())) for item in (model.double(), optimize_for_inference(model)))
        for expected, actual in zip(exact, folded, strict=True):
            torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_of_the_zoo_is_equal_in_float64(name):
    """The smallest model of each family; many random blocks enlarge rounding errors; a change of the input's last bits shows how much."""
    model, x = small(name).double(), torch.randn(1, 3, 65, 49, dtype=torch.float64)
    with torch.inference_mode():
        outputs, rounded = maps(model(x)), maps(model(x * (1 + 1e-15)))
        for expected, actual, near in zip(outputs, maps(optimize_for_inference(model)(x)), rounded, strict=True):
            limit = max(1e-9, float(expected.abs().max()) * 1e-9, 10 * float((near - expected).abs().max()))
            assert limit <= 1e-4 and float((actual - expected).abs().max()) <= limit


@pytest.mark.parametrize("name", ["resnet50_beta", "axial_deeplab_s_backbone"])
def test_deeplab2_s_models_are_equal(name):
    torch.manual_seed(0)
    equal(create_model(name, num_classes=3), torch.randn(1, 3, 65, 49), 1e-4)


def test_a_pyramid_of_features_is_equal():
    model = small(features_only=True)
    x = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        for expected, actual in zip(model(x), optimize_for_inference(model)(x), strict=True):
            torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_no_norm_is_left_and_the_model_itself_stays_as_it_is():
    model = small()
    before = copy.deepcopy(model.state_dict())
    optimised = optimize_for_inference(model)
    assert not any(isinstance(module, BatchNorm) for module in optimised.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert any(isinstance(module, BatchNorm) for module in model.modules())
    assert optimised.spec == model.spec


def test_packed_weights_serve_every_path():
    optimised, x = optimize_for_inference(small()), torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        results = []
        for path in PATHS:
            with use_kernel(path):
                results.append(optimised(x))
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=1e-4, atol=1e-5)


def test_training_an_optimised_model_is_refused():
    with pytest.raises(ValueError, match=r"expected an evaluation, found train\(\)"):
        optimize_for_inference(small()).train()


def test_what_wants_the_tensors_of_a_model_refuses_an_optimised_one(tmp_path):
    optimised = optimize_for_inference(create_model("axial_deeplab_nuclei_xs"))
    with pytest.raises(ValueError, match="optimised for inference"):
        optimised.reset_classifier(3)
    with pytest.raises(ValueError, match="optimised for inference"):
        save_model(optimised, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_pictures_are_prepared_by_an_optimised_model_without_parameters():
    optimised = optimize_for_inference(small(num_classes=0))
    assert list(optimised.parameters()) == []
    assert optimised.preprocess(torch.zeros(3, 40, 40)).dtype == torch.float32


def test_a_class_of_the_user_s_that_computes_otherwise_is_left_as_it_is():
    class Doubled(ConvNorm):
        def forward(self, x):
            return 2 * super().forward(x)

    wrapped = nn.Sequential(Doubled(3, 3, 3, Norm()), small())
    equal(wrapped, torch.randn(2, 3, 32, 32))
    assert isinstance(optimize_for_inference(wrapped)[0], Doubled)


def test_what_cannot_be_optimised_is_refused():
    with pytest.raises(ValueError, match="found Linear"):
        optimize_for_inference(nn.Linear(2, 3))
    with pytest.raises(ValueError, match="has been optimised"):
        optimize_for_inference(optimize_for_inference(small()))


@pytest.mark.parametrize("planted", ["weight", "scales", "shift"])
def test_a_planted_error_is_seen(planted):
    model = small()
    optimised, x = optimize_for_inference(model), torch.randn(1, 3, 32, 32)
    layer = next(module for module in optimised.modules() if isinstance(module, FoldedAxialAttention))
    getattr(layer, planted).copy_(getattr(layer, planted).flip(-1))
    with torch.inference_mode():
        assert float((optimised(x) - model(x)).abs().max()) > 1e-3


def test_operators_pass_pytorch_s_own_checks():
    layer = optimize_for_inference(small())
    attention = next(module for module in layer.modules() if isinstance(module, FoldedAxialAttention))
    conv = next(module for module in layer.modules() if isinstance(module, FoldedConv) and module.product)
    x = torch.randn(2, attention.weight.shape[1], 6, 5)
    arguments = (
        x, attention.weight, attention.bias, attention.query_table, attention.key_table, attention.value_table, attention.scales,
        attention.position_scale, attention.shift, 1, attention.spec.key_depth, 0, False, True, True, False, False,
    )  # fmt: skip
    checks = ("test_schema", "test_faketensor", "test_aot_dispatch_dynamic")
    torch.library.opcheck(torch.ops.axialzoo.axial_attention.default, arguments, test_utils=checks)
    x = torch.randn(2, conv.weight.shape[1], 6, 5)
    torch.library.opcheck(torch.ops.axialzoo.linear.default, (x, conv.weight, conv.bias, None, conv.outputs, True), test_utils=checks)


def test_an_exported_program_is_equal():
    optimised, x = optimize_for_inference(small()), torch.randn(2, 3, 32, 32)
    program = torch.export.export(optimised, (x,))
    assert "axialzoo.axial_attention" in str(program.graph)
    with torch.inference_mode():
        torch.testing.assert_close(program.module()(x), optimised(x))


def test_a_compiled_model_is_equal():
    optimised, x = optimize_for_inference(small()), torch.randn(2, 3, 32, 32)
    compiled = torch.compile(optimised, fullgraph=True, backend="aot_eager")
    with torch.inference_mode():
        torch.testing.assert_close(compiled(x), optimised(x))
