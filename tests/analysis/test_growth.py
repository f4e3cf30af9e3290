"""Growth exponents: of synthetic costs, and of each kind's multiply-adds, which the paper's claim is about."""

from __future__ import annotations

import random

import pytest

from axialzoo.analysis.cases import (
    attention_blocks,
    cases,
    estimated_bytes,
    extend_tables,
    find_block,
    only_block,
    parse_kinds,
    parse_sizes,
)
from axialzoo.analysis.growth import exponent
from axialzoo.spec import KINDS, SpecError, adapt, get_entry

SPEC, BLOCK = get_entry("axial_resnet50_s").spec, "stages.0.blocks.0"
SIDES = (28, 56, 112, 224)
POSITIONS = [side * side for side in SIDES]


@pytest.mark.parametrize("power", [0.0, 1.0, 1.5, 2.0])
def test_the_exponent_of_a_power_is_that_power_in_any_unit(power):
    costs = [1e-7 * p**power for p in POSITIONS]
    assert exponent(POSITIONS, costs) == pytest.approx(power, abs=1e-9)
    assert exponent(POSITIONS[::-1], [1e9 * cost for cost in costs[::-1]]) == pytest.approx(power, abs=1e-9)


def test_noise_moves_it_little_and_another_power_much():
    noise = random.Random(0)
    costs = [p**1.5 * noise.uniform(0.9, 1.1) for p in POSITIONS]
    assert exponent(POSITIONS, costs) == pytest.approx(1.5, abs=0.05)
    assert exponent(POSITIONS, [cost * p**0.5 for cost, p in zip(costs, POSITIONS)]) > 1.9


def test_sizes_that_were_not_measured_are_left_out():
    assert exponent([1, 10, 100], [2.0, None, 200.0]) == pytest.approx(1.0)
    assert exponent([1, 10], [2.0, None]) is None and exponent([], []) is None


@pytest.mark.parametrize(("positions", "costs"), [([1, 2], [1.0]), ([1, 2], [0.0, 1.0]), ([1, 2], [1.0, float("nan")])])
def test_what_has_no_logarithm_is_refused(positions, costs):
    with pytest.raises(ValueError, match="expected"):
        exponent(positions, costs)


def growth(kind: str, **fields) -> float:
    actual = exponent(POSITIONS, [case.multiply_adds for case in cases(SPEC, [kind], [(side, side) for side in SIDES], BLOCK, **fields)])
    assert actual is not None
    return actual


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [("axial", 1.25, 1.5), ("axial_local", 1.0, 1.05), ("global", 1.9, 2.0), ("local", 1.0, 1.05), ("window", 0.99, 1.05)],
)
def test_multiply_adds_of_a_layer_grow_as_its_kind_says(kind, low, high):
    assert low <= growth(kind) <= high


def test_without_longer_tables_full_axial_attention_would_look_local():
    """The planted error: the model's tables reach 56 positions, so that a map of 224 would not be attended in full."""
    short = only_block(adapt(SPEC, attention="axial"), BLOCK)
    attention = attention_blocks(short)["stages.0.blocks.0"].attention
    assert attention is not None and attention.reach(224) == 55
    longer = attention_blocks(extend_tables(short, (224, 30)))["stages.0.blocks.0"].attention
    assert longer is not None and longer.reach(224) == 223 and longer.max_length == 224


@pytest.mark.parametrize("kind", ["axial_local", "local", "window"])
def test_longer_tables_leave_spans_alone(kind):
    spec = adapt(SPEC, attention=kind)
    for before, after in zip(attention_blocks(spec).values(), attention_blocks(extend_tables(spec, (896, 896))).values()):
        assert before.attention is not None and after.attention is not None
        assert before.attention.span == after.attention.span and after.attention.max_length <= max(before.attention.max_length, 15)


def test_every_kind_makes_a_case_of_the_whole_model_and_of_a_layer():
    for case in [*cases(SPEC, list(KINDS), [(64, 96)]), *cases(SPEC, list(KINDS), [(8, 12)], "stages.3.blocks.0", train=True)]:
        assert case.multiply_adds > 0 and case.estimated_bytes > 0 and case.positions == case.size[0] * case.size[1]


def test_training_holds_more_than_inference_and_global_more_than_all():
    needed = {kind: estimated_bytes(adapt(SPEC, attention=kind), (448, 448), train=True) for kind in ("axial", "global", "local")}
    assert needed["global"] > 10 * max(needed["axial"], needed["local"])
    assert estimated_bytes(adapt(SPEC, attention="axial"), (448, 448)) < needed["axial"] / 3


def test_sizes_and_kinds_are_read_from_text():
    assert parse_sizes("56,28,28x112") == [(28, 28), (28, 112), (56, 56)]  # smaller areas first, 28 x 112 as large as 56 x 56
    assert parse_kinds("global, axial,global") == ["global", "axial"]


def test_a_layer_is_found_by_its_block():
    assert find_block(SPEC, "stages.1.blocks.2.height") == find_block(SPEC, "stages.1.blocks.2") == "stages.1.blocks.2"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: parse_kinds("axial,globl"), "unknown kind 'globl'; did you mean 'global'"),
        (lambda: parse_kinds(","), "expected some of axial"),
        (lambda: parse_sizes("12,x"), "expected SIDE or HEIGHTxWIDTH"),
        (lambda: parse_sizes(""), "expected sides"),
        (lambda: find_block(SPEC, "stages.9.blocks.0"), "blocks with attention: stages.0.blocks.0, stages.0.blocks.1"),
    ],
)
def test_errors_say_what_there_is(call, message):
    with pytest.raises(SpecError) as caught:
        call()
    assert message in str(caught.value)
