"""The other kinds of attention compute what their papers say: outputs, gradients and moving statistics, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from axialzoo.ops.reference import pairs
from axialzoo.spec import KINDS, Attention, Norm, SpecError, adapt, get_entry, num_parameters, parameters
from axialzoo.spec.primitives import attended_pairs
from axialzoo.torch import build, projection
from axialzoo.torch.attention2d import Attention2D
from axialzoo.torch.projection import sinusoids
from tests.attention.layers import CHANNELS, image, make, randomise
from tests.attention.plain import plain_attention
from tests.attention.test_equation import difference, gradients

LAYERS = {
    "global": {"kind": "global", "max_length": 9},
    "global beyond its tables": {"kind": "global", "max_length": 4},
    "global, interpolated": {"kind": "global", "max_length": 4, "beyond_tables": "interpolate"},
    "local": {"kind": "local", "span": 3, "max_length": 2},
    "local, one position": {"kind": "local", "span": 1, "max_length": 1},
    "local, wide": {"kind": "local", "span": 7, "max_length": 4},
    "local within its tables": {"kind": "local", "span": 7, "max_length": 3},
    "windows": {"kind": "window", "span": 3, "max_length": 3},
    "shifted windows": {"kind": "window", "span": 3, "max_length": 3, "shifted": True},
    "shifted windows of an even side": {"kind": "window", "span": 4, "max_length": 4, "shifted": True},
    "windows of short tables": {"kind": "window", "span": 5, "max_length": 2},
    "shifted windows of short tables": {"kind": "window", "span": 5, "max_length": 2, "shifted": True},
    "content alone": {"kind": "global", "similarity": ("content",), "value": ("content",)},
    "query and value positions": {"kind": "local", "span": 5, "max_length": 3, "similarity": ("query",), "value": ("position",)},
    "key": {"kind": "window", "span": 4, "max_length": 4, "similarity": ("content", "key"), "value": ("content",)},
    "gated": {"kind": "local", "span": 3, "max_length": 2, "gated": True},
    "absolute": {"kind": "global", "max_length": 12, "encoding": "absolute", "similarity": ("content",), "value": ("content",)},
}
SIZES = [(9, 8), (1, 1), (1, 7), (10, 3), (4, 4)]


def make2d(training: bool = False, **fields) -> Attention2D:
    torch.manual_seed(0)
    spec = Attention(**{"key_channels": 8, "value_channels": 8, "heads": 2, "max_length": 7, **fields})
    return randomise(Attention2D(CHANNELS, spec, Norm()).double()).train(training)


def check(layer: nn.Module, x: torch.Tensor, tolerance: float = 1e-11) -> None:
    expected, moving = plain_attention(layer, x)
    assert difference(layer(x), expected) <= tolerance
    if layer.training:
        for name, (mean, variance) in moving.items():
            norm = getattr(layer, name)
            assert difference(norm.running_mean, mean) <= tolerance
            if min(x.shape[2:]) > 1:  # the sample variance of one value is not a number in PyTorch
                assert difference(norm.running_var, variance) <= tolerance


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", LAYERS)
def test_any_size_gives_what_every_pair_gives(name, size, training):
    check(make2d(training, **LAYERS[name]), image(*size))


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_those_of_every_pair(name):
    layer, x = make2d(True, **LAYERS[name]), image(6, 5)
    expected = gradients(layer, lambda x: plain_attention(layer, x)[0], x)
    actual = gradients(layer, layer, x)
    for key, gradient in expected.items():
        if gradient is not None and gradient.abs().max() > 1e-9:
            assert difference(actual[key], gradient) <= 1e-8, key


@pytest.mark.parametrize("chunk", [1, 700, 10_000])
@pytest.mark.parametrize("name", ["global", "global beyond its tables", "local", "shifted windows"])
def test_in_parts_it_is_the_same(name, chunk, monkeypatch):
    layer, x = make2d(**LAYERS[name]), image(9, 8)
    with torch.no_grad():
        whole = layer(x)
        monkeypatch.setattr(projection, "LOGITS_PER_CHUNK", chunk)
        assert difference(layer(x), whole) <= 1e-13


def test_a_local_window_over_everything_is_global():
    item, other = make2d(kind="global", max_length=5), make2d(kind="local", span=9, max_length=5)
    x = image(5, 4)
    assert torch.equal(item(x), other(x))


@pytest.mark.parametrize(
    ("shifted", "edge"), [(False, 3), (False, 6), (True, 1), (True, 4), (True, 7)]
)  # a shifted grid begins with a part
def test_windows_do_not_see_each_other_and_shifting_moves_them(shifted, edge):
    layer, x = make2d(kind="window", span=3, max_length=3, shifted=shifted), image(8, 8)
    other = x.clone()
    other[:, :, edge:] += 1
    changed = (layer(x) - layer(other)).abs().amax((0, 1, 3)) > 0
    assert changed.tolist() == [False] * edge + [True] * (8 - edge)


@pytest.mark.parametrize("name", ["global beyond its tables", "windows", "shifted windows"])
@pytest.mark.parametrize("size", [(9, 8), (4, 11)])
def test_the_cost_counts_the_pairs_that_are_seen(name, size):
    spec = Attention(8, 8, 2, **LAYERS[name])
    assert attended_pairs(spec, size, None) == int(pairs(spec, *size).sum())


def test_local_windows_cost_the_same_everywhere():
    spec = Attention(8, 8, 2, **LAYERS["local"])
    assert attended_pairs(spec, (9, 8), None) == 9 * 8 * int(pairs(spec, 9, 8).reshape(9, 8, 72)[4, 4].sum())


def test_gates_multiply_each_term():
    """Medical Transformer, equation 3: tables and values times their factors, in a layer without gates, are the gated layer."""
    gated, plain, x = make(gated=True), make(), image(5, 4)
    gated.gates.data[2] = 1.0  # of the values, which no table holds
    assert gated.spec.gates == ("query_position", "key_position", "value", "value_position")
    tensors = {name: tensor.clone() for name, tensor in gated.state_dict().items() if name != "gates"}
    for index, name in enumerate(gated.spec.gates):
        if name != "value":
            tensors[name] *= gated.gates[index].item()
    plain.load_state_dict(tensors)
    with torch.no_grad():
        assert difference(gated(x), plain(x)) <= 1e-12
        for index in range(4):
            gated.gates[index] += 0.5
            assert difference(gated(x), plain(x)) > 1e-3
            gated.gates[index] -= 0.5


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("encoding", ["absolute", "sinusoidal"])
def test_an_encoding_is_added_to_the_input(axis, encoding):
    fields = {"similarity": ("content",), "value": ("content",)}
    layer, plain, x = make(axis, True, encoding=encoding, **fields), make(axis, True, **fields), image(6, 5)
    plain.load_state_dict({name: tensor for name, tensor in layer.state_dict().items() if name != "position"})
    length = x.shape[2 + axis]
    added = layer.position[:length] if encoding == "absolute" else sinusoids(length, CHANNELS)  # (L, C)
    added = added.T[:, :, None] if axis == 0 else added.T[:, None]
    expected, _ = plain_attention(plain, x + added)
    assert difference(layer(x), expected) <= 1e-12
    assert difference(layer(x), plain(x)) > 1e-3


def test_sines_are_those_of_the_paper():
    table = sinusoids(20, 8)
    assert table[0].tolist() == [0.0] * 4 + [1.0] * 4
    assert torch.allclose(table[7, 1], torch.tensor(7 / 10000 ** (2 / 8), dtype=torch.float64).sin())
    assert torch.allclose(table[7, 5], torch.tensor(7 / 10000 ** (2 / 8), dtype=torch.float64).cos())


def test_absolute_positions_stretch_to_any_length():
    layer = make(0, encoding="absolute", similarity=("content",), value=("content",), max_length=4)
    assert layer(image(9, 2)).isfinite().all()
    assert torch.equal(layer.position_encoding_1d("position", 4, CHANNELS), layer.position)
    interpolated = layer.position_encoding_1d("position", 7, CHANNELS)
    assert torch.allclose(interpolated[::2], layer.position)


def swap_halves(layer):
    layer.query_position_height, layer.query_position_width = layer.query_position_width, layer.query_position_height


def reverse(layer):
    layer.key_position_height = nn.Parameter(layer.key_position_height.flip(0))


@pytest.mark.parametrize("damage", [swap_halves, reverse])
def test_a_wrong_table_is_caught(damage):
    layer, x = make2d(**LAYERS["local, wide"]), image(6, 7)
    expected, _ = plain_attention(layer, x)
    damage(layer)
    assert difference(layer(x), expected) > 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_any_model_takes_any_kind(kind):
    spec = adapt(get_entry("axial_resnet_cifar10_xs").spec, attention=kind)
    assert spec == adapt(get_entry("axial_resnet_cifar10_xs").spec, attention=kind)
    model = build(spec)
    assert sum(p.numel() for p in model.parameters()) == num_parameters(spec)
    assert {p.name: p.shape for p in parameters(spec)} == {name: tuple(x.shape) for name, x in model.state_dict().items()}
    for training in (False, True):
        y = model.train(training)(torch.randn(2, 3, 35, 29))
        assert y.isfinite().all()
    y.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_windows_are_shifted_in_every_other_block():
    spec = adapt(get_entry("axial_resnet26_s").spec, attention="window")
    shifted = [block.attention.shifted for stage in spec.backbone.stages for block in stage.blocks]
    assert shifted == [index % 2 == 1 for index in range(8)]


def test_there_and_back_is_the_axial_model():
    spec = get_entry("axial_resnet50_s").spec
    assert adapt(spec, attention="axial") == spec
    assert adapt(adapt(spec, attention="global"), attention="axial") == spec


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "global", "span": 3}, "span"),
        ({"kind": "local"}, "span"),
        ({"kind": "local", "span": 4}, "odd"),
        ({"kind": "globl"}, "global"),
        ({"shifted": True}, "window"),
        ({"encoding": "absolute"}, "content alone"),
        ({"gated": True, "similarity": ("content",), "value": ("content",)}, "gate"),
        ({"kind": "global", "key_channels": 2}, "half"),
    ],
)
def test_what_does_not_fit_together_is_refused(fields, message):
    with pytest.raises(SpecError, match=message):
        Attention(**{"key_channels": 8, "value_channels": 8, "heads": 2, **fields})


def test_an_unknown_kind_is_refused_with_the_nearest():
    with pytest.raises(SpecError, match="did you mean 'axial_local'"):
        adapt(get_entry("axial_resnet26_s").spec, attention="axial_locl")
