"""deeplab2's families: drop path schedules, strides and what a decoder fuses, as its configs and code have them."""

from __future__ import annotations

import pytest

from axialzoo.spec import SpecError, get_entry
from axialzoo.spec.zoo import axial_resnet_full
from axialzoo.spec.zoo.deeplab2 import backbone
from axialzoo.spec.zoo.resnet import resnet50

LINEAR = [[0, 0, 0], [0, 0.05, 0.05], [0.05, *[0.1] * 5], [0.1, 0.15, 0.15], [0.15, 0.2, 0.2]]
DROP_PATH = {
    "axial_swidernet_1_1_1": LINEAR,
    "max_deeplab_l_backbone": LINEAR,
    "max_deeplab_s_backbone": [[0] * 3, [0] * 4, [0, *[0.15] * 5], [0.15, 0.2, 0.2]],
    "axial_resnet50_gelu": [[0] * 3, [0] * 4, [0, *[0.15] * 5], [0.15, 0.2, 0.2]],
    "axial_resnet_s": [[0] * 3, [0] * 4, [0] * 6, [0] * 3],
}


@pytest.mark.parametrize("name", DROP_PATH)
def test_drop_path_schedules_are_the_configs(name):
    stages = get_entry(name).spec.backbone.stages
    assert [[round(block.drop_path, 6) for block in stage.blocks] for stage in stages] == DROP_PATH[name]


def test_drop_path_of_the_stacked_decoder_follows_its_nominal_strides():
    decoder = get_entry("max_deeplab_l_backbone").spec.backbone.neck
    assert [[round(block.drop_path, 6) for block in stage.blocks] for stage in decoder] == [[0.1], [0.05], [0.1], [0.2]]


def test_the_stacked_decoder_fuses_what_upstream_fuses():
    """`call_stacked_decoder`: the output before, then the last two features of the stride; the last stage stands for stride 16."""
    neck_inputs = get_entry("max_deeplab_l_backbone").spec.backbone.neck_inputs()
    assert [[feature.index for feature in fused] for fused in neck_inputs] == [[4, 2], [5, 1], [6, 2, 5], [7, 4]]
    assert [[feature.channels for feature in fused] for fused in neck_inputs] == [[2048, 512], [512, 256], [256, 512, 512], [512, 2048]]
    at_32 = get_entry("max_deeplab_l_backbone").at(32).backbone.neck_inputs()
    assert [[feature.index for feature in fused] for fused in at_32] == [[4, 3], [5, 2], [6, 1], [7, 2, 6], [8, 3, 5], [9, 4]]


@pytest.mark.parametrize(("layers", "depths"), [(1.0, [3, 3, 6, 3, 3]), (3.0, [3, 9, 18, 9, 9]), (4.5, [3, 13, 27, 13, 13])])
def test_the_layer_multiplier_rounds_down_and_leaves_the_first_stage(layers, depths):
    name = f"axial_swidernet_1_1_{layers:g}".replace(".", "_")
    assert [len(stage.blocks) for stage in get_entry(name).spec.backbone.stages] == depths


def test_width_multipliers_reach_what_upstreams_reach():
    narrow = backbone(kind="wider_resnet", depths=(3, 6, 3, 3), width=0.5, stem_width=0.25).backbone
    assert narrow.stem_channels == 16
    assert [stage.channels for stage in narrow.stages] == [32, 128, 256, 512, 1024]


def test_squeeze_and_excite_is_an_option_of_every_block():
    assert all(block.squeeze_excite for stage in resnet50(squeeze_excite=True).backbone.stages for block in stage.blocks)


def test_an_unknown_argument_of_the_builder_is_refused():
    with pytest.raises(SpecError, match=r"expected one of .*, found 'resnet_gamma'"):
        backbone("resnet_gamma")
    with pytest.raises(SpecError, match=r"expected one of \[8, 16, 32\], found 4"):
        backbone(output_stride=4)


def test_full_axial_resnet_attends_from_the_first_layer_within_span_15():
    spec = axial_resnet_full.axial_resnet_full(0.5)
    blocks = [block for stage in spec.backbone.stages for block in stage.blocks]
    assert not spec.backbone.stem.convs and {block.kind for block in blocks} == {"axial"}
    assert {block.attention.span for block in blocks if block.attention} == {15}
    assert [block.stride for block in spec.backbone.stages[0].blocks] == [2, 1, 1]
