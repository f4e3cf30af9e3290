"""Arguments that are misspelt, or spelt as timm does, are refused with our spelling; in both frameworks by one function."""

from __future__ import annotations

import pytest

from axialzoo.hub import fetch_checkpoint, plan_build
from axialzoo.spec import SpecError, adapt, get_entry

XS = "axial_resnet_cifar10_xs"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_clases": 3}, "did you mean 'num_classes'"),
        ({"in_chans": 1}, "timm's in_chans is in_channels here"),
        ({"drop_path_rate": 0.1}, "timm's drop_path_rate is drop_path here"),
        ({"img_size": 64}, "timm's img_size is input_size here"),
        ({"long_axis": "local"}, "'long_axis' is beyond_tables now"),
        ({"reading": {}}, "'reading' is targets and postprocess now"),
        ({"nonsense": 1}, "known: num_classes, things, slots, targets, postprocess"),
    ],
)
def test_unknown_arguments_are_refused(given, message):
    for build in (
        lambda: plan_build(XS, **given),
        lambda: adapt(get_entry(XS).spec, **given),
        lambda: plan_build(XS, features_only=True, **given),
    ):
        with pytest.raises(SpecError, match=message):
            build()


def test_the_builder_of_pytorch_refuses_them_too():
    from axialzoo.torch import axial_resnet_cifar10_xs

    with pytest.raises(SpecError, match="did you mean 'num_classes'"):
        axial_resnet_cifar10_xs(num_clases=3)


@pytest.mark.parametrize("name", ["hf-hub:someone/weights", "hf_hub:someone/weights", "hf://someone/weights"])
def test_names_of_the_hub_as_timm_writes_them_are_refused(name):
    for ask in (lambda: fetch_checkpoint(name), lambda: plan_build(name), lambda: plan_build(XS, name)):
        with pytest.raises(SpecError, match="pretrained='someone/weights'"):
            ask()
