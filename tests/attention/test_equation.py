"""The layer computes the paper's equation: outputs, gradients and moving statistics, in float64."""

from __future__ import annotations

import itertools

import pytest
import torch

from axialzoo.torch import projection
from tests.attention.layers import image, make
from tests.attention.plain import plain_attention

SIZES = [(7, 7), (1, 1), (1, 6), (5, 1), (3, 7), (7, 4), (6, 5)]
TERMS = [
    (similarity, value)
    for similarity in (("content",), ("query",), ("key",), ("content", "key"), ("query", "key"))
    for value in (("content",), ("position",), ("content", "position"))
]


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape
    return float(((a - b).abs().max() / b.abs().max().clamp(min=1e-30)).detach())


def gradients(layer, call, x):
    x = x.clone().requires_grad_()
    y = call(x)
    cotangent = torch.randn(y.shape, generator=torch.Generator().manual_seed(5), dtype=y.dtype)
    names, tensors = zip(*layer.named_parameters())
    actual = torch.autograd.grad((y * cotangent).sum(), [x, *tensors], allow_unused=True)
    return dict(zip(("x", *names), actual))


def check(layer, x, tolerance=1e-12):
    expected, moving = plain_attention(layer, x)
    before = {name: tensor.clone() for name, tensor in layer.named_buffers()}
    assert difference(layer(x), expected) <= tolerance
    for name, statistics in moving.items():
        norm = getattr(layer, name)
        if layer.training:
            assert difference(norm.running_mean, statistics[0]) <= tolerance
            if min(x.shape[2:]) > 1:  # the sample variance of one value is not a number in PyTorch
                assert difference(norm.running_var, statistics[1]) <= tolerance
        else:
            assert all(torch.equal(tensor, before[name]) for name, tensor in layer.named_buffers())


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_any_height_and_width_gives_what_the_equation_gives(axis, training, size):
    check(make(axis, training), image(*size))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("similarity", "value"), TERMS)
def test_any_choice_of_terms_gives_what_the_equation_gives(similarity, value, training):
    check(make(0, training, similarity=similarity, value=value), image(5, 4))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("fields", [{}, {"span": 5}, {"max_length": 3}])
def test_gradients_of_every_parameter_and_of_the_input(axis, training, fields):
    layer, x = make(axis, training, **fields), image(11, 9)
    layer.norm_similarity.momentum = layer.norm_qkv.momentum = layer.norm_output.momentum = 0.0  # two calls, one state
    actual = gradients(layer, layer, x)
    expected = gradients(layer, lambda x: plain_attention(layer, x)[0], x)
    for name, gradient in expected.items():
        if name == "norm_similarity.bias":  # constant along a softmax row
            assert float(gradient.abs().max()) < 1e-12 and (actual[name] is None or float(actual[name].abs().max()) == 0)
        else:
            scale = max(float(gradient.abs().max()), 1e-3)
            assert float((actual[name] - gradient).abs().max()) <= 1e-10 * scale, name


def test_training_gives_every_parameter_a_gradient():
    layer = make(training=True)
    layer(image(5, 5)).sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())


def test_numerical_gradient_of_the_input():
    layer = make(training=True)
    assert torch.autograd.gradcheck(layer, image(3, 2, batch=1).requires_grad_(), atol=1e-6)


@pytest.mark.parametrize("training", [False, True])
def test_float32_is_as_near_to_the_equation_as_float32_is(training):
    layer, x = make(training=training), image(7, 7)
    expected, _ = plain_attention(layer, x)
    assert difference(layer.float()(x.float()).double(), expected) <= 5e-6


# Planted errors: each would pass if these tests could not fail.


def test_a_reversed_index_in_any_table_is_caught():
    for table in ("query_position", "key_position", "value_position"):
        layer, x = make(), image(7, 7)
        expected, _ = plain_attention(layer, x)
        getattr(layer, table).data = getattr(layer, table).data.flip(0)
        assert difference(layer(x), expected) > 1e-3, table


def test_a_swapped_axis_is_caught():
    layer, x = make(axis=0), image(5, 5)
    expected, _ = plain_attention(layer, x)
    layer.axis = 1
    assert difference(layer(x), expected) > 1e-3


@pytest.mark.parametrize("norm", ["norm_qkv", "norm_similarity", "norm_output"])
@pytest.mark.parametrize("training", [False, True])
def test_a_wrong_epsilon_is_caught(norm, training):
    layer, x = make(training=training), image(7, 7)
    expected, _ = plain_attention(layer, x)
    getattr(layer, norm).eps = 1e-4
    assert difference(layer(x), expected) > 1e-7


def test_the_biased_variance_is_caught(monkeypatch):
    layer, x = make(training=True), image(3, 3)
    _, moving = plain_attention(layer, x)
    monkeypatch.setattr(projection, "scale_from_batch_stats", lambda norm, mean, variance, n: _biased(norm, mean, variance))
    layer(x)
    assert difference(layer.norm_similarity.running_var, moving["norm_similarity"][1]) > 1e-4


def _biased(norm, mean, variance):
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(variance.detach(), norm.momentum)
    return norm.weight * torch.rsqrt(variance + norm.eps)


@pytest.mark.full
@pytest.mark.parametrize(("height", "width"), list(itertools.product(range(1, 9), repeat=2)))
@pytest.mark.parametrize("axis", [0, 1])
def test_every_small_size(height, width, axis):
    check(make(axis), image(height, width))
    if height * width > 1:
        check(make(axis, training=True), image(height, width))
