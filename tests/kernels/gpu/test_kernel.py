"""The kernel for GPUs, through Triton's interpreter: 1e-5 from the plain form (gradients 1e-4), at most twice as far from float64."""

from __future__ import annotations

import pytest
import torch

from axialzoo.ops.torch import gpu as ops_gpu
from axialzoo.spec import Attention
from tests.kernels.gpu.cases import Case, check, errors, of_kernel, of_plain, wide
from tests.kernels.gpu.interpreted import needs_interpreter
from tests.kernels.layers import of_reference
from tests.kernels.test_attention import SIMILARITY_TERMS, some

pytestmark = needs_interpreter


def full(*values):
    return [pytest.param(value, marks=pytest.mark.full) for value in values]


@pytest.mark.parametrize("similarity", some(SIMILARITY_TERMS))
@pytest.mark.parametrize("value", [("position",), *full(("content",), ("content", "position"))])
@pytest.mark.parametrize("axis", [0, *full(1)])
def test_every_choice_of_terms(axis, similarity, value):
    check(axis=axis, similarity=similarity, value=value, length=5, heads=1, others=1)


@pytest.mark.parametrize("heads", [1, 2, 8, *full(3, 12, 16)])
@pytest.mark.parametrize("axis", [1, *full(0)])
def test_any_number_of_heads(heads, axis):
    check(heads=heads, axis=axis, others=1)


@pytest.mark.parametrize("depths", [(4, 4), (5, 10), (32, 64), *full((8, 16), (16, 32), (64, 128), (128, 128), (4, 128))])
@pytest.mark.parametrize("length", [7, *full(33)])
def test_any_depth(depths, length):
    check(key_depth=depths[0], value_depth=depths[1], length=length, heads=1, others=1)


@pytest.mark.parametrize("length", [1, 14, 33, *full(2, 16, 17, 32, 56, 64, 65, 257)])
@pytest.mark.parametrize("axis", [0, *full(1)])
def test_any_length(length, axis):
    check(length=length, axis=axis, heads=1, others=1)


@pytest.mark.parametrize(("span", "positions"), [(3, None), (5, 2), (0, 4), (0, 60)])
def test_any_span_and_reach_of_the_tables(span, positions):
    check(length=14, span=span, positions=positions, heads=1)


@pytest.mark.parametrize("span", [7, *full(0, 1, 65)])
@pytest.mark.parametrize("positions", [70, *full(9, 40, 200)])
def test_spans_over_several_tiles(span, positions):
    check(length=70, span=span, positions=positions, heads=1, others=1)


@pytest.mark.parametrize("terms", [(("content",), ("content",)), (("query",), ("position",)), (("key",), ("position",))])
def test_choices_of_terms_over_several_tiles(terms):
    check(length=37, similarity=terms[0], value=terms[1], heads=1, others=1)


@pytest.mark.parametrize("head_fastest", [False, True])
@pytest.mark.parametrize("axis", [0, 1])
def test_strided_inputs_in_either_order_of_channels(head_fastest, axis):
    case = Case(axis=axis, head_fastest=head_fastest, heads=2)
    inputs = wide(case)
    assert inputs[0] is not None and not inputs[0].is_contiguous()
    ours, exact = of_kernel(case, inputs), of_plain(case, inputs, torch.float64)
    for name, x in exact.items():
        assert float((ours[name] - x).norm() / x.norm()) <= 1e-5, name


def test_a_batch_of_several_maps():
    check(batch=3, others=3, heads=2, axis=1)


@pytest.mark.parametrize("length", [7, *full(37)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_within_its_rounding_and_that_of_the_plain_form(dtype, length):
    limit = 4 * torch.finfo(dtype).eps
    for name, (_, ours, theirs) in errors(Case(length=length, heads=1, others=1), dtype).items():
        assert ours <= min(limit, 2 * theirs), (name, ours, theirs)


def test_it_is_the_equation_written_down_slowly():
    case = Case(length=9, heads=3, head_fastest=True, span=5)
    inputs = [x.double() for x in case.inputs() if x is not None]
    expected = torch.cat(of_reference(*inputs, spec=Attention(12, 24, heads=3, max_length=9, span=5)), 3)
    actual = of_kernel(case, case.inputs())["out"]
    assert float((actual - expected).norm() / expected.norm()) <= 1e-6


def test_scales_of_zero_have_gradients():
    case = Case()
    *inputs, scales = case.inputs()
    scales[:, 0], scales[1] = 0, 0
    ours, exact = (of(case, [*inputs, scales], dtype)["scales"] for of, dtype in ((of_kernel, torch.float32), (of_plain, torch.float64)))
    assert float((ours - exact).norm() / exact.norm()) <= 1e-6 and float(exact[:, 0].abs().min()) > 0


def test_large_logits_and_what_is_not_a_number():
    case = Case(length=20, span=9, heads=1, axis=1)
    qkv, *tables, scales = case.inputs()
    assert qkv is not None and scales is not None
    scales *= 1e3
    assert torch.isfinite(ops_gpu.attend(qkv, tables, scales, case.attributes)[0]).all()
    qkv[0, 1, 3, 0] = float("nan")
    wrong = ops_gpu.attend(qkv, tables, scales, case.attributes)[0].isnan()
    assert wrong[0, 1].any() and not wrong[0, 0].any()  # its line, and no other


@pytest.mark.parametrize("length", [7, 33])
def test_the_same_bits_each_time(length, monkeypatch):
    case = Case(length=length, heads=1, others=3)
    first, again = (of_kernel(case, case.inputs()) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    monkeypatch.setattr("axialzoo.ops.kernels.gpu.settings.PROGRAMS", 2)  # tables' gradients in two sums, and not one a line
    fewer = of_kernel(case, case.inputs())
    torch.testing.assert_close(fewer, first, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [5, 20])
@pytest.mark.parametrize("planted", ["of_keys", "of_queries", "of_distances", "key_distances"])
def test_a_planted_error_of_the_relative_index_is_seen(planted, length, monkeypatch):
    from axialzoo.ops.kernels.gpu import backward, forward, tile
    from tests.kernels.gpu import planted as wrong

    for module in (tile, forward, backward):
        monkeypatch.setattr(module, planted, getattr(wrong, planted), raising=False)
    with pytest.raises(AssertionError):
        check(length=length, heads=1, others=1)


@pytest.mark.parametrize("one", [0, 1])
def test_a_swapped_scale_is_seen(one):
    case = Case()
    *inputs, scales = case.inputs()
    swapped = scales.clone()
    swapped[[one, one + 1]] = scales[[one + 1, one]]
    ours, exact = of_kernel(case, [*inputs, swapped]), of_plain(case, [*inputs, scales], torch.float64)
    assert float((ours["out"] - exact["out"]).norm() / exact["out"].norm()) > 1e-2
