"""Arguments that are misspelt, or spelt as timm does, are refused with our spelling; in both frameworks by one function."""

from __future__ import annotations

import pytest

from axialzoo.checkpoint import CheckpointError
from axialzoo.hub import fetch_checkpoint, plan_build
from axialzoo.spec import SpecError, adapt, get_entry

XS = "axial_resnet_cifar10_xs"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weights": "DEFAULT"}, r"torchvision's weights is pretrained=True \(or a tag, a folder, 'org/repo'\) here"),
        ({"include_top": False}, r"Keras's include_top is features_only=True \(include_top=False\)"),
        ({"classes": 3}, "Keras's classes is num_classes here"),
        ({"num_labels": 3}, "transformers' num_labels is num_classes here"),
        ({"imgsz": 64}, "ultralytics' imgsz is input_size here"),
        ({"pretrain": True}, "; pretrain is pretrained here"),
        ({"drop_rate": 0.1}, "leave it out: they have no dropout before their last layer"),
        ({"long_axis": "local"}, "'long_axis' is beyond_tables now"),
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


@pytest.mark.parametrize(
    ("argument", "message"),
    [("feature_onyl", "did you mean 'features_only'"), ("nonsense", "attention, pretrained, features_only, out_indices$")],
)
def test_builders_name_their_own_arguments(argument, message):
    with pytest.raises(SpecError, match=message):
        plan_build(XS, **{argument: True})


def test_the_builder_of_pytorch_refuses_them_too():
    from axialzoo.torch import axial_resnet_cifar10_xs

    with pytest.raises(SpecError, match="did you mean 'num_classes'"):
        axial_resnet_cifar10_xs(num_clases=3)


@pytest.mark.parametrize("name", ["hf-hub:someone/weights", "hf_hub:someone/weights", "hf://someone/weights"])
def test_names_of_the_hub_as_timm_writes_them_are_refused(name):
    for ask in (lambda: fetch_checkpoint(name), lambda: plan_build(name), lambda: plan_build(XS, name)):
        with pytest.raises(SpecError, match="pretrained='someone/weights'"):
            ask()


@pytest.mark.parametrize("weights", ["DEFAULT", "imagenet", "IMAGENET1K_V1"])
def test_names_of_weights_of_other_libraries_are_refused(weights):
    with pytest.raises(SpecError, match=r"expected True for a model's first weights, or a tag.*tags of 'axial_resnet_cifar10_xs': cifar10"):
        plan_build(XS, weights)


def assign(model, path: str, layer) -> None:
    *owners, name = path.split(".")
    for owner in owners:
        model = getattr(model, owner)
    setattr(model, name, layer)


@pytest.mark.parametrize("path", ["fc", "classifier", "head", "head.fc"])
def test_a_new_last_layer_names_reset_classifier(path):
    from torch import nn

    from axialzoo.torch import axial_resnet_cifar10_xs

    model = axial_resnet_cifar10_xs()
    with pytest.raises(SpecError, match=rf"model.{path} = .*which has 10 classes; .*model.reset_classifier\(num_classes\)"):
        assign(model, path, nn.Linear(64, 2))
    model.reset_classifier(2)
    assign(model, "head.fc", nn.Sequential(nn.Dropout(), nn.Linear(64, 2)))  # of the right number
    model.loss = nn.CrossEntropyLoss()  # what else users put there


@pytest.mark.backends("torch", full=("tensorflow", "jax"))
@pytest.mark.parametrize("path", ["fc", "head", "head.fc"])
def test_a_new_last_layer_names_reset_classifier_in_keras_too(path):
    import keras

    from axialzoo.keras import axial_resnet_cifar10_xs

    model = axial_resnet_cifar10_xs()
    with pytest.raises(SpecError, match=rf"model.{path} = .*model = model.reset_classifier\(num_classes\)"):
        assign(model, path, keras.layers.Dense(2))
    assert axial_resnet_cifar10_xs(num_classes=0).output_shape == (None, 64)


def test_either_framework_is_asked_for_by_name():
    import axialzoo
    from axialzoo.torch import AxialModel, list_models

    assert isinstance(axialzoo.create_model(XS, framework="torch", num_classes=3), AxialModel) and list_models() == axialzoo.list_models()
    with pytest.raises(SpecError, match="expected one of torch, keras, found 'pytorch'; did you mean 'torch'"):
        axialzoo.create_model(XS, framework="pytorch")


def test_out_indices_want_features():
    from axialzoo.torch import create_model

    with pytest.raises(SpecError, match=r"out_indices=\[1, 2\]: expected with features_only=True"):
        create_model(XS, out_indices=(1, 2))
    assert len(create_model(XS, features_only=True, out_indices=(1, 2)).feature_info) == 2


def test_models_are_saved_as_in_transformers(tmp_path):
    from axialzoo.torch import AxialModel, axial_resnet_cifar10_xs

    model = axial_resnet_cifar10_xs(num_classes=2)
    model.save_pretrained(tmp_path / "mine", labels=("cat", "dog"))
    assert [label.name for label in AxialModel.from_pretrained(tmp_path / "mine").labels] == ["cat", "dog"]
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save_pretrained(tmp_path / "mine")
    for method in (lambda: model.save_pretrained(tmp_path / "b", max_shard_size="1GB"), lambda: model.push_to_hub("a/b", create_pr=True)):
        with pytest.raises(SpecError, match=r"leave it out: .*known: labels, preprocessing, provenance"):
            method()
    with pytest.raises(CheckpointError, match="expected repo_id='org/repo'"):
        model.save_pretrained(tmp_path / "b", push_to_hub=True)
