"""A spec can say what the official code bases compute, and the builders build what it says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from axialzoo.spec import Model, Norm, Preprocessing, Stem, adapt, cost, from_dict, get_entry, num_parameters, parameters, to_dict
from axialzoo.spec.backbone import ACTIVATIONS
from axialzoo.spec.zoo.deeplab2 import backbone
from axialzoo.torch.backbone import AxialBackbone
from tests.spec.deeplab2 import SWIDE, narrow

VARIANTS = {
    "as it is": {},
    "axial throughout": {"kind": "resnet", "axial_from": 2},
    "wider": SWIDE,
    "wider, all convolutions": {"kind": "wider_resnet", "axial_from": 0, "squeeze_excite": True},
    "atrous": {"axial_from": 0, "output_stride": 8},
    "stride 32": {"output_stride": 32, "keep": 0.8, "linear": True},
    "span": {"axial_from": 2, "span": 5},
    **{activation: {"activation": activation} for activation in ACTIVATIONS},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_narrow_variants_run_in_evaluation_and_in_training(variant):
    torch.manual_seed(0)
    model = AxialBackbone(narrow(**VARIANTS[variant]))
    for training in (False, True):
        features = model.train(training)(torch.randn(2, 3, 65, 33))
        assert all(x.isfinite().all() for x in features)
    assert [x.shape[1] for x in features] == [info["num_chs"] for info in model.feature_info]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_survives_json(variant):
    spec = narrow(**VARIANTS[variant])
    assert from_dict(Model, json.loads(json.dumps(to_dict(spec)))) == spec


def test_the_first_block_of_a_stage_may_convolve_and_the_others_attend():
    kinds = [[block.kind for block in stage.blocks] for stage in get_entry("max_deeplab_s_backbone").spec.backbone.stages]
    assert kinds == [["bottleneck"] * 3, ["bottleneck"] * 4, ["bottleneck"] + ["axial"] * 5, ["axial"] * 3]
    kinds = [[block.kind for block in stage.blocks] for stage in get_entry("axial_swidernet_1_1_1").spec.backbone.stages]
    assert kinds == [["basic"] * 3, ["basic"] * 3, ["basic"] * 6, ["basic"] + ["axial"] * 2, ["axial"] * 3]


def test_atrous_rates_follow_the_stride_that_is_not_taken():
    stages = backbone(axial_from=0, output_stride=8).backbone.stages
    assert [[block.dilation[0] for block in stage.blocks] for stage in stages[2:]] == [[1, 2, 2, 2, 2, 2], [2, 4, 4]]
    assert [block.stride for stage in stages for block in stage.blocks if block.stride > 1] == [2, 2]
    basic = backbone("wider_resnet", axial_from=0, output_stride=8).backbone.stages[3].blocks
    assert [block.dilation for block in basic[:2]] == [(1, 2), (2, 2)]


def test_drop_path_is_said_block_by_block():
    constant, linear = backbone(keep=0.8), backbone(keep=0.8, drop_from=4, linear=True)
    rates = lambda spec: [round(block.drop_path, 4) for stage in spec.backbone.stages for block in stage.blocks]  # noqa: E731
    assert set(rates(constant)[:8]) == {0.0} and set(rates(constant)[8:]) == {0.2}
    assert rates(linear)[0] == 0 and rates(linear)[1] == 0.05 and rates(linear)[-1] == 0.2


def test_slicing_costs_less_than_pooling_as_the_paper_has_it():
    """Striding after each axis: the width attention sees half the rows (2.64e9 and 2.72e9 of two stems, at 224)."""
    for stem, expected in ((32, 2.64e9), (64, 2.72e9)):
        spec = paper(stem)
        assert abs(cost(spec, 224).multiply_adds / expected - 1) < 0.005


def paper(stem: int) -> Model:
    """Axial-ResNet-S with striding after each axis, the stem and pool of the authors' code."""
    spec = get_entry("axial_resnet50_s").spec
    stages = tuple(
        replace(stage, blocks=tuple(replace(b, attention=replace(b.attention, downsample="slice", max_length=255)) for b in stage.blocks))
        for stage in spec.backbone.stages
    )
    convs = tuple(replace(conv, channels=stem) for conv in spec.backbone.stem.convs)
    return replace(spec, backbone=replace(spec.backbone, stem=Stem(convs), stages=stages))


