"""The panoptic head as data: what it reads, what it gives, what may be changed, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from axialzoo.spec import Model, SpecError, adapt, from_dict, get_entry, list_models, parameters, same_architecture, to_dict
from axialzoo.spec.heads.panoptic import Decoder, Instances, Panoptic, Skip
from axialzoo.torch import build, create_model

NUCLEI = get_entry("axial_deeplab_nuclei_xs").spec
CITY = get_entry("axial_deeplab_s").spec


@pytest.mark.parametrize("name", list_models(task="segmentation"))
def test_the_spec_predicts_tensors_and_maps_of_the_modules(name):
    spec = get_entry(name).spec
    assert spec.head is not None
    with torch.device("meta"):
        model = build(spec).eval()
        maps = model(torch.empty(1, 3, 65, 97))
    assert {parameter.name: parameter.shape for parameter in parameters(spec)} == {k: tuple(v.shape) for k, v in model.state_dict().items()}
    outputs = {name: item for name, item in spec.head.outputs(spec.backbone).items() if not item.training}
    assert {name: tuple(y.shape[1:]) for name, y in maps.items()} == {
        name: (item.channels, *(-(-side // item.stride) for side in (65, 97))) if item.stride else (item.tokens, item.channels)
        for name, item in outputs.items()
    }
    assert from_dict(Model, json.loads(json.dumps(to_dict(spec)))) == spec


def test_it_reads_the_first_endpoint_of_each_skips_stride_and_the_last_stage():
    assert CITY.head.endpoints(CITY.backbone) == (1, 2, 4)
    assert adapt(CITY, output_stride=8).head.endpoints(adapt(CITY, output_stride=8).backbone) == (1, 2, 4)
    large = get_entry("axial_deeplab_max_l").spec
    assert large.head.endpoints(large.backbone) == (1, 2, 4) and len(large.backbone.feature_info()) == 6
    assert replace(large.head, from_neck=True).endpoints(large.backbone) == (1, 2, 5)


def test_things_stay_with_fewer_classes_unless_said_otherwise():
    assert adapt(CITY, num_classes=13).head.things == (11, 12)
    assert adapt(CITY, num_classes=3, things=[0, 2]).head.things == (0, 2)
    assert adapt(CITY, things=()).head.things == ()
    assert same_architecture(adapt(CITY, num_classes=3, things=[0]), CITY)
    assert not same_architecture(replace(CITY, head=replace(CITY.head, instances=None)), CITY)


def test_how_maps_are_read_can_be_changed_and_is_the_same_architecture():
    changed = adapt(NUCLEI, targets={"sigma": 2.0}, postprocess={"agreement": 5.0})
    assert changed.head.targets == replace(NUCLEI.head.targets, sigma=2.0) != NUCLEI.head.targets
    assert changed.head.postprocess == replace(NUCLEI.head.postprocess, agreement=5.0) != NUCLEI.head.postprocess
    assert same_architecture(changed, NUCLEI)
    fewer = adapt(changed, num_classes=5).head
    assert (fewer.targets, fewer.postprocess) == (changed.head.targets, changed.head.postprocess)


def test_another_number_of_classes_starts_the_last_layer_new_and_no_other():
    model = create_model("axial_deeplab_nuclei_xs").eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.reset_classifier(4, things=(1, 2))
    after = model.state_dict()
    assert [name for name in after if not torch.equal(after[name], before[name])] == ["head.classes.out.weight", "head.classes.out.bias"]
    assert model.spec.head.things == (1, 2) and model.get_classifier().out_channels == 4
    features = model.forward_features(torch.zeros(1, 3, 33, 50))
    assert model.forward_head(features, pre_logits=True)["semantic"].shape == (1, 4, 33, 50)


def test_training_gives_every_parameter_a_gradient():
    model = create_model("axial_deeplab_nuclei_xs").train()
    maps = model(torch.randn(2, 3, 33, 50))
    sum(y.square().mean() for y in maps.values()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Panoptic(3, (3,)), "things: expected classes from 0 to 2, found 3"),
        (lambda: Panoptic(3, (1, 0)), "things: expected each class once, in order"),
        (lambda: Panoptic(0), "num_classes: expected a whole number of at least 1"),
        (lambda: adapt(CITY, num_classes=5, things=[7]), "things: expected classes from 0 to 4"),
        (lambda: Decoder(skips=(Skip(4, 8), Skip(8, 8))), "strides that fall"),
        (lambda: Panoptic(3, semantic=Decoder(skips=(Skip(8, 8),)), instances=Instances()), "last skips have one stride"),
        (lambda: Panoptic(3, kernel=4), "kernel: expected one of"),
        (lambda: Panoptic(3, semantic=Decoder(skips=(Skip(6, 8),)), instances=None).endpoints(CITY.backbone), "found 6"),
        (lambda: CITY.head.reconfigured(3, thing=(1,)), "did you mean 'things'"),
        (lambda: adapt(get_entry("axial_resnet26_s").spec, things=[1]), "things: not an option of a classifier head"),
        (lambda: adapt(get_entry("axial_resnet26_s").spec, targets={"sigma": 1.0}), "targets: not an option of a classifier head"),
        (lambda: adapt(replace(CITY, head=None), targets={"sigma": 1.0}), "targets: expected a model with a head"),
        (lambda: adapt(CITY, targets={"sigmas": 1.0}), "targets: unknown field 'sigmas'; did you mean 'sigma'"),
        (lambda: adapt(CITY, postprocess={"agreement": -1.0}), "PostprocessConfig.agreement"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(SpecError, match=message):
        make()
