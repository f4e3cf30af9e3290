"""The Medical Transformer's files: recognised by their tensors, every tensor used once, both ways, bit by bit; everything else refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from axialzoo.checkpoint import CheckpointError, digest, load_checkpoint
from axialzoo.image import preprocess
from axialzoo.runtime import load_runner
from axialzoo.runtime.foreign import import_foreign
from axialzoo.spec import Model, adapt, get_entry, num_parameters, parameters
from axialzoo.spec.heads.unet import UNet
from axialzoo.spec.zoo.medical_transformer import axial_unet, local_global_unet
from axialzoo.torch import load_model
from converters.axial_deeplab_names import COUNT, INDEX, flatten_index
from converters.medical_transformer import SOURCE, export_checkpoint, import_checkpoint
from converters.medical_transformer_names import entries
from tests.golden import medt

UBENCH = local_global_unet(256, num_classes=1, patches="top_left")


def state_of(spec: Model, seed: int = 0) -> dict[str, torch.Tensor]:
    """A state dict as the authors' code saves one, of random numbers."""
    random, shapes = np.random.default_rng(seed), {parameter.name: parameter.shape for parameter in parameters(spec)}
    state = {}
    for item in entries(spec):
        if item.kind == COUNT:
            state[item.name] = torch.tensor(16 if "_p." in item.name else 1)
        elif item.kind == INDEX:
            assert item.attention is not None
            state[item.name] = torch.from_numpy(flatten_index(item.attention))
        else:
            values = np.asarray(random.standard_normal(item.shape(shapes)), "float32")
            state[item.name] = torch.from_numpy(abs(values) if item.name.endswith("running_var") else values)
    return state


def assert_same(one: dict, other: dict) -> None:
    assert list(one) == list(other)
    for key, tensor in one.items():
        assert tensor.dtype == other[key].dtype and tensor.shape == other[key].shape and torch.equal(tensor, other[key]), key


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "theirs.pth"


@pytest.mark.parametrize("model", medt.SPECS)
def test_the_authors_state_dict_is_recognised_and_comes_back_bit_by_bit(path, model):
    state = {name: torch.from_numpy(np.array(array)) for name, array in medt.state(model).items()}
    torch.save(state, path)
    config, tensors = import_checkpoint(path)
    assert config.model == medt.NAMES[model] and config.provenance["source"] == SOURCE
    assert config.spec == adapt(medt.SPECS[model], in_channels=state["conv1.weight"].shape[1])
    export_checkpoint(config, tensors, path.with_name("back.pth"))
    assert_same(state, torch.load(path.with_name("back.pth"), weights_only=True))


@pytest.mark.parametrize(
    "spec",
    [UBENCH, local_global_unet(160, patches="top_left"), axial_unet(96, "gated", 3), local_global_unet(256, "axial", "axial", grid=4)],
    ids=["U-Bench", "160", "gated 96", "LoGo 256"],
)
def test_other_sizes_and_classes_are_recognised(path, spec):
    state = state_of(spec)
    torch.save({f"module.{key}": tensor for key, tensor in state.items()}, path)  # as several GPUs save it
    config, tensors = import_checkpoint(path)
    assert config.spec == spec
    export_checkpoint(config, tensors, path.with_name("back.pth"))
    assert_same(state, torch.load(path.with_name("back.pth"), weights_only=True))


def test_u_benchs_file_has_its_parameters_its_preprocessing_and_its_patches_until_told_otherwise(path, tmp_path):
    torch.save(state_of(UBENCH), path)
    config, _ = import_foreign("medical-transformer", path, tmp_path / "folder", "medical_transformer")
    assert num_parameters(config.spec) == 1_564_202
    assert config.preprocessing.size == (256, 256)
    assert "patches='top_left'" in str(config.provenance["assumed"])
    model = load_model(tmp_path / "folder")
    assert isinstance(model.spec.head, UNet) and model.spec.head.local is not None and model.spec.head.local.patches == "top_left"
    whole = load_model(tmp_path / "folder", patches="whole")
    x = torch.randn(1, 3, 64, 160)
    with torch.no_grad():
        item, other = model(x)["semantic"], whole(x)["semantic"]
    assert item.shape == (1, 1, 64, 160) and not torch.equal(item, other)
    with pytest.raises(CheckpointError, match="top left 128 x 128"):
        export_checkpoint(
            load_checkpoint(tmp_path / "folder").config.adapted(whole.spec), load_checkpoint(tmp_path / "folder").tensors, path
        )


