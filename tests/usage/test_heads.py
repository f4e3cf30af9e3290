"""Another number of classes in PyTorch: through `reset_classifier`; a head put there by hand is found out when saved."""

from __future__ import annotations

import pytest
import torch

from axialzoo.checkpoint import CheckpointError, load_checkpoint
from axialzoo.torch import axial_deeplab_nuclei_xs, axial_resnet_cifar10, load_model, load_tensors, save_model, to_tensors


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_resetting_the_classifier_keeps_all_else(dtype, tmp_path):
    model = axial_resnet_cifar10(pretrained=True).to(dtype)
    before = {name: tensor.copy() for name, tensor in to_tensors(model).items()}
    assert len(model.labels) == 10
    model.reset_classifier(3)
    after = to_tensors(model)
    remaining = [name for name in after if not name.startswith("head.")]
    assert (
        all((after[name] == before[name]).all() and after[name].dtype == before[name].dtype for name in remaining) and len(remaining) > 100
    )
    assert after["head.fc.weight"].shape == (3, 256) and after["head.fc.weight"].dtype == before["head.fc.weight"].dtype
    assert model.spec.num_classes == model.num_classes == 3 and model.config is not None
    assert model.config.spec == model.spec and model.labels == ()
    save_model(model, tmp_path / "model", labels=("a", "b", "c"))
    assert load_checkpoint(tmp_path / "model").config.spec.num_classes == 3
    if dtype != torch.float64:  # which models of float32 do not hold
        assert [label.name for label in load_model(tmp_path / "model").labels] == ["a", "b", "c"]


def test_resetting_to_as_many_classes_keeps_the_labels():
    model = axial_resnet_cifar10(pretrained=True)
    model.reset_classifier(10)
    assert len(model.labels) == 10


def test_heads_with_maps_keep_what_does_not_depend_on_the_classes():
    model = axial_deeplab_nuclei_xs()
    before = to_tensors(model)
    model.reset_classifier(5, things=(1,))
    after = to_tensors(model)
    changed = [name for name in after if after[name].shape != before[name].shape or (after[name] != before[name]).any()]
    assert changed and all(name.startswith("head.classes.out") for name in changed)
    assert model(torch.zeros(2, 3, 32, 32))["semantic"].shape[1] == 5


def test_a_head_put_there_by_hand_is_refused_when_saved(tmp_path):
    model = axial_resnet_cifar10(pretrained=True)
    tensors = {name: tensor.copy() for name, tensor in to_tensors(model).items()}
    model.head._modules["fc"] = torch.nn.Linear(256, 3)  # an assignment is refused at once
    with pytest.raises(CheckpointError, match=r"head\.fc\.bias, head\.fc\.weight; .*reset_classifier"):
        save_model(model, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    with pytest.raises(CheckpointError, match=r"head\.fc"):
        load_tensors(model, tensors)
