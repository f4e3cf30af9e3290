"""A model at another output stride: what deeplab2 builds for it, the same parameters, and back again."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from axialzoo.spec import (
    Backbone,
    Block,
    Model,
    SpecError,
    Stage,
    Stem,
    StemConv,
    adapt,
    from_dict,
    get_entry,
    list_models,
    parameters,
    to_dict,
)
from axialzoo.spec.heads.classifier import Classifier
from axialzoo.spec.zoo.deeplab2 import backbone
from axialzoo.torch import AxialBackbone
from tests.attention.layers import randomise
from tests.spec.deeplab2 import SWIDE, narrow
from tests.torch.networks import images

KINDS = {
    "convolutions": {"axial_from": 0},
    "axial": {"kind": "resnet", "axial_from": 2},
    "mixed": {},
    "wider": SWIDE,
    "wider, convolutions": {**SWIDE, "axial_from": 0},
}
FIXED = (
    "axial_resnet_cifar10",
    "axial_resnet_cifar10_xs",
    "max_deeplab_l_backbone",
    "axial_deeplab_max_l",
    "axial_deeplab_camvid",
    "axial_deeplab_nuclei",
    "axial_deeplab_nuclei_xs",
)


@pytest.mark.parametrize("after", [8, 16, 32])
@pytest.mark.parametrize("before", [8, 16, 32])
@pytest.mark.parametrize("kind", KINDS)
def test_adapting_gives_what_building_gives(kind, before, after):
    assert adapt(backbone(output_stride=before, **KINDS[kind]), output_stride=after) == backbone(output_stride=after, **KINDS[kind])


LEVELS = [
    name for name in list_models() if get_entry(name).spec.head is not None and get_entry(name).spec.head.output_structure == "pyramids"
]


OWN_STRIDES = ("mask_transformer", "unet")  # heads whose decoders begin at one stride


def kind(name: str) -> str:
    """Return the kind of a model's head; empty without one."""
    head = get_entry(name).spec.head
    return "" if head is None else head.kind


@pytest.mark.parametrize("name", LEVELS)
def test_levels_at_other_strides_are_other_tensors_which_strict_loading_refuses(name):
    assert parameters(adapt(get_entry(name).spec, output_stride=8)) != parameters(get_entry(name).spec)


@pytest.mark.parametrize("name", [name for name in list_models() if name not in (*FIXED, *LEVELS) and kind(name) not in OWN_STRIDES])
def test_strides_change_and_parameters_do_not(name):
    spec = get_entry(name).spec
    for stride in (8, 16, 32):
        actual = adapt(spec, output_stride=stride)
        assert [item["reduction"] for item in actual.backbone.feature_info()] == [min(each, stride) for each in (2, 4, 8, 16, 32)]
        assert parameters(actual) == parameters(spec)
        assert from_dict(Model, json.loads(json.dumps(to_dict(actual)))) == actual
        assert adapt(actual, output_stride=spec.backbone.output_stride) == spec


def test_atrous_convolutions_see_what_strided_ones_saw():
    """Every other position of the denser output is the strided one (upstream's atrous_consistency_test)."""
    torch.manual_seed(0)
    coarse = randomise(AxialBackbone(narrow(kind="resnet", axial_from=0, output_stride=32), (-1,)), 0).eval()
    dense = AxialBackbone(adapt(coarse.spec, output_stride=8), (-1,)).eval()
    dense.load_state_dict(coarse.state_dict())
    with torch.no_grad():
        (expected,), (actual,) = coarse(images(65, 97)), dense(images(65, 97))
    assert torch.allclose(actual[:, :, ::4, ::4], expected, atol=1e-4 * expected.abs().max())
    dense.stages[3].blocks[0].spatial.conv.dilation = (1, 1)  # the planted error: a rate that is not taken
    dense.stages[3].blocks[0].spatial.conv.padding = (1, 1)
    with torch.no_grad():
        assert not torch.allclose(dense(images(65, 97))[0][:, :, ::4, ::4], expected, atol=1e-2 * expected.abs().max())


@pytest.mark.parametrize("name", FIXED[:2])
def test_a_model_of_other_strides_is_refused(name):
    with pytest.raises(SpecError, match=r"output_stride: expected a model whose stages halve .*, found strides \[1, 2, 2, 4\]"):
        adapt(get_entry(name).spec, output_stride=16)


@pytest.mark.parametrize("name", ["max_deeplab_l_backbone", "axial_deeplab_max_l"])
def test_a_stacked_decoder_of_another_output_stride_is_refused_but_rebuilt_by_name(name):
    actual = get_entry(name)
    with pytest.raises(SpecError, match="stacked decoder is for output stride 16; expected that, found 32"):
        adapt(actual.spec, output_stride=32)
    assert adapt(actual.spec, output_stride=16) == actual.spec == actual.at(None)
    assert adapt(actual.at(8), output_stride=8).backbone.output_stride == 8
    assert adapt(actual.at(8), output_stride=8).head == actual.spec.head


def test_strides_that_would_be_lost_are_refused():
    block = Block("basic", (8, 8))
    stages = [Stage((replace(block, channels=(8, 8 << index)),), pool=True) for index in range(4)]
    pooled = Model(Backbone(Stem((StemConv(4, 3, 2),)), tuple(stages)), head=Classifier(0))
    twice = narrow(output_stride=32)
    blocks = tuple(replace(item, stride=2) for item in twice.backbone.stages[3].blocks)
    twice = replace(
        twice, backbone=replace(twice.backbone, stages=(*twice.backbone.stages[:3], replace(twice.backbone.stages[3], blocks=blocks)))
    )
    for spec in (pooled, twice):
        with pytest.raises(SpecError, match="output_stride: expected a model whose stages halve"):
            adapt(spec, output_stride=16)


def test_an_output_stride_that_is_none_is_refused():
    with pytest.raises(SpecError, match=r"output_stride: expected one of \[8, 16, 32\], found 12"):
        adapt(narrow(), output_stride=12)