@pytest.mark.parametrize("classes", [1, 2])
def test_an_rgb_picture_reaches_the_network_as_in_the_code_that_the_file_is_of(path, tmp_path, classes):
    """The authors: OpenCV's BGR by 255. U-Bench: albumentations' Normalize of BGR, and its data class divides by 255 once more."""
    state = {name: torch.from_numpy(np.array(array)) for name, array in medt.state("axialunet_64").items()}
    torch.save({**state, **{name: state[name][:classes] for name in ("adjust.weight", "adjust.bias")}}, path)
    import_foreign("medical-transformer", path, tmp_path / "folder")
    runner, picture = load_runner(tmp_path / "folder"), np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    bgr = picture[..., ::-1] / 255
    theirs = bgr if classes == 2 else (bgr - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225) / 255
    x = preprocess(picture, runner.config.preprocessing).transpose(1, 2, 0)
    assert np.abs(x - theirs).max() <= 1e-6
    network = load_model(tmp_path / "folder")
    with torch.no_grad():
        logits = network(torch.from_numpy(np.asarray(theirs, "float32").transpose(2, 0, 1).copy())[None])["semantic"][0]
    expected = (logits[0] >= 0 if classes == 1 else logits[1] > logits[0]).numpy()
    result = runner.predict(Image.fromarray(picture))
    assert 0.01 < expected.mean() < 0.99 and np.array_equal(result.class_map == 1, expected)
    assert not np.array_equal(
        runner.predict(Image.fromarray(picture[..., ::-1].copy())).class_map == 1, expected
    )  # planted: BGR given as RGB


def test_a_model_of_rgb_is_exported_with_a_warning(path):
    config, tensors = import_checkpoint_of(axial_unet(32))
    with pytest.warns(UserWarning, match="expects RGB, and upstream's code reads BGR"):
        export_checkpoint(config, tensors, path)


def test_the_names_with_module_before_them_are_those_of_the_record(path):
    """Shapes, order and prefix of `DataParallel(MedT(imgchan=1)).state_dict()`."""
    listed = json.loads((medt.DATA / "medt.json").read_text())["models"]["MedT_128_gray"]["state_dict"]
    spec = adapt(local_global_unet(128), in_channels=1)
    assert [name for name, _ in listed] == [item.name for item in entries(spec)]
    shapes = {parameter.name: parameter.shape for parameter in parameters(spec)}
    assert [tuple(shape) for _, shape in listed] == [item.shape(shapes) for item in entries(spec)]


def test_parameters_are_the_authors():
    assert {name: num_parameters(get_entry(name).spec) for name in ("medical_transformer", "logo_axial_unet")} == {
        "medical_transformer": 1_560_140,
        "logo_axial_unet": 1_529_532,
    }
    assert num_parameters(axial_unet(64)) == 1_321_218 and num_parameters(axial_unet(64, "gated")) == 1_321_282


def test_a_file_without_counts_and_indices_is_read_and_written_without_them(path):
    state = {key: tensor for key, tensor in state_of(axial_unet(64)).items() if not key.endswith((COUNT, INDEX))}
    torch.save(state, path)
    config, tensors = import_checkpoint(path)
    export_checkpoint(config, tensors, path)
    assert_same(state, torch.load(path, weights_only=True))


def test_the_encoder_alone_is_imported(path):
    torch.save(state_of(axial_unet(64)), path)
    config, tensors = import_checkpoint(path, backbone_only=True)
    assert config.spec.head is None and not any(name.startswith("head.") for name in tensors)
    assert "adjust.weight" in config.provenance["left_out"]  # pyright: ignore[reportOperatorIssue]  # JSON


# Refused.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("decoder3.bias"), r"missing \(1\): decoder3.bias"),
        (lambda state: state.update(extra=torch.zeros(3)), r"unknown \(1\): extra"),
        (
            lambda state: state.update({"decoder3.bias": torch.zeros(3)}),
            r"misshapen \(1\): decoder3.bias \(expected \(64,\), found \(3,\)\)",
        ),
        (lambda state: state.update({"layer1.0.hight_block.flatten_index": torch.zeros(32**2, dtype=torch.int64)}), "another index"),
        (lambda state: state.pop("adjust.weight"), "expected the tensors of one of axial_unet"),
        (lambda state: state.pop("layer1.0.hight_block.relative"), "expected the tensors of one of|2 \\* span - 1"),
        (lambda state: state.update({"bn1.weight": torch.full((8,), float("nan"))}), "not finite|nan|NaN"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(path, change, message):
    state = state_of(axial_unet(64))
    change(state)
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=message):
        import_checkpoint(path)


def test_another_models_name_is_refused(path):
    torch.save(state_of(axial_unet(64)), path)
    with pytest.raises(CheckpointError, match="expected the tensors of medical_transformer, found those of axial_unet"):
        import_checkpoint(path, "medical_transformer")


def test_a_model_that_their_code_cannot_express_is_refused(tmp_path):
    spec = get_entry("medical_transformer_xs").spec
    config, tensors = import_checkpoint_of(spec)
    with pytest.raises(CheckpointError, match="the Medical Transformer's code has no model like this"):
        export_checkpoint(config, tensors, tmp_path / "theirs.pth")
    assert not (tmp_path / "theirs.pth").exists()


def import_checkpoint_of(spec: Model):
    from axialzoo.checkpoint import default_config

    return default_config(spec), {parameter.name: np.zeros(parameter.shape, "float32") for parameter in parameters(spec)}


# Planted errors.


@pytest.mark.parametrize("layer", ["layer1.0.width_block.f_qr", "layer2_p.1.conv1.weight", "adjust_p.bias", "decoder5_p.weight"])
def test_each_tensor_reaches_a_place_of_its_own(path, layer):
    state = state_of(local_global_unet(64, grid=2))
    torch.save(state, path)
    before = digest(import_checkpoint(path)[1])
    torch.save({**state, layer: state[layer] + 1}, path)
    assert digest(import_checkpoint(path)[1]) != before
