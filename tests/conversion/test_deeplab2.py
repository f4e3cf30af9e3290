"""deeplab2's TF2 checkpoints: every tensor used once, both ways, bit by bit; everything else refused."""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from axialzoo.checkpoint import CheckpointError, default_config
from axialzoo.spec import SpecError, adapt, get_entry, list_models, parameters
from axialzoo.spec.heads.panoptic import Decoder, Panoptic, Skip
from converters import deeplab2, deeplab2_names, tf2
from converters.deeplab2 import export_checkpoint, import_checkpoint, infer, shapes_of, sort_keys
from tests.golden import panoptic
from tests.golden.deeplab2 import DATA, NETWORKS, TINY, TINY_SPEC
from tests.spec.deeplab2 import NARROW
from tests.strategies import weights

pytest.importorskip("tensorflow")

SMALL = NARROW["axial_deeplab"]
THEIRS = NETWORKS["dl2_tiny_panoptic_axial_deeplab_65x97"]


def read_arrays(spec, prefix: str = "encoder/", seed: int = 0) -> dict[str, np.ndarray]:
    """Random weights as their checkpoints have them."""
    random = np.random.default_rng(seed)
    return {place.path(prefix): random.standard_normal(place.shape).astype("float32") for place in deeplab2_names.places(spec)}


def read(folder: Path) -> dict[str, np.ndarray]:
    with tf2.opened(folder) as checkpoint:
        return {key: checkpoint.read(key) for key in checkpoint.shapes}


def assert_same(one: dict, other: dict) -> None:
    assert set(one) == set(other)
    for key, array in one.items():
        assert array.dtype == other[key].dtype and array.shape == other[key].shape and array.tobytes() == other[key].tobytes(), key


# A checkpoint that their code wrote.


@pytest.fixture(scope="module")
def tiny():
    return import_checkpoint(TINY, backbone_only=True)


def test_their_checkpoint_is_recognised_though_no_registered_model(tiny):
    config, tensors = tiny
    assert config.spec == TINY_SPEC and config.model == "custom" and "ReLU" in config.provenance["assumed"]
    assert config.preprocessing.mean == config.preprocessing.std == (0.5,) * 3
    assert_same(tensors, THEIRS.tensors)  # whose endpoints the golden tests compare with theirs


def test_what_is_left_out_is_named_and_is_all_but_the_encoder_and_the_optimizer(tiny):
    listed = {key.removesuffix(tf2.SUFFIX) for key, _ in json.loads((DATA / "tiny_tf2_checkpoint_list_variables.json").read_text())}
    left_out = set(tiny[0].provenance["left_out"])
    assert len(left_out) == 106 and left_out < listed
    assert {key.partition("/")[0] for key in listed - left_out} == {"encoder", "optimizer", "global_step", "save_counter", tf2.GRAPH}


def test_their_checkpoint_is_imported_and_written_back_whole(tmp_path):
    config, tensors = import_checkpoint(TINY)
    assert config.spec == panoptic.SPEC and "left_out" not in config.provenance and "no class a thing" in config.provenance["assumed"]
    assert_same(tensors, panoptic.tensors())  # whose maps the golden tests compare with theirs
    export_checkpoint(config, tensors, tmp_path / "back")
    theirs = {key: array for key, array in read(TINY).items() if not deeplab2.NOT_WEIGHTS.fullmatch(key)}
    assert len(theirs) == 346
    assert_same(read(tmp_path / "back"), theirs)


def test_a_wrong_place_in_a_head_is_caught(monkeypatch):
    swapped = {"center.mix": deeplab2_names.ITEMS["offset.mix"], "offset.mix": deeplab2_names.ITEMS["center.mix"]}
    monkeypatch.setattr(deeplab2_names, "ITEMS", {**deeplab2_names.ITEMS, **swapped})
    with pytest.raises(AssertionError):
        assert_same(import_checkpoint(TINY, panoptic.SPEC)[1], panoptic.tensors())