@pytest.mark.parametrize(("multiplier", "expected"), [("s", 12.48e6), ("m", 26.52e6), ("l", 45.76e6)])
def test_tables_of_509_rows_give_the_papers_parameters(multiplier, expected):
    spec = get_entry(f"axial_resnet50_{multiplier}").spec
    stages = tuple(
        replace(stage, blocks=tuple(replace(b, attention=replace(b.attention, max_length=255)) for b in stage.blocks))
        for stage in spec.backbone.stages
    )
    assert abs(num_parameters(replace(spec, backbone=replace(spec.backbone, stages=stages))) - expected) <= 0.005e6 + 1


def test_a_network_that_attends_from_the_first_layer_on():
    """The paper's full axial attention: no stem, span 15 throughout."""
    spec = backbone("resnet", depths=(1, 1, 1, 1), width=0.125, axial_from=2, span=15)
    spec = replace(spec, backbone=replace(spec.backbone, stem=Stem(), pre_activation=False))
    model = AxialBackbone(spec).eval()
    features = model(torch.randn(1, 3, 33, 20))
    assert [tuple(x.shape[2:]) for x in features] == [(17, 10), (9, 5), (5, 3), (5, 3)]
    assert model.feature_info[0]["module"] == "stages.0"


def test_a_stacked_decoder_goes_up_and_down():
    spec = backbone(depths=(3, 6, 3, 3), decoder_stacks=1, **SWIDE)
    assert from_dict(Model, json.loads(json.dumps(to_dict(spec)))) == spec
    assert [(stage.stride, stage.channels, stage.blocks[0].kind) for stage in spec.backbone.neck] == [
        (8, 512, "basic"), (4, 256, "basic"), (8, 512, "basic"), (16, 2048, "axial"),
    ]  # fmt: skip
    assert [stage.stride for stage in backbone(decoder_stacks=2, output_stride=8).backbone.neck] == [4, 8, 4, 8]
    assert [stage.stride for stage in backbone(decoder_stacks=1, output_stride=32).backbone.neck] == [16, 8, 4, 8, 16, 32]


def test_epsilon_and_momentum_reach_every_norm():
    model = AxialBackbone(narrow())
    norms = [module for module in model.modules() if hasattr(module, "running_mean")]
    assert norms and all((norm.eps, norm.momentum) == (1e-3, 0.01) for norm in norms)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activating_inputs_or_sums_gives_the_same_activated_endpoints(activation):
    """A decoder that reads unactivated features, and a network without a stem, show the place of the activation."""
    torch.manual_seed(0)
    model = AxialBackbone(narrow(activation=activation)).eval()
    for module in model.modules():
        if hasattr(module, "running_mean"):
            torch.nn.init.normal_(module.weight, 1.0, 0.1)
    other = AxialBackbone(replace(model.spec, backbone=replace(model.spec.backbone, pre_activation=False))).eval()
    other.load_state_dict(model.state_dict())
    x = torch.randn(1, 3, 33, 33)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(model(x), other(x)))
    assert not torch.allclose(model.stem(x), other.stem(x), atol=1e-2)
    x = model.stem(x)
    assert not torch.allclose(model.stages[0](x)[0], other.stages[0](x)[0], atol=1e-2)


def test_a_shortcut_that_strides_without_changing_the_width_is_sliced_or_convolved():
    spec = get_entry("axial_deeplab_s_backbone").spec
    has_conv = replace(spec, backbone=replace(spec.backbone, shortcut="stride_or_width"))
    added = {p.name for p in parameters(has_conv)} - {p.name for p in parameters(spec)}
    assert {name.partition(".shortcut.")[0] for name in added} == {"stages.0.blocks.0"}


def test_deeplab2_maps_pictures_to_minus_one_to_one():
    said = Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3)
    assert [(value / 255 - said.mean[0]) / said.std[0] for value in (0, 127.5, 255)] == [0 / 127.5 - 1, 0.0, 1.0]


def test_span_drop_path_and_channels_can_be_adapted():
    spec = adapt(narrow(axial_from=2), span=65, in_channels=1, drop_path=0.2, num_classes=7, input_size="320x480")
    attention = [block.attention for stage in spec.backbone.stages for block in stage.blocks]
    assert {a.span for a in attention} == {65} and spec.backbone.in_channels == 1
    assert spec.num_classes == 7 and spec.input_size == (320, 480) and Norm() != spec.backbone.norm
