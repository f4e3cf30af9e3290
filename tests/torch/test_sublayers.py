"""Layers call their sub-layers wherever one is not exactly what a kernel computes: adapters, hooks, pruning, quantization take effect."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.optim.swa_utils import AveragedModel, update_bn

from axialzoo.spec import Attention, Norm
from axialzoo.torch import create_model, optimize_for_inference, sublayers
from axialzoo.torch.attention import AxialAttention
from axialzoo.torch.attention2d import Attention2D
from axialzoo.torch.norm import BatchNorm
from tests.attention.layers import randomise

NAME = "axial_resnet_cifar10_xs"
KINDS = {
    "axis": lambda: AxialAttention(6, Attention(4, 8, heads=2, max_length=7), Norm(), axis=0),
    "span": lambda: AxialAttention(6, Attention(4, 8, heads=2, max_length=7, span=3), Norm(), axis=1),
    "global": lambda: Attention2D(6, Attention(4, 8, heads=2, max_length=7, kind="global"), Norm()),
    "window": lambda: Attention2D(6, Attention(4, 8, heads=2, max_length=7, kind="window", span=3), Norm()),
}


@pytest.fixture(autouse=True)
def said():
    """Each reason is said once a process; a test of warnings starts anew."""
    sublayers._warn_once.cache_clear()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*calls its sub-layers one by one")
        yield


def small(training: bool = False, name: str = NAME, **changes) -> nn.Module:
    torch.manual_seed(0)
    return randomise(create_model(name, **changes)).train(training)


def leaves(model: nn.Module) -> dict[str, nn.Module]:
    return {name: module for name, module in model.named_modules() if not list(module.children()) and list(module.parameters())}


class LoRA(nn.Module):
    """A low-rank adapter around a layer, as PEFT's: the layer's own weight shows, the adapter acts in `forward`."""

    def __init__(self, base: nn.Module):
        super().__init__()
        self.base, self.a, self.b = base, nn.Linear(base.in_features, 2, False), nn.Linear(2, base.out_features, False)

    weight = property(lambda self: self.base.weight)
    bias = property(lambda self: self.base.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.b(self.a(x))

    def merged(self) -> nn.Module:
        self.base.weight.data += self.b.weight.data @ self.a.weight.data
        return self.base


def adapt(model: nn.Module, wanted: str) -> list[tuple[nn.Module, str, LoRA]]:
    actual = []
    for path, module in list(model.named_modules()):
        parent, _, name = path.rpartition(".")
        if isinstance(module, nn.Linear) and wanted in ("all-linear", name):
            adapter = LoRA(module)
            setattr(model.get_submodule(parent), name, adapter)
            actual.append((model.get_submodule(parent), name, adapter))
    return actual


@pytest.mark.parametrize("wanted", ["qkv", "all-linear"])
def test_every_adapter_has_a_gradient_and_merging_changes_nothing(wanted):
    model, x = small(), torch.randn(2, 3, 32, 32)
    before = model(x).detach()
    adapters = adapt(model, wanted)
    assert len(adapters) == 4 + (wanted == "all-linear")
    assert float((model(x).detach() - before).abs().max()) > 1e-2
    model.train()(x).square().sum().backward()
    for _, _, adapter in adapters:
        assert all(layer.weight.grad is not None and layer.weight.grad.abs().max() > 0 for layer in (adapter.a, adapter.b))
    adapted = model.eval()(x).detach()
    for parent, name, adapter in adapters:
        setattr(parent, name, adapter.merged())
    assert float((model(x).detach() - adapted).abs().max()) <= 1e-5 * max(1.0, float(adapted.abs().max()))


def test_an_adapter_that_is_skipped_is_caught(monkeypatch):
    monkeypatch.setattr(sublayers, "obstacle", lambda module, kind: None)
    with pytest.raises(AssertionError):
        test_every_adapter_has_a_gradient_and_merging_changes_nothing("qkv")


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", [NAME, "axial_deeplab_nuclei"])
def test_a_hook_on_every_layer_with_parameters_fires_once_a_call(training, name):
    model, calls = small(training, name), []
    for path, module in leaves(model).items():
        module.register_forward_hook(lambda *_, path=path: calls.append(path))
    x = torch.randn(2, 3, 32, 32)
    model(x)
    assert sorted(calls) == sorted(leaves(model))
    calls.clear()
    with torch.no_grad():
        model(x)
    assert sorted(calls) == sorted(leaves(model))


def test_a_hook_on_every_layer_of_a_detector_fires():
    model, calls = create_model("axial_fcos_blood_cells_xs"), set()
    for path, module in leaves(model).items():
        module.register_forward_hook(lambda *_, path=path: calls.add(path))
    model(torch.zeros(1, 3, 64, 64))
    assert calls == {*leaves(model)} and "head.levels.scales" in calls


def test_a_hook_of_all_modules_fires_too():
    model, calls = small(), []
    handle = nn.modules.module.register_module_forward_hook(lambda module, *_: calls.append(module))
    try:
        model(torch.zeros(1, 3, 32, 32))
    finally:
        handle.remove()
    assert {id(module) for module in leaves(model).values()} <= {id(module) for module in calls}


def counted(model: nn.Module, x: Tensor) -> int:
    """Number of parameters of the leaf modules that a call reaches, as counters of operations sum them."""
    totals = []
    handles = [
        module.register_forward_hook(lambda module, *_: totals.append(sum(p.numel() for p in module.parameters())))
        for module in model.modules()
        if not list(module.children())
    ]
    model(x)
    for handle in handles:
        handle.remove()
    return sum(totals)


def test_counting_by_hooks_counts_every_parameter_of_a_layer():
    model = small()
    tables = sum(p.numel() for layer in model.modules() if isinstance(layer, AxialAttention) for p in layer.parameters(recurse=False))
    assert counted(model, torch.zeros(1, 3, 32, 32)) + tables == sum(p.numel() for p in model.parameters())


def test_grad_cam_on_the_norm_of_the_output():
    model, remaining = small(), {}
    layer = [module for module in model.modules() if isinstance(module, AxialAttention)][-1].norm_output
    layer.register_forward_hook(lambda module, arguments, output: remaining.update(activation=output))
    layer.register_full_backward_hook(lambda module, grad_in, grad_out: remaining.update(gradient=grad_out[0]))
    model(torch.randn(1, 3, 32, 32))[0, 0].backward()
    cam = (remaining["gradient"].mean(0) * remaining["activation"]).sum(1).relu()  # a number for each position
    assert remaining["gradient"].shape == remaining["activation"].shape and cam.detach().abs().max() > 0


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_that_calls_its_sublayers_computes_the_same(kind, training):
    torch.manual_seed(0)
    plain = randomise(KINDS[kind]().double()).train(training)
    hooked, x = copy.deepcopy(plain), torch.randn(2, 6, 7, 5, dtype=torch.float64)
    calls = []
    hooked.norm_similarity.register_forward_hook(lambda *_: calls.append(1))
    ours, theirs = (layer(x) for layer in (hooked, plain))
    assert calls == [1] and float((ours - theirs).detach().abs().max()) <= 1e-10
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(hooked.state_dict()[name], tensor, rtol=1e-9, atol=1e-10)
    cotangent = torch.randn_like(ours)
    for y in (ours, theirs):
        (y * cotangent).sum().backward()
    for (name, a), (_, b) in zip(hooked.named_parameters(), plain.named_parameters()):
        if name != "norm_similarity.bias":  # constant along a softmax row
            assert a.grad is not None and b.grad is not None and float((a.grad - b.grad).abs().max()) <= 1e-9, name


def test_pruned_layers_train():
    model = small(True)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            prune.l1_unstructured(module, "weight", amount=0.5)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(4, 3, 32, 32)).square().mean().backward()
        optimizer.step()
    qkv = next(module for module in model.modules() if isinstance(module, AxialAttention)).qkv
    grad = qkv.weight_orig.grad
    assert grad is not None and float(grad.abs().max()) > 0 and bool((grad[qkv.weight_mask == 0] == 0).all())


def test_a_weight_that_is_stale_is_not_used():
    """Pruning makes the weight in a hook before each call: a layer that reads it without calling has that of the last call."""
    layer, x = randomise(KINDS["axis"]()).eval(), torch.randn(1, 6, 7, 5)
    prune.l1_unstructured(layer.qkv, "weight", amount=0.5)
    before = layer(x).detach()
    with torch.no_grad():
        layer.qkv.weight_orig.mul_(2)
    assert float((layer(x).detach() - before).abs().max()) > 1e-3


@pytest.mark.parametrize("wrap", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_parametrized_weights_train(wrap):
    model = small(True)
    for module in model.modules():
        if isinstance(module, AxialAttention):
            wrap(module.qkv)
    model(torch.randn(4, 3, 32, 32)).square().mean().backward()
    parameters = {name: parameter for name, parameter in model.named_parameters() if "parametrizations" in name}
    assert parameters and all(parameter.grad is not None for parameter in parameters.values())


@pytest.mark.filterwarnings("ignore")  # PyTorch's own deprecation
def test_dynamic_quantization_is_in_effect():
    if torch.backends.quantized.engine == "none":
        pytest.skip("this PyTorch has no engine of quantized operations")
    model, x = small(), torch.randn(2, 3, 32, 32)
    expected = model(x)
    quantized = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    actual = quantized(x)
    apart = float(((actual - expected).norm() / expected.norm()).detach())
    assert 0 < apart < 0.1


def test_statistics_of_an_average_are_taken_anew():
    model = AveragedModel(small())
    batches = [torch.randn(4, 3, 32, 32) for _ in range(3)]
    update_bn(batches, model)
    first, exact = model.module.stem[0], []
    first.conv.register_forward_hook(lambda module, arguments, output: exact.append(output.mean((0, 2, 3))))
    model.eval()
    for batch in batches:
        model(batch)
    torch.testing.assert_close(first.norm.running_mean, torch.stack(exact).mean(0), rtol=1e-4, atol=1e-5)
    assert first.norm.momentum is not None and int(first.norm.num_batches_tracked) == 3


def test_norms_become_those_of_several_processes():
    model, x = small(), torch.randn(2, 3, 32, 32)
    expected = model(x)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert not any(isinstance(module, BatchNorm) for module in converted.modules())
    torch.testing.assert_close(converted(x), expected, rtol=1e-4, atol=1e-4)


def test_norms_are_frozen_by_type():
    model = small(True)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval().requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_plain_path_is_said_once_with_the_sublayer_and_the_reason():
    layer, x = KINDS["axis"]().eval(), torch.randn(1, 6, 7, 5)
    layer.norm_output.register_forward_hook(lambda *_: None)
    with pytest.warns(UserWarning, match="AxialAttention: its sub-layer norm_output has hooks") as record:
        layer(x), layer(x)
    assert len(record) == 1


def test_a_pristine_layer_says_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for training in (False, True):
            small(training)(torch.randn(2, 3, 32, 32))


def test_what_is_adapted_keeps_its_own_form_in_inference():
    model, x = small(), torch.randn(2, 3, 32, 32)
    adapt(model, "qkv")
    with torch.no_grad():
        torch.testing.assert_close(optimize_for_inference(model)(x), model(x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["axial", "global"])
def test_a_graph_of_fx_computes_the_same_at_any_size(kind):
    model = small(attention=kind)
    graph = torch.fx.symbolic_trace(model)
    for size in (32, 48):
        x = torch.randn(2, 3, size, size)
        assert torch.equal(graph(x), model(x))
    targets = [node.target for node in graph.graph.nodes if node.op == "call_module"]
    assert any(str(target).endswith((".width", ".attention")) for target in targets)


@pytest.mark.filterwarnings("ignore")  # PyTorch's own, of what is deprecated
def test_a_trace_within_and_outside_no_grad():
    model, x = small(), torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(torch.jit.trace(model, x)(x), model(x), rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.trace(model, x)(x), model(x), rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_a_script_is_refused_with_what_to_use():
    with pytest.raises(TypeError, match=r"torch\.jit\.script.*use torch\.export"):
        torch.jit.script(small())
