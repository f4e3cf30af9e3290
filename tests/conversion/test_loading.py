"""``create_model`` takes tensors from a checkpoint by name, and says which start new."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

import axialzoo.torch as zoo
from axialzoo.checkpoint import CheckpointError, Config, digest, load_checkpoint, save_checkpoint
from axialzoo.hub import fetch_checkpoint, plan_build
from axialzoo.spec import ModelEntry, SpecError, adapt, get_entry, register
from axialzoo.spec import registry as registry_module
from axialzoo.torch import create_model, save_model, to_tensors
from tests.conversion import small
from tests.strategies import preprocessing_of, weights

NAME = "axial_resnet_cifar10_xs"
SPEC = get_entry(NAME).spec
CLASSIFIER = {"head.fc.weight", "head.fc.bias"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    tensors = {name: np.clip(array, -2, 2) for name, array in weights(SPEC, 0).items()}
    save_checkpoint(folder, Config(NAME, SPEC, tuple("abcdefghij"), preprocessing_of(SPEC)), tensors)
    return folder


def changed(model, folder) -> set[str]:
    """Names of the tensors of `model` that are not the checkpoint's."""
    source = load_checkpoint(folder).tensors
    ours = to_tensors(model)
    assert set(ours) <= set(source)
    return {name for name, array in ours.items() if array.shape != source[name].shape or not np.array_equal(array, source[name])}


