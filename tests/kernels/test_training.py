"""The fused layer trains as the plain one: outputs, gradients and moving statistics, checked against float64."""

from __future__ import annotations

import contextlib
import copy

import numpy as np
import pytest
import torch

from axialzoo.ops.kernels import kernel, use_kernel
from axialzoo.spec import Attention
from axialzoo.torch import attention, fused_layer
from axialzoo.torch.attention import AxialAttention
from axialzoo.torch.fused_layer import can_train_fused, train_fused
from axialzoo.torch.norm import checkpoint_block
from tests.kernels.layers import layer, of_reference
from tests.kernels.test_attention import SIMILARITY_TERMS, VALUE_TERMS, some
from tests.parity import reference
from tests.parity.common import CASES
from tests.parity.test_gradients import FLOOR

FOUND = kernel()
pytestmark = pytest.mark.skipif(FOUND is None, reason="no kernel: there is no compiler here")


def step(module: AxialAttention, x: torch.Tensor, cotangent: torch.Tensor, fused: bool) -> dict[str, torch.Tensor]:
    """Output, gradients and moving statistics of one step."""
    module = copy.deepcopy(module).train()
    x = x.detach().clone().requires_grad_()
    with contextlib.nullcontext() if fused else use_kernel("plain"):
        y = module(x)
    y.backward(cotangent)
    named = {"output": y.detach(), "x": x.grad}
    named |= {name: parameter.grad for name, parameter in module.named_parameters()}
    named |= {name: buffer for name, buffer in module.named_buffers()}
    assert all(tensor is not None for tensor in named.values()), [name for name, tensor in named.items() if tensor is None]
    return named  # pyright: ignore[reportReturnType]


def differences(module: AxialAttention, x: torch.Tensor) -> dict[str, tuple[float, float]]:
    """Distances of the fused form and of the plain one from float64, relative to it (or to the largest gradient)."""
    cotangent = torch.randn(x.shape[0], module.spec.value_channels, *x.shape[2:])
    ours, theirs = (step(module, x, cotangent, fused) for fused in (True, False))
    exact = step(copy.deepcopy(module).double(), x.double(), cotangent.double(), False)
    floor = 1e-2 * max(float(tensor.norm()) for tensor in exact.values())
    return {
        name: tuple(float((actual[name].double() - tensor).norm()) / max(float(tensor.norm()), floor) for actual in (ours, theirs))
        for name, tensor in exact.items()
    }  # pyright: ignore[reportReturnType]


def check(module: AxialAttention, x: torch.Tensor) -> None:
    for name, (ours, _) in differences(module, x).items():
        assert ours <= (1e-5 if name == "output" else 1e-4), (name, ours)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("similarity", some(SIMILARITY_TERMS))
@pytest.mark.parametrize("value", some(VALUE_TERMS))
def test_every_choice_of_terms(path, axis, similarity, value):
    check(layer(axis=axis, similarity=similarity, value=value), torch.randn(2, 12, 9, 7))


@pytest.mark.parametrize("heads", [1, 3, 8, 16])
@pytest.mark.parametrize("length", [2, 7, 14, 33])
def test_any_number_of_heads_and_length(path, heads, length):
    check(layer(heads=heads, key_channels=2 * heads, value_channels=5 * heads, max_length=length), torch.randn(2, 12, length, 5))


@pytest.mark.parametrize("fields", [{"gated": True}, {"max_length": 5, "beyond_tables": "interpolate"}, {"max_length": 30}])
def test_gates_and_tables_of_another_length(path, fields):
    check(layer(**fields), torch.randn(2, 12, 9, 7))


def test_depths_of_64_and_length_1(path):
    check(layer(heads=2, key_channels=64, value_channels=128), torch.randn(2, 12, 9, 3))
    x = torch.randn(8, 12, 1, 5)
    assert all(torch.isfinite(tensor).all() for tensor in step(layer(max_length=1), x, torch.randn(8, 16, 1, 5), True).values())


