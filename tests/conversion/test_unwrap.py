"""Weights that wrappers, Lightning, timm and averages save load as what they are, or the message says what to do."""

from __future__ import annotations

import contextlib
import re
import warnings
from typing import Any

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from axialzoo.checkpoint import CheckpointError
from axialzoo.runtime.convert import convert
from axialzoo.torch import axial_resnet_cifar10_xs, load_model, save_model

XS = "axial_resnet_cifar10_xs"


def prefixed(prefix: str, state: dict[str, Any]) -> dict[str, Any]:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def shifted(state: dict[str, Any]) -> dict[str, Any]:
    return {name: tensor + 1 for name, tensor in state.items()}


KINDS = {  # what is saved, of a state dict; and what a warning says
    "plain": (lambda state: state, ""),
    "DistributedDataParallel": (lambda state: prefixed("module.", state), ""),
    "torch.compile": (lambda state: prefixed("_orig_mod.", state), ""),
    "both": (lambda state: prefixed("module._orig_mod.", state), ""),
    "a compiled part": (lambda state: {name.replace("stages.0.", "stages.0._orig_mod."): tensor for name, tensor in state.items()}, ""),
    "Lightning": (
        lambda state: {"state_dict": {**prefixed("model.", state), "criterion.weight": torch.ones(3)}, "hyper_parameters": {"lr": 1e-3}},
        "left out what is not under 'model.': criterion.weight",
    ),
    "timm": (
        lambda state: {"epoch": 3, "state_dict": shifted(state), "state_dict_ema": state},
        "holds state_dict_ema, state_dict; state_dict_ema is taken",
    ),
    "AveragedModel": (lambda state: {"n_averaged": torch.tensor(4), **prefixed("module.", state)}, ""),
    "a run's state": (
        lambda state: {"model": shifted(state), "optimizer": {"state": {}}, "step": 3, "average": {**state, "updates": torch.tensor(3)}},
        "holds average, model; average is taken",
    ),
}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    return axial_resnet_cifar10_xs(num_classes=3)


def equal(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return set(left) == set(right) and all(torch.equal(tensor, right[name]) for name, tensor in left.items())


@pytest.mark.parametrize("kind", KINDS)
def test_weights_in_wrappers_load(kind, model, tmp_path):
    wrap, message = KINDS[kind]
    torch.save(wrap(model.state_dict()), tmp_path / "weights.pth")
    other = axial_resnet_cifar10_xs(num_classes=3)
    assert not equal(other.state_dict(), model.state_dict())
    with pytest.warns(UserWarning, match=re.escape(message)) if message else contextlib.nullcontext():
        other.load_state_dict(wrap(model.state_dict()))
    assert equal(other.state_dict(), model.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        convert(tmp_path / "weights.pth", tmp_path / "folder", model=XS)  # the number of classes is that of the tensors
    assert equal(load_model(tmp_path / "folder").state_dict(), model.state_dict())


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # of torch.compile itself
@pytest.mark.parametrize("wrap", [torch.nn.DataParallel, AveragedModel, torch.compile, lambda net: AveragedModel(torch.compile(net))])
def test_models_in_wrappers_are_saved_without_them(wrap, model, tmp_path):
    save_model(wrap(model), tmp_path / "folder", labels=("a", "b", "c"))
    other = load_model(tmp_path / "folder")
    assert equal(other.state_dict(), model.state_dict()) and len(other.labels) == 3
    with pytest.raises(CheckpointError, match=r"save_model\(module.model, folder\)"):
        save_model(torch.nn.Sequential(model), tmp_path / "other")


def test_averages_of_pytorch_are_what_is_taken_for_them(model):
    assert set(AveragedModel(model).state_dict()) == set(KINDS["AveragedModel"][0](model.state_dict()))


def test_weights_that_are_none_of_the_model_are_refused(model, tmp_path):
    state = model.state_dict()
    both = prefixed("student.", state) | prefixed("teacher.", state)
    with pytest.raises(CheckpointError, match=r"several models, under 'student.' and 'teacher.'; keep one .*removeprefix\('student.'\)"):
        model.load_state_dict(both)
    with pytest.raises(CheckpointError, match=r"none of the 1 names is this model's, such as a\.b"):
        model.load_state_dict({"a.b": torch.ones(1)}, strict=False)
    with pytest.raises(RuntimeError, match="Missing key"):
        model.load_state_dict({name: tensor for name, tensor in prefixed("module.", state).items() if "fc.bias" not in name})
    torch.save(model, tmp_path / "whole.pth")
    with pytest.raises(CheckpointError, match=r"torch.save\(model.state_dict\(\), path\)"):
        convert(tmp_path / "whole.pth", tmp_path / "folder", model=XS)


@pytest.mark.parametrize(
    ("suffix", "way"),
    [
        (".onnx", "load the folder that it was exported from"),
        (".tar.gz", "unpack it"),
        (".H5", "save the model there as .keras"),
        (".npz", ".safetensors"),
    ],
)
def test_a_file_that_cannot_be_converted_names_the_way_on(suffix, way, tmp_path):
    (tmp_path / f"mine{suffix}").write_bytes(b"1")
    with pytest.raises(CheckpointError, match=f"found a file .*{way}"):
        load_model(str(tmp_path / f"mine{suffix}"))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".keras", ".ckpt", ".bin", ".weights.h5"])
def test_a_file_in_the_place_of_a_folder_names_the_command(suffix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"mine{suffix}").write_bytes(b"1")
    with pytest.raises(CheckpointError, match=f"found a file; make the folder with `axialzoo convert mine{suffix} mine`"):
        load_model(f"mine{suffix}")
    with pytest.raises(CheckpointError, match="found nothing"):
        load_model(f"runs/mine{suffix}")  # no address on the Hub


def test_the_file_in_a_folder_names_the_folder(model, tmp_path):
    save_model(model, tmp_path / "mine")
    with pytest.raises(CheckpointError, match=f"load the folder, {tmp_path / 'mine'}"):
        load_model(tmp_path / "mine" / "model.safetensors")