def test_other_heads_are_refused_by_name(tmp_path):
    tf2.write_checkpoint(tmp_path / "depth", {**read_arrays(SMALL), "depth_head_last_layer/kernel": np.zeros((1, 1, 4, 1), "float32")})
    with pytest.raises(CheckpointError, match=r"depth_head_last_layer \(1\).*--backbone-only"):
        import_checkpoint(tmp_path / "depth")


@pytest.mark.parametrize("name", list_models("axial_deeplab_*_backbone"))
def test_every_panoptic_model_has_a_place_for_each_tensor(name):
    name = name.removesuffix("_backbone")
    spec = get_entry(name).spec
    shapes = shapes_of(spec)
    assert len(shapes) == len(parameters(spec))
    checkpoint = tf2.TF2Checkpoint(Path("ckpt-1"), {}, lambda key: np.zeros(0))
    assert deeplab2._recognise(Path("download"), checkpoint, shapes, None) == (name, spec)


def test_a_head_without_instances_and_with_a_pyramid_comes_back_with_the_files_classes(tmp_path):
    head = Panoptic(7, (), Decoder(8, 12, (6, 12, 18), (Skip(8, 6), Skip(4, 4)), 0.1), 8, None)
    spec = replace(SMALL, head=head)
    tf2.write_checkpoint(tmp_path / "theirs", read_arrays(spec))
    config, tensors = import_checkpoint(tmp_path / "theirs")
    assert config.spec.head == head and "6, 12 and 18" in config.provenance["assumed"]
    export_checkpoint(config, tensors, tmp_path / "back")
    assert_same(read(tmp_path / "back"), read_arrays(spec))
    other = replace(spec, head=replace(head, num_classes=19, things=(11, 12)))
    assert import_checkpoint(tmp_path / "theirs", other)[0].spec.head == head  # 7 classes, of which nobody says that they are things


def test_a_named_panoptic_model_takes_a_whole_file_or_says_what_is_missing(tmp_path):
    tf2.write_checkpoint(tmp_path / "theirs", read_arrays(get_entry("axial_deeplab_s").spec))
    config, _ = import_checkpoint(tmp_path / "theirs", "axial_deeplab_s")
    assert config.spec == get_entry("axial_deeplab_s").spec and config.labels[11].name == "person" and config.labels[11].thing
    assert import_checkpoint(tmp_path / "theirs", "axial_deeplab_s", backbone_only=True)[0].model == "axial_deeplab_s_backbone"
    with pytest.raises(CheckpointError, match=r"not those of axial_deeplab_s_backbone.*unknown \(106\)"):
        import_checkpoint(tmp_path / "theirs", "axial_deeplab_s_backbone")
    tf2.write_checkpoint(tmp_path / "alone", read_arrays(get_entry("axial_deeplab_s_backbone").spec))
    with pytest.raises(CheckpointError, match=r"not those of axial_deeplab_s; .*missing \(106\)"):
        import_checkpoint(tmp_path / "alone", "axial_deeplab_s")


def test_it_is_written_back_bit_by_bit_and_their_code_can_read_it(tiny, tmp_path):
    import tensorflow as tf

    export_checkpoint(*tiny, tmp_path / "back")
    theirs = {key: array for key, array in read(TINY).items() if key.startswith("encoder/") and "OPTIMIZER_SLOT" not in key}
    assert_same(read(tmp_path / "back"), theirs)
    assert tf.train.latest_checkpoint(str(tmp_path / "back")) == str(tmp_path / "back" / "ckpt-0")
    encoder = tf.Module()
    encoder._stem = tf.Module()
    encoder._stem._conv3_bn = tf.Module()
    encoder._stem._conv3_bn._conv = tf.Module()
    encoder._stem._conv3_bn._conv.kernel = tf.Variable(tf.zeros((3, 3, 16, 32)))
    tf.train.Checkpoint(encoder=encoder).read(str(tmp_path / "back" / "ckpt-0")).assert_existing_objects_matched()
    assert np.array_equal(encoder._stem._conv3_bn._conv.kernel, theirs["encoder/_stem/_conv3_bn/_conv/kernel"])


