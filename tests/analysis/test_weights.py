"""Attention weights: with the layer's own values they give the layer's own output; what they say reaches a point does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from axialzoo.analysis.weights import attention_weights, reach, spread
from axialzoo.spec import Attention, Norm
from axialzoo.torch.attention import AxialAttention
from axialzoo.torch.attention2d import Attention2D
from tests.attention.layers import CHANNELS, image, randomise

HEIGHT, WIDTH, HEADS = 6, 9, 2
CONTENT = {"similarity": ("content",), "value": ("content",)}
FIELDS = {
    "axial": {},
    "axial_span": {"span": 3, "max_length": 30},
    "axial_tables": {"max_length": 4},
    "axial_query": {"similarity": ("content", "query"), "value": ("content",)},
    "axial_absolute": {**CONTENT, "encoding": "absolute", "max_length": 4},
    "axial_sinusoidal": {**CONTENT, "encoding": "sinusoidal"},
    "gated_axial": {"gated": True},
    "global": {"kind": "global"},
    "local": {"kind": "local", "span": 3},
    "window": {"kind": "window", "span": 4},
    "window_shifted": {"kind": "window", "span": 4, "shifted": True},
}


def layer(name: str, axis: int = 0, seed: int = 0, inputs: int = CHANNELS):
    torch.manual_seed(seed)
    spec = Attention(**{"key_channels": 8, "value_channels": 8, "heads": HEADS, "max_length": 9, **FIELDS[name]})  # pyright: ignore
    built = AxialAttention(inputs, spec, Norm(), axis) if spec.kind == "axial" else Attention2D(inputs, spec, Norm())
    return randomise(built.double(), seed).eval()


def all_weights(made, x: Tensor) -> Tensor:
    """(G, H, W, H, W): of every query."""
    rows = [[attention_weights(made, x, row, column) for column in range(WIDTH)] for row in range(HEIGHT)]
    return torch.stack([torch.stack(row) for row in rows]).permute(2, 0, 1, 3, 4)


def rebuilt(made, x: Tensor, p: Tensor) -> Tensor:
    """The layer's output from the weights `p` and its values: (1, V, H, W)."""
    spec = made.spec
    seen = x if spec.encoding == "relative" else x + _encoding(made, x)
    parts = made.norm_qkv(made.qkv(seen.permute(0, 2, 3, 1)[0].flatten(0, 1)))  # (HW, 2K+V)
    v = parts[:, 2 * spec.key_channels :].view(HEIGHT, WIDTH, HEADS, -1)  # (H, W, G, Dv)
    if "value" in spec.gates:
        v = v * made.gates[spec.gates.index("value")]
    terms = [torch.einsum("gyxuv,uvgd->yxgd", p, v).flatten(2)]  # (H, W, V)
    if "position" in spec.value:
        terms.append(torch.einsum("gyxuv,yxuvd->yxgd", p, _positions(made)).flatten(2))
    out = made.norm_output(torch.cat(terms, dim=2).flatten(0, 1)).view(HEIGHT, WIDTH, len(terms), -1).sum(2)
    return out.permute(2, 0, 1)[None]


def _encoding(made, x: Tensor) -> Tensor:
    length = x.shape[2 + made.axis]
    table = made.position_encoding_1d("position", length, x.shape[1])  # (L, C)
    return table.T[:, :, None] if made.axis == 0 else table.T[:, None]


def _positions(made) -> Tensor:
    """r[s - p] of every query and key, (H, W, H, W, Dv)."""
    spec, reach_ = made.spec, made.spec.max_length - 1
    gate = made.gates[spec.gates.index("value_position")] if spec.gated else 1.0
    rows = (torch.arange(HEIGHT)[None] - torch.arange(HEIGHT)[:, None]).clamp(-reach_, reach_) + reach_
    columns = (torch.arange(WIDTH)[None] - torch.arange(WIDTH)[:, None]).clamp(-reach_, reach_) + reach_
    shape = (HEIGHT, WIDTH, HEIGHT, WIDTH, -1)
    if spec.kind == "axial":
        table = made.value_position * gate
        of = table[rows][:, None, :, None] if made.axis == 0 else table[columns][None, :, None]
        return of.expand(shape)
    of_rows, of_columns = made.value_position_height[rows][:, None, :, None], made.value_position_width[columns][None, :, None]
    return torch.cat([of_rows.expand(shape), of_columns.expand(shape)], dim=-1)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", FIELDS)
