"""Long axes: local spans equal masked full attention, in memory that grows with the length alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from axialzoo.spec import cost, get_entry
from axialzoo.spec.window import Window
from axialzoo.torch import attention, projection
from tests.attention.layers import CHANNELS, image, make
from tests.attention.plain import plain_attention
from tests.attention.test_equation import check, difference

# Reach 2 (windows of 8 with flanges of 2): one masked window up to 6 positions, windows beyond; 8, 16 and 24 end on a border.
LENGTHS = [3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 23, 24, 25]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("fields", [{"span": 5}, {"max_length": 3}], ids=["span", "tables"])
def test_local_attention_is_masked_full_attention(fields, length, training):
    check(make(0, training, **fields), image(length, 2), tolerance=1e-9)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("span", [1, 3, 9, 25, 27, 101])
def test_any_span_is_masked_full_attention(span, training):
    check(make(1, training, span=span, max_length=40), image(2, 37), tolerance=1e-9)


@pytest.mark.parametrize("size", [(65, 129), (128, 256)])
@pytest.mark.parametrize("axis", [0, 1])
def test_span_65_of_large_maps_is_masked_full_attention(axis, size):
    layer, x = make(axis, span=65, max_length=255), image(*size, batch=1)
    with torch.no_grad():
        assert difference(layer(x), plain_attention(layer, x)[0]) <= 1e-9


@pytest.mark.parametrize("span", [None, 5])
def test_in_parts_it_is_the_same(span, monkeypatch):
    layer, x = make(0, span=span, max_length=40), image(37, 5)
    with torch.no_grad():
        whole = layer(x)
        for chunk in (1, 5000):
            monkeypatch.setattr(projection, "LOGITS_PER_CHUNK", chunk)
            assert difference(layer(x), whole) <= 1e-13


def test_windows_are_used_where_they_save_something():
    spec = make(span=5).spec
    assert spec.reach(25) == 2 and Window.of(25, spec).count == 4 and Window.of(6, spec).count == 1
    assert Window.of(25, replace(spec, max_length=25, span=None)).whole and not Window.of(6, spec).whole


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("length", [1, 6, 7])
def test_up_to_the_length_of_the_tables_a_local_layer_is_the_full_one_exactly(length, training):
    x = image(length, 3)
    local, full = make(0, training, max_length=7), make(0, training, max_length=7, beyond_tables="interpolate")
    assert torch.equal(local(x), full(x))
    wide = make(0, training, max_length=7, span=13)
    assert torch.equal(wide(x), full(x))


def test_what_is_out_of_reach_has_no_effect():
    layer, x = make(0, max_length=40, span=5).eval(), image(30, 1)
    moved = x.clone()
    moved[:, :, 20] += 1
    changed = (layer(moved) - layer(x)).abs().amax((0, 1, 3)) > 0
    assert changed.nonzero().flatten().tolist() == [18, 19, 20, 21, 22]


def test_interpolated_tables_keep_their_ends_and_stretch_between():
    table = torch.randn(13, 4, dtype=torch.float64)
    longer = projection.interpolate(table, 25)
    assert torch.allclose(longer[::2], table, atol=1e-12)
    assert torch.allclose(longer[1::2], (table[1:] + table[:-1]) / 2, atol=1e-12)


@pytest.mark.parametrize("training", [False, True])
def test_interpolation_is_the_equation_with_stretched_tables(training):
    layer, x = make(0, training, max_length=4, beyond_tables="interpolate"), image(9, 2)
    longer = make(0, training, max_length=9)
    longer.load_state_dict(
        layer.state_dict() | {name: projection.interpolate(table, 17) for name, table in layer.state_dict().items() if "position" in name}
    )
    expected, _ = plain_attention(longer, x)
    assert difference(layer(x), expected) <= 1e-12


def allocated(call) -> int:
    """The most bytes allocated at once during `call`, above what there was before."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        call()
    level = peak = 0
    for event in sorted(profile.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            level += event.nbytes()
            peak = max(peak, level)
    return peak


def memory(length: int, **fields) -> int:
    layer, x = make(max_length=512, **fields), torch.randn(1, CHANNELS, length, 1, dtype=torch.float64)
    with torch.inference_mode():
        return allocated(lambda: layer(x))


def test_memory_of_a_local_layer_grows_with_the_length_alone():
    short, long = memory(256, span=17), memory(1024, span=17)
    assert 3 < long / short < 5, (short, long)
    assert memory(512) / memory(128) > 10  # full attention does not pass


def test_the_cost_model_knows_that_local_attention_is_linear_in_the_length():
    spec = get_entry("axial_resnet26_s").spec
    blocks = [block for stage in spec.backbone.stages for block in stage.blocks]
    assert all(block.attention is not None for block in blocks)
    local = replace(
        spec,
        backbone=replace(
            spec.backbone,
            stages=tuple(
                replace(stage, blocks=tuple(replace(block, attention=replace(block.attention, span=9)) for block in stage.blocks))
                for stage in spec.backbone.stages
            ),
        ),
    )
    pixels = [cost(local, size).attention_multiply_adds for size in (896, 1792)]
    assert 4 <= pixels[1] / pixels[0] < 4.1
    assert cost(local, 224).attention_multiply_adds < cost(spec, 224).attention_multiply_adds


# Planted errors.


def test_a_reach_that_is_one_too_short_is_caught():
    layer, x = make(span=5), image(25, 2)
    expected, _ = plain_attention(layer, x)
    layer.spec = replace(layer.spec, span=3)
    assert difference(layer(x), expected) > 1e-3


def test_counting_the_padding_of_the_last_window_in_the_statistics_is_caught(monkeypatch):
    layer, x = make(training=True, span=5), image(25, 2)
    _, moving = plain_attention(layer, x)
    mask = attention.apply_mask
    monkeypatch.setattr(
        attention,
        "apply_mask",
        lambda x, batch, groups, window, fill: mask(x, batch, groups, replace(window, length=window.count * window.queries), fill),
    )
    layer(x)
    assert difference(layer.norm_similarity.running_var, moving["norm_similarity"][1]) > 1e-3
