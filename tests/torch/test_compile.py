"""torch.compile gives what the modules give, in evaluation and in training."""

from __future__ import annotations

import pytest
import torch

from axialzoo.ops.torch import dispatch
from axialzoo.spec import Attention, Norm
from axialzoo.torch import projection
from axialzoo.torch.attention import AxialAttention
from tests.attention.layers import randomise
from tests.torch.networks import images, network

pytestmark = pytest.mark.filterwarnings("ignore")  # the compiler's own


def gradients(model, call, x):
    model.zero_grad()
    x = x.clone().requires_grad_()
    y = call(x)
    y.square().sum().backward()
    return {
        "y": y.detach(),
        "x": x.grad,
        **{name: tensor.grad.clone() for name, tensor in model.named_parameters() if tensor.grad is not None},
    }


def worst(found: dict, expected: dict) -> tuple[float, str]:
    return max((float((found[name] - tensor).abs().max() / tensor.abs().max().clamp(min=1e-3)), name) for name, tensor in expected.items())


def layer(**fields) -> AxialAttention:
    torch.manual_seed(0)
    return randomise(AxialAttention(32, Attention(16, 32, heads=4, **{"max_length": 16, **fields}), Norm(), axis=0))


def traced(model):
    with torch.no_grad():
        return torch.jit.trace(model, torch.randn(2, 32, 16, 16), check_trace=False)


def test_a_traced_layer_takes_any_batch_although_a_cpu_attends_in_parts(monkeypatch):
    monkeypatch.setattr(projection, "LOGITS_PER_CHUNK", 4 * 16 * 16 * 8)  # logits of eight columns
    model, x = layer().eval(), torch.randn(5, 32, 16, 16)
    with torch.no_grad():
        assert torch.allclose(traced(model)(x), model(x), atol=1e-5)
        monkeypatch.setattr(dispatch, "is_traced", lambda: False)  # the error that this holds off
        with pytest.raises(RuntimeError):
            assert torch.allclose(traced(model)(x), model(x), atol=1e-5)


@pytest.mark.full
def test_a_compiled_layer_in_evaluation():
    model = layer().eval()
    x = torch.randn(2, 32, 16, 16)
    with torch.no_grad():
        assert torch.allclose(torch.compile(model)(x), model(x), atol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize("fields", [{}, {"span": 3}], ids=str)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_compiled_layer_in_training(fields, memory_format):
    """The gradient of a table that was looked up by index came out of the compiler as a write out of bounds."""
    model, x = layer(**fields).train(), torch.randn(8, 32, 16, 16).to(memory_format=memory_format)
    compiled = torch.compile(model)
    for _ in range(3):
        assert worst(gradients(model, compiled, x), gradients(model, model, x)) < (1e-3, "")


@pytest.mark.full
def test_a_compiled_network_in_evaluation_and_in_training():
    model, x = network(), images()
    compiled = torch.compile(model)
    with torch.no_grad():
        assert torch.allclose(compiled(x), model(x), atol=1e-4)
    model, x = network().double().train(), images(dtype=torch.float64)
    compiled = torch.compile(model)
    assert worst(gradients(model, compiled, x), gradients(model, model, x)) < (1e-6, "")
