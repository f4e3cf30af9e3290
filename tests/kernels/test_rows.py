"""Products and norms of rows train on the kernel as PyTorch's own do: alone, in blocks, under autocast, twice differentiated."""

from __future__ import annotations

import copy
from collections import Counter

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from axialzoo.ops.kernels import kernel, use_kernel
from axialzoo.ops.torch import norm as fused_norm
from axialzoo.ops.torch import rows as fused_rows
from axialzoo.ops.torch.dispatch import can_train_rows
from axialzoo.spec import Norm
from axialzoo.torch import create_model
from axialzoo.torch.blocks import ConvNorm
from axialzoo.torch.norm import BatchNorm

FOUND = kernel()
pytestmark = pytest.mark.skipif(FOUND is None, reason="no kernel: there is no compiler here")


def maps(*shape: int) -> Tensor:
    return torch.randn(shape).to(memory_format=torch.channels_last)


def step(module: nn.Module, x: Tensor, residual: Tensor | None = None, activation=None) -> list[Tensor]:
    """Output, gradients and moving statistics of one step."""
    module = copy.deepcopy(module).train()
    inputs = [part.detach().clone().requires_grad_() for part in (x, residual) if part is not None]
    y = module(*inputs[:1], inputs[1] if residual is not None else None, activation)
    torch.manual_seed(1)
    y.backward(torch.randn(y.shape).to(y.dtype))
    grads = [item.grad for item in (*inputs, *module.parameters())]
    return [y.detach(), *(grad for grad in grads if grad is not None), *module.buffers()]


def apart(found: list[Tensor], exact: list[Tensor]) -> float:
    return max(float((a.double() - b.double()).norm() / b.double().norm()) for a, b in zip(found, exact, strict=True))


def exactly(module: nn.Module, x: Tensor, residual: Tensor | None = None, activation=None) -> list[Tensor]:
    with use_kernel("plain"):
        return step(copy.deepcopy(module).double(), x.double(), None if residual is None else residual.double(), activation)


def convolution(inputs: int, outputs: int, stride: int = 1) -> ConvNorm:
    torch.manual_seed(0)
    module = ConvNorm(inputs, outputs, 1, Norm(), stride)
    nn.init.normal_(module.norm.weight, 1.0, 0.2), nn.init.normal_(module.norm.bias)
    return module