def test_weights_times_values_are_the_layers_output(name, axis):
    built, x = layer(name, axis), image(HEIGHT, WIDTH, batch=1)
    p = all_weights(built, x)
    assert torch.allclose(p.sum((3, 4)), torch.ones(HEADS, HEIGHT, WIDTH, dtype=p.dtype), atol=1e-12) and (p >= 0).all()
    expected = built(x)
    assert torch.allclose(rebuilt(built, x, p), expected, atol=1e-10)
    for wrong in (p.flip(0), p.flip(3), p.flip(4), p.transpose(1, 3).transpose(2, 4)):  # heads, rows, columns, queries and keys swapped
        assert not torch.allclose(rebuilt(built, x, wrong), expected, atol=1e-3) or torch.equal(wrong, p)


@pytest.mark.parametrize("axis", [0, 1])
def test_an_axial_query_attends_to_its_own_line_and_a_span_to_no_more(axis):
    x = image(HEIGHT, WIDTH, batch=1)
    full, span = (attention_weights(layer(name, axis), x, 2, 5) > 0 for name in ("axial", "axial_span"))
    line = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    (line.T if axis == 0 else line)[5 if axis == 0 else 2] = True
    assert (full == line).all()
    near = torch.zeros_like(line)
    near[(slice(1, 4), 5) if axis == 0 else (2, slice(4, 7))] = True
    assert (span == near).all()


def influence(layers, x: Tensor, row: int, column: int) -> Tensor:
    """Positions of the input, (H, W), on which the output of the layers at (row, column) depends, by gradients."""
    x = x.clone().requires_grad_()
    out = x
    for item in layers:
        out = item(out)
    (gradient,) = torch.autograd.grad(out[0, :, row, column].square().sum(), x)
    return gradient[0].abs().sum(0)


def consecutive(layers, x: Tensor):
    actual = []
    for item in layers:
        actual.append((item, x))
        x = item(x).detach()
    return actual


@pytest.mark.parametrize("name", ["axial", "axial_span", "local", "window", "window_shifted", "global"])
def test_what_is_out_of_reach_has_exactly_no_influence_and_all_else_has_some(name):
    x = image(HEIGHT, WIDTH, batch=1)
    layers = [layer(name, 0), layer(name, 1, inputs=8)] if "axial" in name else [layer(name)]
    weight = reach(consecutive(layers, x), 2, 5)
    assert weight.sum() == pytest.approx(1) and ((weight > 0) == (influence(layers, x, 2, 5) > 0)).all()
    moved = x.clone()
    moved[:, :, weight == 0] += 1.0  # nothing of it arrives
    out, other = x, moved
    for item in layers:
        out, other = item(out), item(other)
    assert torch.equal(out[:, :, 2, 5], other[:, :, 2, 5])
    swapped = [layer(name, 1), layer(name, 0, inputs=8)] if name == "axial_span" else None
    if swapped:  # planted: the reach of one point is not that of its neighbour
        assert ((reach(consecutive(swapped, x), 2, 6) > 0) != (influence(layers, x, 2, 5) > 0)).any()


def test_two_hops_are_the_product_of_both_layers_weights():
    height, width = layer("axial", 0), layer("axial", 1, seed=1, inputs=8)
    x = image(HEIGHT, WIDTH, batch=1)
    pairs = consecutive([height, width], x)
    pw = attention_weights(*pairs[1], 2, 5).mean(0)[2]  # (W,)
    ph = torch.stack([attention_weights(*pairs[0], 2, column).mean(0)[:, column] for column in range(WIDTH)], dim=1)  # (H, W)
    assert torch.allclose(reach(pairs, 2, 5), pw * ph, atol=1e-12)
    assert not torch.allclose(reach(pairs, 2, 4), pw * ph, atol=1e-3)


def test_a_layer_in_training_is_refused():
    with pytest.raises(ValueError, match=r"expected evaluation mode.*model\.eval"):
        attention_weights(layer("axial").train(), image(HEIGHT, WIDTH, batch=1), 0, 0)


def test_spread_of_known_maps():
    even, item = np.ones((4, 6)), np.zeros((4, 6))
    item[1, 2] = 3.0
    assert spread(even, 0, 0)["effective_positions"] == pytest.approx(24) and spread(even, 0, 0)["coverage"] == 1
    actual = spread(item, 1, 5)
    assert actual["effective_positions"] == 1 and actual["mean_distance"] == 3 and actual["reached"] == actual["coverage"] == 1 / 24
    rows, columns = np.indices((101, 101)) - 50
    gaussian = np.exp(-(rows**2 + columns**2) / (2 * 10.0**2))
    actual = spread(gaussian, 50, 50)
    assert actual["mean_distance"] == pytest.approx(10 * np.sqrt(np.pi / 2), rel=1e-2)  # of Rayleigh's distribution
    assert actual["effective_positions"] == pytest.approx(2 * np.pi * np.e * 100, rel=1e-2)
    for wrong in (np.zeros((2, 2)), -even, even[0], np.full((2, 2), np.nan)):
        with pytest.raises(ValueError, match="expected a map"):
            spread(wrong, 0, 0)