def test_a_wrong_place_is_caught(monkeypatch):
    swapped = {"height": deeplab2_names.SEGMENTS["width"], "width": deeplab2_names.SEGMENTS["height"]}
    monkeypatch.setattr(deeplab2_names, "SEGMENTS", {**deeplab2_names.SEGMENTS, **swapped})
    _, tensors = import_checkpoint(TINY, TINY_SPEC, backbone_only=True)
    with pytest.raises(AssertionError):
        assert_same(tensors, THEIRS.tensors)


# Every family.


@pytest.mark.parametrize("family", NARROW)
def test_every_family_comes_back_bit_by_bit(family, tmp_path):
    spec = NARROW[family]
    tf2.write_checkpoint(tmp_path / "theirs", read_arrays(spec))
    config, tensors = import_checkpoint(tmp_path / "theirs", spec)
    assert config.spec == spec
    export_checkpoint(config, tensors, tmp_path / "back")
    assert_same(read(tmp_path / "back"), read_arrays(spec))


@pytest.mark.parametrize("family", NARROW)
def test_a_scaled_backbone_is_inferred_from_its_shapes(family):
    actual = infer(shapes_of(NARROW[family]))
    assert actual is not None and shapes_of(actual) == shapes_of(NARROW[family])


@pytest.mark.parametrize(
    "name",
    [name for name in list_models(task="classification") if not deeplab2_names.inexpressible(adapt(get_entry(name).spec, num_classes=0))],
)
def test_every_registered_backbone_has_a_place_for_each_tensor(name):
    spec = adapt(get_entry(name).spec, num_classes=0)
    places = list(deeplab2_names.places(spec))
    assert len({place.key for place in places}) == len(places) == len({place.name for place in places})
    same = [other for other in list_models(task="classification") if _shapes(other) == shapes_of(spec)]
    assert name in same and (len(same) == 1 or set(same) == {"max_deeplab_s_backbone", "axial_resnet50_gelu"})


def _shapes(name: str):
    spec = adapt(get_entry(name).spec, num_classes=0)
    return None if deeplab2_names.inexpressible(spec) else shapes_of(spec)


def test_half_precision_and_other_image_channels_come_back(tmp_path):
    spec = adapt(SMALL, in_channels=7)
    arrays = {key: array.astype("float16") for key, array in read_arrays(spec).items()}
    tf2.write_checkpoint(tmp_path / "theirs", arrays)
    config, tensors = import_checkpoint(tmp_path / "theirs")
    assert config.spec == spec and len(config.preprocessing.mean) == 7
    export_checkpoint(config, tensors, tmp_path / "back")
    assert_same(read(tmp_path / "back"), arrays)


@pytest.mark.parametrize("call", [{"folder": "max_deeplab_s_backbone_x"}, {"folder": "axial-resnet50-gelu"}, {}])
def test_models_that_tensors_do_not_tell_apart_are_told_by_name(call, tmp_path):
    folder = tmp_path / call.get("folder", "download")
    actual = shapes_of(get_entry("max_deeplab_s_backbone").spec)
    checkpoint = tf2.TF2Checkpoint(folder / "ckpt-1", {}, lambda key: np.zeros(0))
    if call:
        assert deeplab2._recognise(folder, checkpoint, actual, None)[0] in folder.name.replace("-", "_")
    else:
        with pytest.raises(CheckpointError, match=r"max_deeplab_s_backbone and of axial_resnet50_gelu.*--model"):
            deeplab2._recognise(folder, checkpoint, actual, None)
    assert deeplab2._recognise(folder, checkpoint, actual, "axial_resnet50_gelu")[0] == "axial_resnet50_gelu"


# What else a file holds.