@pytest.mark.parametrize("span", [3, 5])
def test_gradients_within_a_span(path, span):
    """The operator alone; in training the layer itself serves there."""
    torch.manual_seed(0)
    qkv, tables, scales = torch.randn(2, 11, 3, 3 * 9), (*torch.randn(2, 13, 2), torch.randn(13, 5)), torch.randn(3, 3)
    cotangents = torch.randn(2, 2, 11, 3, 15)

    def gradients(function, dtype):
        inputs = [x.to(dtype).requires_grad_() for x in (qkv, *tables, scales)]
        outputs = function(*inputs)
        return torch.autograd.grad(sum((y * c.to(dtype)).sum() for y, c in zip(outputs, cotangents)), inputs)

    ours = gradients(lambda *x: torch.ops.axialzoo.attend(*x, 0, 2, span, True, True)[0].chunk(2, 3), torch.float32)
    spec = Attention(6, 15, heads=3, max_length=7, span=span)
    for actual, exact in zip(ours, gradients(lambda *x: of_reference(*x, spec=spec), torch.float64), strict=True):
        assert float((actual - exact).norm() / exact.norm()) <= 1e-5


def test_the_same_bits_for_any_number_of_threads():
    module, x, cotangent = layer(), torch.randn(4, 12, 9, 40), torch.randn(4, 16, 9, 40)
    before, results = torch.get_num_threads(), []
    qkv, tables, scales = torch.randn(4, 9, 40, 32), (*torch.randn(2, 17, 2), torch.randn(17, 4)), torch.randn(3, 4)
    _, normaliser = torch.ops.axialzoo.attend(qkv, *tables, scales, 0, 2, 0, True, True)
    try:
        for threads in (1, 2, 3, 1):
            torch.set_num_threads(threads)
            grad = cotangent.permute(0, 2, 3, 1).repeat(1, 1, 1, 2)
            results.append(torch.ops.axialzoo.attend_backward(grad, qkv, normaliser, *tables, scales, 0, 2, 0, True, True))
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(result, results[0]))
    first, again = (step(module, x, cotangent, True) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_where_it_does_not_serve_it_says_so():
    module, x = layer(span=3), torch.randn(1, 12, 9, 5)
    assert not can_train_fused(module.train(), x, 0)
    with pytest.raises(ValueError, match="expected a layer in training on a whole axis"):
        train_fused(module, x, module.axis)
    assert not can_train_fused(layer().train().double(), x.double(), 0)
    assert can_train_fused(layer().train(), x, 0)
    with use_kernel("plain"):
        assert not can_train_fused(layer().train(), x, 0)


def test_a_planted_error_is_seen(monkeypatch):
    from axialzoo.ops.torch import core

    honest = core.moments
    monkeypatch.setattr(core, "moments", lambda *x: (honest(*x)[0], honest(*x)[1] * 1.01, honest(*x)[2]))
    assert max(ours for ours, _ in differences(layer(), torch.randn(2, 12, 9, 7)).values()) > 1e-3


def test_the_operator_passes_pytorch_s_own_checks():
    qkv, tables, scales = torch.randn(2, 5, 3, 32), (*torch.randn(2, 9, 2), torch.randn(9, 4)), torch.randn(3, 4)
    inputs = [x.requires_grad_() for x in (qkv, *tables, scales)]
    checks = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    torch.library.opcheck(torch.ops.axialzoo.attend.default, (*inputs, 0, 2, 0, True, True), test_utils=checks)


@pytest.fixture
def served(monkeypatch):
    """Number of calls of the fused form."""
    calls, honest = [], attention.train_fused
    monkeypatch.setattr(attention, "train_fused", lambda *arguments: calls.append(1) or honest(*arguments))
    return calls


@pytest.mark.parametrize("fields", [{}, {"encoding": "absolute", "similarity": ("content",), "value": ("content",)}])
def test_a_layer_in_training_is_fused_by_default_and_nowhere_else(served, fields):
    module, x = layer(**fields), torch.randn(2, 12, 9, 7)
    module(x)
    assert not served  # in evaluation
    module.train()
    fused = module(x)
    assert len(served) == 1
    with use_kernel("plain"):
        torch.testing.assert_close(fused, module(x), rtol=1e-4, atol=1e-5)
    module.norm_output.eval()
    module(x)
    layer(span=3).train()(x)
    layer().train().double()(x.double())
    assert len(served) == 1


def test_under_autocast_it_is_nearer_to_float64_than_the_plain_form(served):
    module, x = layer().train(), torch.randn(4, 12, 9, 7, generator=torch.Generator().manual_seed(0))
    exact = copy.deepcopy(module).double()(x.double()).detach()
    with torch.autocast("cpu", torch.bfloat16):
        ours = module(x)
        with use_kernel("plain"):
            theirs = module(x)
    assert len(served) == 1 and ours.dtype == theirs.dtype == torch.bfloat16
    ours, theirs = (float((actual.detach().double() - exact).norm() / exact.norm()) for actual in (ours, theirs))
    assert ours <= theirs <= 0.05
    with torch.autocast("cpu", torch.bfloat16):
        module(x).sum().backward()
    assert module.qkv.weight.grad.dtype == torch.float32


def test_a_recomputed_layer_updates_its_statistics_once():
    once, again, x = layer().train(), layer().train(), torch.randn(2, 12, 9, 7)
    once(x).square().sum().backward()
    checkpoint_block(again, x).square().sum().backward()
    for (name, item), other in zip(once.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(item, other), name
    assert all(torch.equal(item.grad, other.grad) for item, other in zip(once.parameters(), again.parameters()))


def second_gradients(module: AxialAttention, x: torch.Tensor) -> list[torch.Tensor]:
    """Gradients of the squared gradients of the squared output."""
    module = copy.deepcopy(module).train()
    inputs = [x.clone().requires_grad_(), *module.parameters()]
    first = torch.autograd.grad(module(inputs[0]).square().sum(), inputs, create_graph=True)
    return list(torch.autograd.grad(sum(item.square().sum() for item in first), inputs, materialize_grads=True))


def test_gradients_of_gradients_are_those_of_the_plain_form():
    module, x = layer(), torch.randn(2, 12, 9, 7, generator=torch.Generator().manual_seed(0))
    ours, exact = second_gradients(module, x), second_gradients(copy.deepcopy(module).double(), x.double())
    largest = max(float(item.norm()) for item in exact)
    for item, other in zip(ours, exact, strict=True):
        assert float((item - other).norm()) <= 1e-3 * max(float(other.norm()), 1e-2 * largest)


def test_training_goes_on_after_a_first_call_under_inference_mode():
    fused_layer.qkv_order.cache_clear()
    fused_layer.output_order.cache_clear()
    module, x = layer().train(), torch.randn(2, 12, 9, 7)
    with torch.inference_mode():
        module(x)
    module(x).square().sum().backward()
    assert float(module.qkv.weight.grad.abs().max()) > 0


@pytest.mark.parametrize("name", ["xs_square", "gated", "absolute", "content_only", "interpolated", "50_s_block_0_0"])
def test_gradients_are_as_exact_as_those_of_the_plain_form(served, name):
    case = CASES[name]
    exact = reference.gradients(case, "float64")
    floor = FLOOR * max(np.abs(gradient).max() for gradient in exact.values())

    def error() -> float:
        model = reference.model_of(case.spec, "float32", last_gamma=0.1).train()
        y = reference.joined(model(torch.from_numpy(case.images("float32"))))
        reference.loss_of(y, case.targets("float32")).backward()
        return float(np.mean([reference.relative(item.grad.numpy(), exact[key], floor) for key, item in model.named_parameters()]))

    ours = error()
    assert served
    with use_kernel("plain"):
        plain = error()
    assert ours <= 2 * plain


@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_a_compiled_layer_and_an_exported_one_train_as_the_plain_form(served):
    module, x = layer().train(), torch.randn(2, 12, 9, 7)
    with use_kernel("plain"):
        expected = copy.deepcopy(module)(x)
    compiled = torch.compile(copy.deepcopy(module), fullgraph=True, backend="aot_eager")(x)
    torch.testing.assert_close(compiled, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.export.export(module, (x,)).module()(x), expected, rtol=1e-4, atol=1e-5)
    assert not served
