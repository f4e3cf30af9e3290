"""The fused layer computes what the plain one does: at most 1e-5 from it, and no worse than twice as far from float64."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axialzoo.ops.kernels import kernel, use_kernel
from axialzoo.spec.attention import SIMILARITY_TERMS, VALUE_TERMS
from axialzoo.torch.folded import FoldedAxialAttention
from tests.kernels.layers import compare, layer

FOUND = kernel()
PATHS = (*(FOUND.isas if FOUND else ()), "plain")
NOISE = 3e-7  # a difference of the last bit or two that says nothing of either


def some(terms: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [chosen for count in range(1, len(terms) + 1) for chosen in itertools.combinations(terms, count)]


def check(plain, x: torch.Tensor) -> None:
    apart, ours, theirs = compare(plain, x)
    assert apart <= 1e-5
    assert ours <= 2 * theirs + NOISE


@pytest.fixture(params=PATHS)
def path(request):
    with use_kernel(request.param):
        yield request.param


def test_the_kernel_is_here_where_there_is_a_compiler():
    from axialzoo.ops.kernels.build import compiler

    assert (FOUND is not None) == (compiler() is not None)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("similarity", some(SIMILARITY_TERMS))
@pytest.mark.parametrize("value", some(VALUE_TERMS))
def test_every_choice_of_terms(path, axis, similarity, value):
    check(layer(axis=axis, similarity=similarity, value=value), torch.randn(2, 12, 9, 7))


@pytest.mark.parametrize("heads", [1, 2, 3, 5, 8, 12, 16])
def test_any_number_of_heads(path, heads):
    check(layer(heads=heads, key_channels=2 * heads, value_channels=3 * heads, axis=heads % 2), torch.randn(2, 12, 8, 9))


@pytest.mark.parametrize("depth", [4, 10, 64, 128])
def test_any_depth(path, depth):
    check(layer(heads=2, key_channels=depth, value_channels=2 * depth), torch.randn(1, 12, 9, 5))


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 6, 7, 8, 13, 56, 257])
@pytest.mark.parametrize("axis", [0, 1])
def test_any_length(path, length, axis):
    shape = (length, 3) if axis == 0 else (3, length)
    check(layer(axis=axis, max_length=length), torch.randn(1, 12, *shape))


@pytest.mark.parametrize("span", [1, 3, 7, 65])
@pytest.mark.parametrize("positions", [2, 9, 100])
@pytest.mark.parametrize("beyond_tables", ["local", "interpolate"])
def test_any_span_and_reach_of_the_tables(path, span, positions, beyond_tables):
    check(layer(span=span, max_length=positions, beyond_tables=beyond_tables), torch.randn(1, 12, 23, 3))


@pytest.mark.parametrize("fields", [{"gated": True}, {"gated": True, "value": ("position",)}, {"gated": True, "similarity": ("key",)}])
def test_gates(path, fields):
    check(layer(**fields), torch.randn(2, 12, 9, 5))


@pytest.mark.parametrize("encoding", ["absolute", "sinusoidal"])
def test_other_encodings(path, encoding):
    for axis in (0, 1):
        check(layer(encoding=encoding, similarity=("content",), value=("content",), axis=axis), torch.randn(2, 12, 11, 5))


@pytest.mark.parametrize("zero", ["norm_similarity", "norm_output", "norm_qkv"])
def test_scales_of_zero(path, zero):
    plain = layer()
    with torch.no_grad():
        getattr(plain, zero).weight[::2] = 0
        getattr(plain, zero).weight[: len(getattr(plain, zero).weight) // 3] = 0
    check(plain, torch.randn(2, 12, 9, 5))


def test_strided_inputs(path):
    wide = torch.randn(2, 18, 10, 26)
    plain, fused = layer(axis=1), FoldedAxialAttention(layer(axis=1))
    for x in (
        wide[:, 3:15, ::2, 1::3],
        wide.contiguous(memory_format=torch.channels_last)[:, 3:15, ::2, 1::3],
        wide[:, :12].transpose(2, 3),
        wide[:1, :12, :1].expand(3, 12, 4, 26),
    ):
        assert compare(plain, x, fused)[0] <= 1e-5


def test_large_logits_and_what_is_not_a_number(path):
    plain = layer()
    with torch.no_grad():
        plain.norm_similarity.weight *= 1e3
    x = torch.randn(1, 12, 9, 5)
    with torch.inference_mode():
        assert torch.isfinite(FoldedAxialAttention(plain)(x)).all()
        x[0, 0, 2, 3] = float("nan")
        wrong = FoldedAxialAttention(plain)(x).isnan()
    assert wrong[:, :, :, 3].all() and not wrong[:, :, :, :3].any()  # its column, and no other


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_a_spec_can_say(data):
    draw = data.draw
    heads, positions = draw(st.integers(1, 16)), draw(st.integers(1, 40))
    plain = layer(
        inputs=12, axis=draw(st.integers(0, 1)), heads=heads, max_length=positions, key_channels=heads * draw(st.integers(1, 9)),
        value_channels=heads * draw(st.integers(1, 9)), span=draw(st.none() | st.sampled_from((1, 5, 9, 31))),
        beyond_tables=draw(st.sampled_from(("local", "interpolate"))), similarity=draw(st.sampled_from(some(SIMILARITY_TERMS))),
        value=draw(st.sampled_from(some(VALUE_TERMS))),
    )  # fmt: skip
    x = torch.randn(draw(st.integers(1, 3)), 12, draw(st.integers(1, 40)), draw(st.integers(1, 40)))
    for path in PATHS:
        with use_kernel(path):
            check(plain, x)


def test_more_threads_give_the_same_bits():
    fused, x = FoldedAxialAttention(layer()), torch.randn(3, 12, 9, 11)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(fused(x))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


@pytest.mark.parametrize("planted", ["query_table", "key_table", "value_table", "scales", "shift", "weight"])
def test_a_planted_error_is_seen(path, planted):
    plain = layer()
    fused = FoldedAxialAttention(plain)
    tensor = getattr(fused, planted)
    tensor.copy_(tensor.flip(0 if planted != "weight" else 2))
    assert compare(plain, torch.randn(2, 12, 9, 5), fused)[0] > 1e-3