def test_the_model_gardens_prefix_and_its_classifier(tmp_path):
    arrays = read_arrays(SMALL, "backbone/_encoder/") | {"model/_head/kernel": np.zeros((4, 2), "float32")}
    tf2.write_checkpoint(tmp_path / "garden", arrays)
    with pytest.raises(CheckpointError, match=r"model \(1\)|model/_head \(1\)"):
        import_checkpoint(tmp_path / "garden")
    config, tensors = import_checkpoint(tmp_path / "garden", backbone_only=True)
    assert config.provenance["left_out"] == ["model/_head/kernel"] and len(tensors) == len(shapes_of(SMALL))


def test_what_is_no_weight_is_a_closed_list():
    known = ["global_step", "save_counter", "optimizer/iter", "backbone_optimizer/iter", "encoder/a/kernel/.OPTIMIZER_SLOT/optimizer/m"]
    heads = [
        "encoder/memory_feature",
        "encoder/_stage4/_block2_transformer/_attention/kernel",
        "encoder/_stage5_extra/_block1/_conv1_bn_act/_conv/kernel",
        "encoder/_decoder_stage1_extra_resized_fuse/_resized_conv_bn1/_conv/kernel",
        "encoder/_class_feature_extra/_conv/kernel",
        "motion_regression_head_last_layer/bias",
        "transformer_mask_head/_conv/kernel",
    ]
    unknown = ["encoder_2/a", "global_steps", "semantic_decoders/a", "model/kernel", "save_counter/a"]
    panoptic_head = "instance_center_head_last_layer/bias"
    keys = sort_keys(dict.fromkeys([*known, *heads, panoptic_head, *unknown, "encoder/_stem/_conv/kernel"], ()))
    assert list(keys.head) == [panoptic_head]
    assert list(keys.encoder) == ["_stem/_conv/kernel"] and keys.unknown == sorted(unknown)
    assert keys.left_out == ["motion_regression_head_last_layer/bias"]
    assert sorted(keys.masks) == sorted(name.removeprefix("encoder/") for name in heads if name not in keys.left_out)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("encoder/_stage2/_block1/_conv3_bn/_conv/kernel"), r"missing \(1\): _stage2/_block1/_conv3_bn/_conv/kernel"),
        (lambda a: a.update({"encoder/_stage9/kernel": np.zeros(2, "float32")}), r"unknown \(1\): _stage9/kernel"),
        (lambda a: a.update({"encoder/_stage2/_block1/_conv3_bn/_conv/kernel": np.zeros((1, 1, 4, 5), "float32")}), r"misshapen \(1\)"),
        (lambda a: a.update({"decoder/kernel": np.zeros(2, "float32")}), r"unknown \(1\): decoder/kernel"),
        (lambda a: a.update({"encoder/_stem/_conv3_bn/_batch_norm/beta": np.zeros(16, "float64")}), "wrong dtype"),
        (lambda a: a.update({"encoder/_stem/_conv3_bn/_batch_norm/beta": np.full(16, np.nan, "float32")}), "not finite"),
        (lambda a: a.clear() or a.update(global_step=np.zeros((), "int64")), "none"),
    ],
)
def test_a_file_of_another_model_is_refused(change, message, tmp_path):
    arrays = read_arrays(SMALL)
    change(arrays)
    tf2.write_checkpoint(tmp_path / "theirs", arrays)
    with pytest.raises(CheckpointError, match=message):
        import_checkpoint(tmp_path / "theirs", SMALL)


def test_no_model_at_all_names_the_nearest(tmp_path):
    arrays = read_arrays(SMALL) | {"encoder/_stage9/kernel": np.zeros(2, "float32")}
    tf2.write_checkpoint(tmp_path / "theirs", arrays)
    with pytest.raises(CheckpointError, match=r"none of the known models \(axial_resnet_s.*nearest is .*--model"):
        import_checkpoint(tmp_path / "theirs")
    with pytest.raises(SpecError, match="axial_resnet_x"):
        import_checkpoint(tmp_path / "theirs", "axial_resnet_x")


