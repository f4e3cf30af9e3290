"""Files of version 2 are read as they were written and brought up to the current version; their tensors and digest stay as they were.

The folder ``data/version2`` and ``data/version2_specs.json`` were written by the last axialzoo of version 2: a small network with a
panoptic head in every format, and specs with each kind of head.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from axialzoo.checkpoint import CheckpointError, Config, digest, load_checkpoint, migrate, save_checkpoint
from axialzoo.checkpoint.migrate import migrate_config, migrate_spec
from axialzoo.runtime import Runner
from axialzoo.runtime.convert import read_any
from axialzoo.spec import Model, SpecError, adapt, from_dict, get_entry, to_dict
from axialzoo.spec.heads import fcos, panoptic

DATA = Path(__file__).parent / "data"
FOLDER = DATA / "version2"
DIGEST = "sha256:03222a16d38d0c7d0aa07a4901e092e346d070d4c779b273cb4068ce7c6923da"
SUMS = {"semantic": 148.7022705078125, "center": 127.8172607421875, "offset": 21.791305541992188}  # of the outputs in version 2
SPECS = json.loads((DATA / "version2_specs.json").read_text(encoding="utf-8"))


def text(**changes) -> str:
    """The config of version 2 with other values, and no claim that it was never changed."""
    data = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    del data["config_digest"]
    return json.dumps({**data, **changes})


def spec_text(head: dict | None = None, attention: dict | None = None) -> str:
    """The config of version 2 with other fields in the settings of its head or in its first attention."""
    spec = json.loads(text())["spec"]
    spec["head"]["reading"] |= head or {}
    spec["backbone"]["stages"][1]["blocks"][1]["attention"] |= attention or {}
    return text(spec=spec)


def test_the_folder_is_of_version_2():
    assert json.loads(text())["version"] == 2 and '"positions"' in text() and '"reading"' in text()


def test_the_folder_loads_with_its_tensors_and_digest():
    checkpoint, tensors = load_checkpoint(FOLDER), load_file(FOLDER / "model.safetensors")
    assert checkpoint.config.version == 3 and checkpoint.config.digest == DIGEST == digest(checkpoint.tensors)
    assert checkpoint.tensors.keys() == tensors.keys()
    assert all(array.tobytes() == tensors[name].tobytes() for name, array in checkpoint.tensors.items())


def test_every_field_has_its_value():
    spec = load_checkpoint(FOLDER).config.spec
    head, (_, first, second) = spec.head, spec.backbone.stages[1].blocks
    assert isinstance(head, panoptic.Panoptic)
    assert head.targets == panoptic.TargetConfig(sigma=2.5, small_weight=1.5)
    assert head.postprocess == panoptic.PostprocessConfig(0.2, 5, 30, 3, 4, 2.0)
    assert (first.attention.max_length, first.attention.beyond_tables) == (9, "interpolate")
    assert (second.attention.max_length, second.attention.beyond_tables, second.attention.span) == (5, "local", 3)


def test_the_provenance_stays_as_it_was_written():
    assert load_checkpoint(FOLDER).config.provenance == json.loads(text())["provenance"]


def test_the_outputs_are_those_of_version_2():
    x = np.random.default_rng(1).standard_normal((1, 32, 32, 3)).astype("float32")
    outputs = Runner(load_checkpoint(FOLDER), "torch").outputs(x)
    assert {name: float(array.sum()) for name, array in outputs.items()} == pytest.approx(SUMS, rel=1e-4)


def check_reads(file: str) -> None:
    config, tensors = read_any(FOLDER / file)
    expected = load_checkpoint(FOLDER).config
    assert (config.spec, config.digest, config.version) == (expected.spec, DIGEST, 3) and digest(tensors) == DIGEST


@pytest.mark.parametrize("file", ["model.safetensors", "model.pth"])
def test_files_load(file):
    check_reads(file)


@pytest.mark.backends("tensorflow")
@pytest.mark.parametrize("file", ["model.weights.h5", "model.keras"])
def test_files_of_keras_load(file):
    check_reads(file)


@pytest.mark.backends("tensorflow")
def test_keras_loads_the_archive_itself():
    import keras

    import axialzoo.keras  # noqa: F401  # registers the classes

    assert keras.saving.load_model(FOLDER / "model.keras").spec == load_checkpoint(FOLDER).config.spec


def test_it_is_written_as_version_3(tmp_path):
    checkpoint = load_checkpoint(FOLDER)
    save_checkpoint(tmp_path / "new", checkpoint.config, {name: np.array(array) for name, array in checkpoint.tensors.items()})
    data = json.loads((tmp_path / "new" / "config.json").read_text())
    assert data["version"] == 3 and data["digest"] == DIGEST and data["provenance"] == json.loads(text())["provenance"]
    assert load_checkpoint(tmp_path / "new").config == checkpoint.config
    for name in ("positions", "long_axis", "reading"):
        assert f'"{name}"' not in json.dumps(data["spec"])


def test_a_changed_tensor_or_config_is_refused(tmp_path):
    for name, change in (("model.safetensors", (-1, b"\x7f")), ("config.json", None)):
        folder = tmp_path / name
        shutil.copytree(FOLDER, folder)
        path = folder / name
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if change else content.replace(b'"top_k": 30', b'"top_k": 31'))
        with pytest.raises(CheckpointError, match="digest"):
            load_checkpoint(folder)


def expected_spec(name: str) -> Model:
    """The model as it is registered today, with what `version2_specs.json` has changed of it."""
    if name == "axial_resnet_cifar10_xs_local":
        return adapt(get_entry("axial_resnet_cifar10_xs").spec, attention="local", beyond_tables="interpolate")
    spec = get_entry(name).spec
    if name != "axial_fcos_blood_cells_xs":
        return spec
    targets, config = fcos.TargetConfig((40.0, 80.0), 2.0), fcos.PostprocessConfig(0.1, 50, "gaussian", 0.5, 7)
    assert isinstance(spec.head, fcos.FCOS)
    return replace(spec, head=replace(spec.head, targets=targets, postprocess=config))


@pytest.mark.parametrize("name", SPECS)
def test_specs_with_each_kind_of_head_are_migrated(name):
    assert from_dict(Model, migrate_spec(SPECS[name])) == expected_spec(name)


def test_the_specs_have_each_kind_of_head():
    assert {spec["head"]["kind"] for spec in SPECS.values()} == {"classifier", "panoptic", "fcos", "mask_transformer", "unet"}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (spec_text({"sigmas": 1.0}), "sigmas: unknown field"),
        (spec_text({"nms_kernel": 3}), "kernel: unknown field"),
        (spec_text(attention={"max_length": 3}), "positions: unknown field"),
        (spec_text({"kernel": 4}), "nms_kernel: expected an odd side"),
        (text(spec=None), "expected an object"),
        (text(version=3), r"positions: unknown field|reading: unknown field"),
    ],
)
def test_what_is_not_of_version_2_is_refused(config, message):
    with pytest.raises(SpecError, match=message):
        Config.from_json(config)


def test_a_spec_of_the_current_version_stays():
    for name in SPECS:
        spec = to_dict(expected_spec(name))
        assert migrate_spec(spec) == spec


@pytest.mark.parametrize(
    ("table", "wrong"),
    [
        ("ATTENTION", {"positions": "beyond_tables", "long_axis": "max_length"}),
        ("ATTENTION", {"positions": "max_length"}),
        ("TARGETS", {"panoptic": ("sigma",), "fcos": ("ends", "radius")}),
        ("POSTPROCESS", {}),
    ],
)
def test_a_wrong_migration_is_caught(monkeypatch, table, wrong):
    data = json.loads(text())
    assert Config.from_json(json.dumps(migrate_config(data))).spec == load_checkpoint(FOLDER).config.spec
    monkeypatch.setattr(migrate, table, wrong)
    with pytest.raises(SpecError):
        Config.from_json(json.dumps(migrate_config(data)))