def test_a_model_gets_every_tensor_and_its_config(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = create_model(NAME, folder)
    assert changed(model, folder) == set()
    assert model.config == load_checkpoint(folder).config and model.spec == SPEC
    assert all(parameter.requires_grad for parameter in model.parameters())
    x = torch.zeros(1, 3, 32, 32)
    model.train()(x).sum().backward()


def test_another_number_of_classes_starts_the_classifier_new_and_says_so(folder):
    with pytest.warns(UserWarning, match=r"num_classes=3: .* start new: head\.fc\.weight, head\.fc\.bias"):
        model = create_model(NAME, folder, num_classes=3)
    assert changed(model, folder) == CLASSIFIER
    assert model.config.labels == () and model.config.digest == ""
    assert torch.isfinite(model.head.fc.weight).all() and model.head.fc.weight.std() > 0


def test_other_channels_start_the_first_convolution_new_and_say_so(folder):
    with pytest.warns(UserWarning, match=r"in_channels=1: .* start new: stem\.0\.conv\.weight"):
        model = create_model(NAME, folder, in_channels=1)
    assert changed(model, folder) == {"stem.0.conv.weight"}
    assert len(model.config.preprocessing.mean) == 1 and model.config.labels
    assert torch.isfinite(model.stem[0].conv.weight).all() and model.stem[0].conv.weight.std() > 0


def test_features_leave_the_classifier_out_by_name(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = create_model(NAME, folder, features_only=True, out_indices=(0, 2))
    assert changed(model, folder) == set() and not CLASSIFIER & set(to_tensors(model))
    assert [x.shape[1] for x in model(torch.zeros(1, 3, 32, 32))] == [8, 32]


def test_what_has_no_weights_changes_freely(folder):
    model = create_model(NAME, folder, input_size=(40, 64), span=3, beyond_tables="interpolate", drop_path=0.2)
    assert changed(model, folder) == set()
    assert model.spec.input_size == model.config.preprocessing.size == (40, 64)


def test_a_kind_of_attention_with_the_same_tensors_takes_the_weights_and_no_other(folder):
    assert changed(create_model(NAME, folder, attention="axial_local"), folder) == set()
    with pytest.raises(CheckpointError, match="attention='global'"):
        create_model(NAME, folder, attention="global")


def test_the_weights_of_another_model_are_refused(folder):
    with pytest.raises(CheckpointError, match=r"expected weights of 'axial_resnet_cifar10', found those of 'axial_resnet_cifar10_xs'"):
        create_model("axial_resnet_cifar10", folder)
    assert create_model("custom", folder).spec == SPEC


@pytest.mark.parametrize(
    ("name", "pretrained", "message"),
    [
        ("axial_resnet50_m", True, "has no weights to load"),
        ("axial_resnet_cifar10_xs.nosuch", False, "has no weights tagged 'nosuch'"),
        ("axial_resnet50_m", "nosuch", "has no weights"),
        ("axial_resnet_cifar11_xs", False, "did you mean 'axial_resnet_cifar10_xs'"),
        ("custom", False, "expected weights that say what it is"),
        ("custom", True, "expected pretrained=FOLDER"),
        ("axial_resnet_cifar10_xs", "./nosuch", "expected a folder with config.json and model.safetensors, found nothing"),
    ],
)
def test_a_name_or_source_that_does_not_exist_is_said_clearly(name, pretrained, message):
    with pytest.raises((SpecError, CheckpointError), match=message):
        create_model(name, pretrained)


def test_tags_of_the_registry_are_found_by_every_spelling(folder, monkeypatch):
    monkeypatch.setattr(registry_module, "_entries", dict(registry_module._entries))
    monkeypatch.setattr(registry_module, "_aliases", dict(registry_module._aliases))
    registered = register(
        ModelEntry("tagged", SPEC, "", "", weights={"first": f"{os.fspath(folder)}", "second": "axial/nowhere"}), "tagged_alias"
    )
    assert list(registered.weights) == ["first", "second"]
    expected = load_checkpoint(folder).config.digest
    for name, pretrained in (
        ("tagged", True), ("tagged", "first"), ("tagged.first", True), ("tagged", "tagged.first"),
        ("tagged_alias", True), ("tagged_alias", "tagged_alias.first"),
    ):  # fmt: skip
        assert digest(to_tensors(create_model(name, pretrained))) == expected, (name, pretrained)
    assert fetch_checkpoint("tagged").config.digest == fetch_checkpoint("tagged.first").config.digest == expected
    with pytest.raises(SpecError, match="has no weights tagged 'frist'; did you mean 'first'"):
        create_model("tagged", "frist")


def test_weights_of_another_kind_are_found_by_the_kind_and_by_the_tag(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(registry_module, "_entries", dict(registry_module._entries))
    spec = adapt(SPEC, attention="global")
    save_checkpoint(tmp_path, Config("tagged", spec, (), preprocessing_of(spec)), weights(spec, 1))
    registered = register(
        ModelEntry("tagged", SPEC, "", "", weights={"a": os.fspath(folder), "a_global": os.fspath(tmp_path), "b": "axial/no"})
    )
    assert [registered.tag_of_kind(kind) for kind in ("axial", "global", "local")] == ["a", "a_global", None]
    assert registered.tag_of_kind("axial", "a_global") == "a" and registered.tag_of_kind("global", "b") is None
    assert registered.kind_of("a_global") == "global" and registered.kind_of("a") is None
    own, other = (load_checkpoint(item).config.digest for item in (folder, tmp_path))
    for name, pretrained, kind, expected in (
        ("tagged", True, None, own), ("tagged", True, "global", other), ("tagged", "a", "global", other),
        ("tagged", "a_global", None, other), ("tagged.a_global", True, None, other), ("tagged.a_global", True, "axial", own),
        ("custom", "tagged", "global", other), ("custom", "tagged.a_global", None, other), ("tagged", os.fspath(tmp_path), None, other),
    ):  # fmt: skip
        model = create_model(name, pretrained, attention=kind)
        assert digest(to_tensors(model)) == expected, (name, pretrained, kind)
        assert model.spec == (spec if expected == other else SPEC)
    assert create_model("tagged.a_global").spec == spec  # new weights, of that kind
    with pytest.raises(CheckpointError, match="attention='local'"):
        create_model("tagged", True, attention="local")
    with pytest.raises(CheckpointError, match="expected weights of 'axial_resnet_cifar10_xs', found those of 'tagged'"):
        create_model(NAME, tmp_path)  # another name and another kind


def test_a_stem_of_no_convolution_cannot_take_other_channels(tmp_path):
    backbone = replace(small.SPEC.backbone, stem=replace(small.SPEC.backbone.stem, convs=()))
    spec = replace(small.SPEC, backbone=backbone)
    save_checkpoint(tmp_path, Config("custom", spec, (), preprocessing_of(spec)), weights(spec, 0))
    with pytest.raises(SpecError, match="no stem convolution to replace"):
        plan_build("custom", tmp_path, in_channels=1)


def test_every_registered_name_and_alias_is_a_function():
    from axialzoo.spec import aliases, list_models

    for name in [name for model in list_models() for name in (model, *aliases(model))]:
        assert name in zoo.__all__ and getattr(zoo, name).__name__ == name


def test_plain_tools_read_the_file(folder):
    """Users without our zoo read safetensors, then call load_state_dict."""
    from safetensors.torch import load_file

    model = create_model(NAME)
    model.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
    assert digest(to_tensors(model)) == load_checkpoint(folder).config.digest


def test_a_model_saved_again_is_the_same_to_the_byte(folder, tmp_path):
    save_model(create_model(NAME, folder), tmp_path)
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_a_model_in_channels_last_or_on_views_is_saved_the_same(folder, tmp_path):
    model = create_model(NAME, folder).to(memory_format=torch.channels_last)
    save_model(model, tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    zoo.load_tensors(model, weights(SPEC, 1))
    assert digest(to_tensors(model)) == digest(weights(SPEC, 1))