@pytest.mark.parametrize("name", ["axial_resnet26_s", "axial_resnet_cifar10"])
def test_a_model_their_code_cannot_express_is_refused(name, tmp_path):
    spec = get_entry(name).spec
    with pytest.raises(CheckpointError, match="deeplab2 has no model like this"):
        export_checkpoint(default_config(spec, name), weights(spec, 0, "float32"), tmp_path / "x")
    with pytest.raises(CheckpointError, match=f"deeplab2 has no model like {name}"):
        import_checkpoint(TINY, name, backbone_only=True)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("change", [{"span": 65}, {"num_classes": 5}])
def test_what_their_code_would_compute_otherwise_is_not_exported(change, tmp_path):
    spec = adapt(SMALL, **change)
    with pytest.raises(CheckpointError, match="deeplab2 has no model like this"):
        export_checkpoint(default_config(spec), weights(spec, 0, "float32"), tmp_path / "x")


# Folders, archives and damage.


def copy(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        for suffix in (".index", ".data-00000-of-00001"):
            shutil.copyfile(TINY / f"ckpt-1000{suffix}", folder / f"{name}{suffix}")
    return folder


def test_of_several_checkpoints_the_file_checkpoint_names_one(tmp_path):
    folder = copy(tmp_path / "runs", "ckpt-1", "ckpt-2")
    with pytest.raises(CheckpointError, match=r"expected one .*found ckpt-1\.index, ckpt-2\.index"):
        import_checkpoint(folder, backbone_only=True)
    (folder / "checkpoint").write_text('model_checkpoint_path: "/elsewhere/ckpt-9"\n')
    with pytest.raises(CheckpointError, match="checkpoint names 'ckpt-9'"):
        import_checkpoint(folder, backbone_only=True)
    (folder / "checkpoint").write_text('model_checkpoint_path: "/elsewhere/ckpt-2"\n')
    assert import_checkpoint(folder, backbone_only=True)[0].provenance["checkpoint"] == "ckpt-2"
    for name in ("ckpt-1", "ckpt-1.index"):
        assert import_checkpoint(folder / name, backbone_only=True)[0].provenance["checkpoint"] == "ckpt-1"


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_an_archive_is_read_like_its_folder(mode, tmp_path):
    archive = tmp_path / ("tiny.tar.gz" if mode == "w:gz" else "tiny.tar")
    with tarfile.open(archive, mode) as file:
        file.add(TINY, "tiny")
    assert_same(import_checkpoint(archive, backbone_only=True)[1], THEIRS.tensors)


@pytest.mark.parametrize("where", ["absent", "empty", "no data"])
def test_what_is_not_there_is_said(where, tmp_path):
    path = tmp_path / "ckpt-1"
    if where != "absent":
        path = copy(tmp_path / "folder", *["ckpt-1"] * (where == "no data"))
        (path / "ckpt-1.data-00000-of-00001").unlink(missing_ok=True)
    with pytest.raises(CheckpointError, match="expected"):
        import_checkpoint(path)


@pytest.mark.parametrize("file", ["ckpt-1.index", "ckpt-1.data-00000-of-00001"])
@pytest.mark.parametrize("how", ["cut", "flipped", "empty"])
def test_damage_is_refused(file, how, tmp_path):
    folder = copy(tmp_path / "folder", "ckpt-1")
    data = bytearray((folder / file).read_bytes())
    if how == "flipped":
        data[len(data) // 3] ^= 16
    (folder / file).write_bytes({"cut": data[: len(data) // 2], "flipped": data, "empty": b""}[how])
    with pytest.raises(CheckpointError, match=r"damaged|larger than the file|expected"):
        import_checkpoint(folder, backbone_only=True)


def test_without_tensorflow_the_package_to_install_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ModuleNotFoundError, match=r"axialzoo\[keras-tensorflow\]"):
        import_checkpoint(TINY)


def test_nothing_is_left_where_writing_fails(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(tf2.os, "replace", lambda *paths: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        export_checkpoint(*tiny, tmp_path / "back")
    assert not list(tmp_path.iterdir())
    config, tensors = tiny
    with pytest.raises(CheckpointError, match="missing"):
        export_checkpoint(replace(config), {name: array for name, array in list(tensors.items())[1:]}, tmp_path / "back")
