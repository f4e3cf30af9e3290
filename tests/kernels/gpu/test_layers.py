"""Layers and operators on the kernel for GPUs, through Triton's interpreter, compute and train as the plain ones."""

from __future__ import annotations

import copy

import pytest
import torch

from axialzoo.ops.kernels import use_kernel
from axialzoo.ops.torch import gpu as ops_gpu
from axialzoo.torch.fused_layer import can_train_fused
from axialzoo.torch.inference import FoldedAxialAttention, optimize_for_inference
from tests.kernels.gpu.interpreted import as_on_a_gpu, needs_interpreter
from tests.kernels.layers import compare, layer
from tests.kernels.test_training import differences, second_gradients

pytestmark = needs_interpreter
CONTENT = {"similarity": ("content",), "value": ("content",)}
SMALL = {"heads": 2, "key_channels": 8, "value_channels": 16}


@pytest.fixture(autouse=True)
def gpu():
    with as_on_a_gpu():
        yield


@pytest.fixture
def served(monkeypatch):
    """Number of calls of the kernel."""
    calls, honest = [], ops_gpu.Call.launch
    monkeypatch.setattr(ops_gpu.Call, "launch", lambda *arguments, **flags: calls.append(1) or honest(*arguments, **flags))
    return calls


@pytest.mark.parametrize(
    "fields",
    [
        {"axis": 0}, {"axis": 1, "gated": True}, {"similarity": ("content", "key"), "value": ("content",)}, {"value": ("position",)},
        {"encoding": "absolute", **CONTENT}, {"max_length": 4, "beyond_tables": "interpolate", "axis": 1},
    ],
)  # fmt: skip
def test_a_layer_trains_as_the_plain_one(fields, served):
    for name, (ours, _) in differences(layer(**SMALL, **fields), torch.randn(2, 12, 9, 3)).items():
        assert ours <= (1e-5 if name == "output" else 1e-4), (name, ours)
    assert served


def test_under_autocast_it_is_as_near_to_float64_as_the_plain_form(served):
    module, x = layer(**SMALL).train(), torch.randn(2, 12, 9, 3, generator=torch.Generator().manual_seed(0))
    with use_kernel("plain"):
        exact = copy.deepcopy(module).double()(x.double()).detach()
    with torch.autocast("cpu", torch.bfloat16):
        ours = module(x)
        calls = len(served)
        with use_kernel("plain"):
            theirs = module(x)
    assert calls == len(served) == 1 and ours.dtype == theirs.dtype == torch.bfloat16
    ours.float().square().sum().backward()
    assert module.qkv.weight.grad is not None and module.qkv.weight.grad.dtype == torch.float32
    apart = [float((actual.detach().double() - exact).norm() / exact.norm()) for actual in (ours, theirs)]
    assert apart[0] <= 1.5 * apart[1] <= 0.05


def test_gradients_of_gradients_are_those_of_the_plain_form():
    module, x = layer(**SMALL), torch.randn(1, 12, 5, 3, generator=torch.Generator().manual_seed(0))
    ours = second_gradients(module, x)
    with use_kernel("plain"):
        exact = second_gradients(copy.deepcopy(module).double(), x.double())
    largest = max(float(item.norm()) for item in exact)
    for item, other in zip(ours, exact, strict=True):
        assert float((item - other).norm()) <= 1e-3 * max(float(other.norm()), 1e-2 * largest)


def test_where_it_does_not_serve_the_plain_form_does(served):
    x = torch.randn(1, 12, 9, 3)
    assert can_train_fused(layer().train(), x, 0)
    assert not can_train_fused(layer(span=3).train(), x, 0) and not can_train_fused(layer().eval(), x, 0)
    assert not can_train_fused(layer().train().bfloat16(), x, 0)
    layer(span=3).train()(x)
    with use_kernel("plain"):
        layer().train()(x)
    assert not served


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(
    "fields",
    [
        {}, {"gated": True, "span": 5}, {"value": ("content",)}, {"value": ("position",), "similarity": ("query",)},
        {"max_length": 3, "beyond_tables": "interpolate"}, {"encoding": "sinusoidal", **CONTENT},
    ],
)  # fmt: skip
def test_a_folded_layer_is_equal(axis, fields, served):
    for flags in ({}, {"fastest": True}):
        plain = layer(axis=axis, **SMALL, **fields)
        fused = FoldedAxialAttention(plain, **flags)
        apart, ours, theirs = compare(plain, torch.randn(1, 12, 9, 5), _undone(fused, plain.spec.heads) if flags else fused)
        assert apart <= 1e-5 and ours <= 2 * theirs + 3e-7
    assert len(served) == 2


def _undone(fused, heads: int):
    """Its channels head by head again."""
    return lambda x: fused(x).unflatten(1, (-1, heads)).transpose(1, 2).flatten(1, 2)


def test_a_folded_layer_that_activates_in_half_precision(served):
    plain, x = layer(**SMALL), torch.randn(1, 12, 9, 3)
    with torch.inference_mode():
        expected = plain(x).relu()
        actual = FoldedAxialAttention(plain, relu=True).bfloat16()(x.bfloat16())
        with torch.autocast("cpu", torch.bfloat16):
            again = FoldedAxialAttention(plain, relu=True)(x)
    assert len(served) == 2 and actual.dtype == torch.bfloat16 and again.dtype == torch.float32
    assert float((actual.float() - expected).norm() / expected.norm()) <= 0.03
    torch.testing.assert_close(again, expected, rtol=1e-4, atol=1e-5)


def test_a_model_optimised_for_inference_runs_on_it(served):
    from axialzoo.torch import create_model
    from tests.attention.layers import randomise

    torch.manual_seed(0)
    model, x = randomise(create_model("axial_resnet_cifar10_xs")).eval(), torch.randn(1, 3, 16, 16)
    with torch.inference_mode():
        expected, actual = model(x), optimize_for_inference(model)(x)
    assert served and float((actual - expected).abs().max()) <= 2e-5 * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("planted", ["query_table", "key_table", "value_table", "scales", "shift", "weight"])
def test_a_planted_error_is_seen(planted):
    plain = layer(**SMALL)
    fused = FoldedAxialAttention(plain)
    tensor = getattr(fused, planted)
    tensor.copy_(tensor.flip(0 if planted != "weight" else 2))
    assert compare(plain, torch.randn(1, 12, 9, 3), fused)[0] > 1e-3


def test_the_operators_pass_pytorch_s_own_checks():
    qkv, tables, scales = torch.randn(1, 5, 2, 32), (*torch.randn(2, 9, 2), torch.randn(9, 4)), torch.randn(3, 4)
    inputs = [x.requires_grad_() for x in (qkv, *tables, scales)]
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(torch.ops.axialzoo.attend.default, (*inputs, 0, 2, 0, True, True, False), test_utils=checks)


def test_what_is_compiled_trains_in_the_plain_form(served):
    module, x = layer(**SMALL).train(), torch.randn(1, 12, 9, 3)
    with use_kernel("plain"):
        expected = copy.deepcopy(module)(x)
    compiled = torch.compile(copy.deepcopy(module), fullgraph=True, backend="aot_eager")(x)
    torch.testing.assert_close(compiled, expected, rtol=1e-4, atol=1e-5)
    assert not served
