"""Checkpoints of version 1 are read as they were written, verified by their own digest, and brought up to the current version.

The tensors are those that shipped in version 1, trained for 16 epochs; what ships today was trained anew.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from axialzoo.checkpoint import CheckpointError, Config, digest, load_checkpoint, save_checkpoint, write_safetensors
from axialzoo.checkpoint.migrate import PREFIXES, migrate_name, migrate_spec
from axialzoo.runtime import Runner
from axialzoo.runtime.convert import read_any
from axialzoo.spec import Model, SpecError, from_dict, get_entry, list_models, to_dict

SHIPPED = Path(__file__).resolve().parents[2] / "axialzoo" / "weights" / "axial_resnet_cifar10"
OLD = Path(__file__).parent / "data" / "axial_resnet_cifar10_version1.json"
OLD_TENSORS = OLD.with_suffix(".safetensors")
SHA256 = "33a97b6d4064c0036c6bd67609d6f1b3901cae0845d7769761e1ee57f6d0540b"  # of model.safetensors as it shipped in version 1
ADVICE = "convert the folder or the .safetensors or .pth file"


def old_name(name: str) -> str:
    for old, new in PREFIXES.items():
        if name.startswith(new):
            return old + name.removeprefix(new)
    return name


def text() -> str:
    return OLD.read_text(encoding="utf-8")


def old_tensors() -> dict[str, np.ndarray]:
    return load_file(OLD_TENSORS)


def write(folder: Path, config: str | None = None, tensors: dict[str, np.ndarray] | None = None) -> Path:
    folder.mkdir()
    config = text() if config is None else config
    (folder / "config.json").write_text(config, encoding="utf-8")
    tensors = old_tensors() if tensors is None else tensors
    write_safetensors(folder / "model.safetensors", tensors, {"axialzoo": config, "format": "pt"})
    return folder


@pytest.fixture
def folder(tmp_path) -> Path:
    return write(tmp_path / "old")


def changed(**fields) -> str:
    """The config of version 1 with other values, and no claim that it was never changed."""
    data = json.loads(text())
    del data["config_digest"]
    return json.dumps({**data, **fields}, ensure_ascii=False)


def current(folder: Path) -> Path:
    """Tensors as the current version writes them."""
    old, to = load_checkpoint(folder), folder.parent / "current"
    save_checkpoint(to, old.config, {name: np.array(array) for name, array in old.tensors.items()})
    return to


def test_a_folder_written_so_is_the_one_that_shipped(folder):
    for file in (OLD_TENSORS, folder / "model.safetensors"):
        assert hashlib.sha256(file.read_bytes()).hexdigest() == SHA256


def test_one_other_name_would_not_be_the_file_that_shipped(tmp_path):
    tensors = {name.replace("classifier.bias", "classifier.shift"): array for name, array in old_tensors().items()}
    file = write(tmp_path / "other", tensors=tensors) / "model.safetensors"
    assert hashlib.sha256(file.read_bytes()).hexdigest() != SHA256


def test_the_old_folder_loads_as_what_ships_today_is_named(folder):
    old, new, raw = load_checkpoint(folder), load_checkpoint(SHIPPED), old_tensors()
    assert old.config.spec == new.config.spec and old.config.labels == new.config.labels
    assert old.config.preprocessing == new.config.preprocessing
    assert set(old.tensors) == set(new.tensors)
    assert all(array.tobytes() == raw[old_name(name)].tobytes() for name, array in old.tensors.items())
    assert old.config.version == 3 and old.config.digest == digest(old.tensors)


def test_the_old_folder_gives_the_same_outputs_bit_by_bit(folder):
    x = np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype("float32")
    old, new = (Runner(load_checkpoint(item), "torch").outputs(x)["logits"] for item in (folder, current(folder)))
    assert old.tobytes() == new.tobytes()


def test_the_old_digest_is_that_of_the_old_names(folder):
    said = json.loads(text())["digest"]
    assert said == digest(old_tensors()) != digest(load_checkpoint(folder).tensors)


@pytest.mark.parametrize("name", ["classifier.bias", "stem.0.conv.weight"])
def test_a_flipped_bit_is_refused(tmp_path, name):
    tensors = old_tensors()
    tensors[name].view(np.uint8).reshape(-1)[0] ^= 1
    with pytest.raises(CheckpointError, match="digest"):
        load_checkpoint(write(tmp_path / "flipped", tensors=tensors))


def test_a_changed_label_is_refused(tmp_path):
    assert "cat" in json.loads(text())["labels"]
    with pytest.raises(CheckpointError, match="was changed since it was written"):
        load_checkpoint(write(tmp_path / "label", text().replace('"cat"', '"dog"')))


def test_a_pair_that_was_not_written_together_is_refused(folder):
    (folder / "config.json").write_text(changed(digest="sha256:" + "0" * 64), encoding="utf-8")
    with pytest.raises(CheckpointError, match="differ in digest"):
        load_checkpoint(folder)


def test_tensors_by_their_new_names_are_refused_in_version_1(folder, tmp_path):
    tensors = {name: np.array(array) for name, array in load_checkpoint(folder).tensors.items()}
    with pytest.raises(CheckpointError, match="digest"):
        load_checkpoint(write(tmp_path / "mixed", tensors=tensors))


def test_a_pth_file_of_version_1_loads(folder, tmp_path):
    config, tensors = read_any(pth(tmp_path / "old.pth", old_tensors()))
    assert config.spec == load_checkpoint(SHIPPED).config.spec
    assert digest(tensors) == config.digest == load_checkpoint(folder).config.digest


def test_a_flipped_bit_of_a_pth_file_of_version_1_is_refused(tmp_path):
    tensors = old_tensors()
    tensors["classifier.bias"].view(np.uint8)[0] ^= 1
    with pytest.raises(CheckpointError, match="digest"):
        read_any(pth(tmp_path / "old.pth", tensors))


def pth(path: Path, tensors: dict[str, np.ndarray]) -> Path:
    """Tensors and config as version 1 wrote them."""
    state = OrderedDict((name, torch.from_numpy(array)) for name, array in sorted(tensors.items()))
    state._metadata = OrderedDict({"": {"version": 1, "axialzoo": text()}})
    torch.save(state, path)
    return path


def test_keras_files_of_version_1_are_refused_with_advice(tmp_path):
    pytest.importorskip("keras", reason="keras is not installed")
    h5, archive = tmp_path / "old.weights.h5", tmp_path / "old.keras"
    with h5py.File(h5, "w") as file:
        file.attrs["axialzoo"] = text()
    inside = {"registered_name": "axialzoo>AxialModel", "config": {"checkpoint": text()}}
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("config.json", json.dumps(inside))
        file.writestr("model.weights.h5", h5.read_bytes())
    for path in (h5, archive):
        with pytest.raises(CheckpointError, match="earlier version") as refused:
            read_any(path)
        assert ADVICE in str(refused.value)


def test_labels_of_version_2_are_objects():
    data = json.loads(load_checkpoint(SHIPPED).config.to_json())
    assert all(isinstance(label, dict) for label in data["labels"])
    data.pop("config_digest")
    with pytest.raises(SpecError, match=r"labels\[0\]"):
        Config.from_json(json.dumps({**data, "labels": ["a"] * len(data["labels"])}))


def test_labels_of_version_1_are_names_and_others_are_refused():
    assert [label.name for label in Config.from_json(text()).labels] == json.loads(text())["labels"]
    for labels, error in ((["a"] * 3, CheckpointError), ([1] * 10, SpecError), ("text", CheckpointError)):
        with pytest.raises(error, match="labels"):
            Config.from_json(changed(labels=labels))


def test_a_config_of_another_version_is_refused():
    for version in (0, 4, True, "1", None):
        with pytest.raises(CheckpointError, match="expected version 1, 2, 3"):
            Config.from_json(changed(version=version))


def test_the_neck_was_called_decoder():
    spec = next(replace(get_entry(name).spec, head=None) for name in list_models() if get_entry(name).spec.backbone.neck)
    new = to_dict(spec)
    backbone = {("decoder" if key == "neck" else key): value for key, value in new["backbone"].items()}
    old = {"backbone": backbone, "num_classes": 7, "input_size": new["input_size"]}
    read = from_dict(Model, migrate_spec(old))
    assert read.backbone == spec.backbone and read.num_classes == 7
    with pytest.raises(SpecError, match="decoder"):  # what the current version calls so is another thing
        from_dict(Model, {**new, "backbone": backbone})
    assert migrate_name("decoder.0.blocks.1.norm.weight") == "neck.0.blocks.1.norm.weight"
    assert migrate_name("stages.0.decoder.weight") == "stages.0.decoder.weight"


def test_a_spec_of_the_current_version_is_left_alone():
    new = to_dict(get_entry("axial_resnet_cifar10").spec)
    assert migrate_spec(new) == new