@pytest.mark.parametrize(("channels", "size", "stride"), [((12, 70), (5, 7), 1), ((64, 128), (14, 14), 1), ((33, 5), (9, 8), 2)])
@pytest.mark.parametrize("activation", [None, F.relu, F.silu])
@pytest.mark.parametrize("adds", [False, True])
def test_a_convolution_its_norm_and_what_follows(path, channels, size, stride, activation, adds):
    module, x = convolution(*channels, stride), maps(3, channels[0], *size)
    residual = maps(3, channels[1], *(-(-side // stride) for side in size)) if adds else None
    assert apart(step(module, x, residual, activation), exactly(module, x, residual, activation)) <= 2e-6


def test_means_far_from_zero_cost_no_digits(path):
    norm, x = BatchNorm(20, Norm()), maps(4, 20, 9, 9) + 1000.0
    with use_kernel("plain"):
        plain = apart(step(norm, x), exactly(norm, x))
    assert apart(step(norm, x), exactly(norm, x)) <= max(2 * plain, 1e-4)


def test_maps_of_another_layout_and_type_go_the_plain_way(monkeypatch):
    monkeypatch.setattr(fused_norm, "_run", None), monkeypatch.setattr(fused_rows, "product", None)  # a call would fail
    module = convolution(12, 16)
    step(module.double(), maps(2, 12, 5, 5).double())
    with use_kernel("plain"):
        step(module.float(), maps(2, 12, 5, 5))
    step(BatchNorm(12, Norm()), torch.randn(2, 12, 5, 5))
    x, weight = maps(2, 12, 5, 5), torch.ones(12)
    with forward_ad.dual_level():
        assert not can_train_rows(x, weight)
    assert torch.func.grad(lambda x: x.sum() if can_train_rows(x, weight) else 2 * x.sum())(x).eq(2).all()
    assert can_train_rows(x, weight)


def test_one_value_a_channel_is_refused_as_pytorch_does():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        BatchNorm(4, Norm()).train()(torch.randn(1, 4, 1, 1))


def test_what_does_not_fit_is_refused():
    module = convolution(12, 16).train()
    with pytest.raises(ValueError, match=r"rows of 12 channels for a weight of \(16, 12\), found \(2, 5, 5, 13\)"):
        module(maps(2, 13, 5, 5))
    with pytest.raises(ValueError, match=r"residual of shape \(2, 5, 5, 16\), channels last, found \(2, 5, 4, 16\)"):
        module(maps(2, 12, 5, 5), maps(2, 16, 5, 4))
    with pytest.raises(RuntimeError, match="running_mean"):
        module.norm(maps(2, 15, 5, 5))


def test_gradients_of_gradients():
    module = convolution(6, 9).double()  # in double, plainly: what the kernel's are compared with
    x, residual = maps(2, 6, 4, 4), maps(2, 9, 4, 4)

    def second(module: nn.Module, x: Tensor, residual: Tensor) -> list[Tensor]:
        x, residual = (part.clone().requires_grad_() for part in (x, residual))
        loss = module.train()(x, residual, F.relu).square().sum()
        grads = torch.autograd.grad(loss, (x, residual, *module.parameters()), create_graph=True)
        return list(torch.autograd.grad(sum(grad.square().sum() for grad in grads), (x, residual, *module.parameters())))

    exact = second(copy.deepcopy(module), x.double(), residual.double())
    assert apart(second(copy.deepcopy(module).float(), x, residual), exact) <= 1e-4


@pytest.mark.parametrize("name", ["axial_resnet_cifar10_xs", "axial_deeplab_nuclei_xs"])
def test_a_model_trains_as_plainly(name, monkeypatch):
    """Every gradient of a whole network; and its layers do run on the kernel."""
    torch.manual_seed(0)
    model = create_model(name, features_only=True)
    for module in model.modules():
        if isinstance(module, BatchNorm):
            nn.init.normal_(module.weight, 0.5, 0.1)
    x, ran = maps(4, 3, 32, 32), []
    honest = fused_norm._run
    monkeypatch.setattr(fused_norm, "_run", lambda name, *rest, **more: (ran.append(name), honest(name, *rest, **more))[1])

    def gradients(module: nn.Module, x: Tensor) -> list[Tensor]:
        outputs = module.train()(x)
        sum(y.square().mean() for y in (outputs if isinstance(outputs, (list, tuple)) else [outputs])).backward()
        return [p.grad for p in module.parameters() if p.grad is not None]

    with use_kernel("plain"):
        exact = gradients(copy.deepcopy(model).double(), x.double())
        plain = gradients(copy.deepcopy(model), x)
    assert not ran
    fused = gradients(copy.deepcopy(model), x)
    assert {"norm_moments", "norm_forward", "norm_backward"} <= set(ran)
    total = torch.cat([grad.flatten() for grad in exact]).norm()

    def error(found: list[Tensor]) -> float:
        return float(torch.cat([(a.double() - b).flatten() for a, b in zip(found, exact, strict=True)]).norm() / total)

    assert error(fused) <= 2 * error(plain)


class Operations(TorchDispatchMode):
    """Counts the operations of PyTorch that are called within it, by name."""

    def __init__(self):
        super().__init__()
        self.counted: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.counted[func.__name__] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("name", "others"),
    [("axial_deeplab_nuclei_xs", 0), ("axial_fcos_blood_cells", 3), ("axial_resnet_cifar10_xs", 0)],  # boxes of 3 levels have no norm
)
def test_what_follows_a_norm_is_activated_by_the_kernel(name, others):
    model, x = create_model(name).train().to(memory_format=torch.channels_last), maps(2, 3, 32, 32)
    with Operations() as plain, use_kernel("plain"):
        model(x)
    with Operations() as fused:
        model(x)
    assert plain.counted["relu.default"] >= 9 and fused.counted["relu.default"] == others


def test_under_autocast_it_is_as_near_as_the_plain_form():
    torch.manual_seed(0)
    module, x = convolution(32, 48), maps(4, 32, 12, 12)
    exact = exactly(module, x, None, F.relu)

    def halves() -> list[Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            return step(module, x, None, F.relu)

    with use_kernel("plain"):
        plain = apart(halves(), exact)
    actual = halves()
    assert actual[0].dtype == torch.bfloat16
    assert apart(actual, exact) <= 1.2 * plain


def test_bfloat16_is_rounded_as_pytorch_rounds(path):
    """To the nearest, of two equally near to the even one; what is not a number stays so, through the activation too."""
    halfway = torch.tensor([1.0, 1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, 3.4e38, 1e-40, float("inf"), float("nan"), 2**-130])
    x = torch.cat([halfway, torch.randn(991) * 10.0 ** torch.randint(-9, 9, (991,))]).repeat(1, 3)  # (1, 3000)
    zero, item = torch.zeros(3000), torch.ones(3000)
    for relu in (False, True):
        actual = fused_norm.apply_norm(x, zero, item, zero, (1, 0, relu), torch.bfloat16)
        expected = (x.relu() if relu else x).to(torch.bfloat16)
        assert torch.equal(actual.isnan(), expected.isnan())
        assert torch.equal(actual.nan_to_num(7.0), expected.nan_to_num(7.0))


def test_the_same_bits_for_any_number_of_threads():
    module, x, before, results = convolution(24, 40), maps(8, 24, 17, 19), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(step(module, x, None, F.relu))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other))


@pytest.mark.parametrize("place", ["norm_backward", "weight_gradient"])
def test_a_planted_error_is_seen(place, monkeypatch):
    honest = type(FOUND).run

    def wrong(self, name, arguments, threads=1):
        if name == place == "weight_gradient":
            arguments.height -= 1  # a row of the maps is forgotten
        elif name == place:
            arguments.relu = 0  # gradients go through what was not active
        return honest(self, name, arguments, threads)

    monkeypatch.setattr(type(FOUND), "run", wrong)
    module, x = convolution(12, 16), maps(3, 12, 5, 7)
    assert apart(step(module, x, None, F.relu), exactly(module, x, None, F.relu)) > 1e-2
