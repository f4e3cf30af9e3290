"""timm makes our models, and they are ours: the same outputs, its features, its graphs."""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import replace

import pytest
import torch

if importlib.util.find_spec("timm") is None or importlib.util.find_spec("torchvision") is None:
    pytest.skip("timm and torchvision are not installed: pip install 'axialzoo[timm]'", allow_module_level=True)

from tests.timm import torchvision_operators

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torchvision_operators.declare()
    import timm

    import axialzoo.timm as adapter

from axialzoo.spec import list_models
from axialzoo.torch import axial_resnet_cifar10, axial_resnet_cifar10_xs

pytestmark = pytest.mark.filterwarnings("ignore")
NAME = "axial_resnet_cifar10_xs"


def images(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_every_model_that_classifies_is_there_and_no_model_of_timms_is_replaced():
    assert sorted(adapter.OURS.values()) == sorted(list_models(task="classification"))
    assert set(adapter.OURS) <= set(timm.list_models())
    assert not [known for known, name in adapter.OURS.items() if known != name and known != f"axialzoo_{name}"]
    assert timm.create_model("resnet18").__class__.__module__ == "timm.models.resnet"


def test_pretrained_weights_are_ours():
    assert "axial_resnet_cifar10" in timm.list_models(pretrained=True)
    model, x = timm.create_model("axial_resnet_cifar10", pretrained=True).eval(), images()
    with torch.no_grad():
        assert torch.equal(model(x), axial_resnet_cifar10(pretrained=True).eval()(x))
    with pytest.warns(UserWarning, match="num_classes=5"):
        assert timm.create_model("axial_resnet_cifar10", pretrained=True, num_classes=5)(x).shape == (2, 5)


def test_the_configuration_is_that_of_the_weights(monkeypatch):
    honest = adapter.plan_build

    def plan(*args, **options):
        planned = honest(*args, **options)
        preprocessing = replace(planned.config.preprocessing, mean=(0.1, 0.2, 0.3), crop=0.9)
        return replace(planned, config=replace(planned.config, preprocessing=preprocessing))

    monkeypatch.setattr(adapter, "plan_build", plan)
    said, other = (timm.create_model(NAME, pretrained=pretrained).pretrained_cfg for pretrained in (True, False))
    assert (said["mean"], said["crop_pct"], said["input_size"]) == (
        (0.1, 0.2, 0.3),
        0.9,
        (3, *axial_resnet_cifar10_xs(pretrained=True).preprocessing.size),
    ) and said["mean"] != other["mean"]


def test_features_and_their_channels():
    model = timm.create_model(NAME, features_only=True)
    assert [x.shape[1] for x in model(images())] == model.feature_info.channels()
    last, several = timm.create_model(NAME).eval().forward_intermediates(images(), [0, 1])
    assert len(several) == 2 and last.shape[1] == 64


def test_pooling_and_classes_can_be_taken_away():
    model = timm.create_model(NAME, num_classes=0, global_pool="")
    assert model(images()).shape == model.forward_features(images()).shape == (2, 64, 8, 8)
    model.reset_classifier(7, "avg")
    assert model(images()).shape == (2, 7) and model.head_hidden_size == 64


@pytest.mark.parametrize(
    "options", [{"drop_rate": 0.1}, {"global_pool": "max"}, {"global_pool": "", "num_classes": 3}], ids=["dropout", "pooling", "classes"]
)
def test_what_these_models_have_not_is_refused(options):
    with pytest.raises(ValueError, match=r"drop_rate|global_pool"):
        timm.create_model(NAME, **options)


def graph(model: torch.nn.Module) -> torch.nn.Module:
    from timm.models import get_notrace_functions, get_notrace_modules
    from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

    settings = {"leaf_modules": get_notrace_modules(), "autowrap_functions": get_notrace_functions(), "param_shapes_constant": True}
    train, evaluation = get_graph_node_names(model, tracer_kwargs=settings)
    return create_feature_extractor(model, train_return_nodes=train[-1:], eval_return_nodes=evaluation[-1:], tracer_kwargs=settings)


def test_a_graph_and_what_is_scripted_compute_the_same():
    model, x = timm.create_model(NAME).eval(), images()
    with torch.inference_mode():
        traced = graph(model)
        (actual,) = traced(x).values()
        assert torch.equal(actual, model(x)) and torch.equal(torch.jit.script(model)(x), actual)
        (scripted,) = torch.jit.script(traced)(x).values()
        assert torch.allclose(scripted, actual, atol=1e-6)


def test_what_is_scripted_refuses_to_be_saved(tmp_path):
    with pytest.raises(RuntimeError, match="Could not export Python function"):
        torch.jit.script(timm.create_model(NAME).eval()).save(str(tmp_path / "model.pt"))


def test_a_model_is_made_on_the_device_and_of_the_type_that_are_asked_for():
    built = timm.create_model("axial_resnet_cifar10_xs", in_chans=4, device="meta", dtype=torch.float64)
    assert built.in_chans == 4 and {(parameter.device.type, parameter.dtype) for parameter in built.parameters()} == {
        ("meta", torch.float64)
    }


def test_classes_of_a_model_that_does_not_pool_are_of_the_pooled_features():
    built = timm.create_model("axial_resnet_cifar10_xs", num_classes=0, global_pool="")
    built.reset_classifier(0)
    assert built.global_pool == ""
    built.reset_classifier(2)
    assert built.global_pool == "avg" and built(torch.zeros(1, 3, 32, 32)).shape == (1, 2)
