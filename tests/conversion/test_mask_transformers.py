"""Mask transformers from deeplab2's checkpoints and from the authors' PyTorch files, and back bit by bit, each tensor used once."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from axialzoo.checkpoint import CheckpointError, default_config
from axialzoo.spec import adapt, get_entry, num_parameters, parameters
from axialzoo.spec.zoo.mask_labels import published_labels
from axialzoo.spec.zoo.mask_transformers import pixel_decoder
from converters import deeplab2, kmax_deeplab, kmax_deeplab_names
from converters.deeplab2_infer import infer
from converters.deeplab2_names import inexpressible, places
from tests.golden import masks
from tests.golden.masks import CASES, DATA, tensors_of

TINY = {"max": CASES["dl2_tiny_max_deeplab_65x97"], "kmax": CASES["dl2_tiny_kmax_deeplab_65x97"]}


def listed(family: str) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of a real checkpoint of theirs, optimizers and all."""
    rows = json.loads((DATA / f"tiny_{family}_tf2_checkpoint_list_variables.json").read_text())
    return {key.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE"): tuple(shape) for key, shape in rows if not key.startswith("_CHECKPOINTABLE")}


@pytest.mark.parametrize("family", TINY)
def test_each_weight_of_a_real_checkpoint_has_one_place(family):
    keys = deeplab2.sort_keys(listed(family))
    actual = {**{f"encoder/{key}": shape for key, shape in keys.encoder.items()}, **keys.head}
    actual |= {key if key.partition("/")[0] in deeplab2.MASKS else f"encoder/{key}": shape for key, shape in keys.masks.items()}
    assert keys.unknown == keys.left_out == []
    assert {place.path(): place.shape for place in places(TINY[family])} == actual
    assert len(actual) == (463 if family == "max" else 957)


@pytest.mark.parametrize("family", TINY)
def test_a_model_that_is_not_registered_is_built_from_its_tensors(family):
    spec = TINY[family]
    built = infer({place.key: place.shape for place in places(spec)})
    assert built is not None
    assert [(item.name, item.shape) for item in parameters(built)] == [(item.name, item.shape) for item in parameters(spec)]


@pytest.mark.parametrize("family", TINY)
def test_tf2_checkpoints_go_there_and_back(family, tmp_path):
    pytest.importorskip("tensorflow")
    spec, tensors = TINY[family], tensors_of(TINY[family])
    deeplab2.export_checkpoint(default_config(spec), tensors, tmp_path / "tf2")
    config, back = deeplab2.import_checkpoint(tmp_path / "tf2", spec)
    assert config.spec == spec and set(back) == set(tensors)
    assert all(back[name].tobytes() == tensors[name].tobytes() for name in tensors)
    alone, encoder = deeplab2.import_checkpoint(tmp_path / "tf2", backbone_only=True)
    assert alone.spec.backbone.memory is None and len(encoder) == 159
    left_out = alone.provenance["left_out"]
    assert isinstance(left_out, list) and len(left_out) == len(tensors) - 159


def file_of(spec, path, counts: int | None = 5) -> dict[str, np.ndarray]:
    """Writes a file as detectron2 does, with random values."""
    import torch

    random = np.random.default_rng(0)
    state = {
        item.key: torch.from_numpy(np.abs(random.standard_normal(item.shape)).astype("float32"))
        for item in kmax_deeplab_names.tensors_of(spec)
    }
    if counts is not None:
        state |= {key: torch.tensor(counts) for key in kmax_deeplab_names.counts_of(spec)}
    torch.save({"model": state}, path)
    return {key: value.numpy() for key, value in state.items()}


def test_names_and_shapes_of_their_decoders_are_theirs():
    spec = masks.tiny_kmax(origin="torch")
    theirs = {name: tuple(shape) for name, shape in masks.described("kmax_decoders_tiny")["state_dict"]}
    ours = {item.key: item.shape for item in kmax_deeplab_names.tensors_of(spec)} | dict.fromkeys(kmax_deeplab_names.counts_of(spec), ())
    assert {key: shape for key, shape in ours.items() if key.startswith("sem_seg_head.")} == theirs


@pytest.mark.parametrize("counts", [None, 5])
def test_pytorch_files_go_there_and_back(counts, tmp_path):
    import torch

    spec = narrow()
    state = file_of(spec, tmp_path / "a.pth", counts)
    config, tensors = kmax_deeplab.import_checkpoint(tmp_path / "a.pth", spec)
    assert config.spec == spec and config.provenance["code"] == "PyTorch"
    kmax_deeplab.export_checkpoint(config, tensors, tmp_path / "b.pth")
    back = torch.load(tmp_path / "b.pth", weights_only=True)["model"]
    assert set(back) == set(state)
    assert all(back[key].numpy().tobytes() == value.tobytes() for key, value in state.items())


def narrow():
    """ResNet-50 as PyTorch's code has it, an eighth as wide, with a narrow decoder."""
    spec = masks.tiny_kmax(origin="torch")
    decoder = pixel_decoder(256, (32, 16, 8, 8), (1, 2, 1, 1), origin="torch")
    return replace(spec, backbone=masks.narrow_resnet50(), head=replace(spec.head, pixel_decoder=decoder))


def test_a_file_of_the_other_code_is_refused(tmp_path):
    assert "another function" in inexpressible(get_entry("kmax_deeplab_resnet50_torch").spec)
    assert "another function" in kmax_deeplab.inexpressible(get_entry("kmax_deeplab_axial_resnet50").spec)
    file_of(narrow(), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="another function"):
        kmax_deeplab.import_checkpoint(tmp_path / "a.pth", TINY["kmax"])
    with pytest.raises(CheckpointError, match="name a model that PyTorch's code has"):
        kmax_deeplab.import_checkpoint(tmp_path / "a.pth", "kmax_deeplab_axial_resnet50")


@pytest.mark.parametrize("change", ["missing", "unknown", "misshapen"])
def test_a_tensor_too_few_or_too_many_or_of_another_shape_is_refused(change, tmp_path):
    import torch

    spec = narrow()
    file_of(spec, tmp_path / "a.pth")
    state = torch.load(tmp_path / "a.pth", weights_only=True)
    key = "sem_seg_head.predictor._mask_embedding_projection.conv.weight"
    if change == "missing":
        del state["model"][key]
    elif change == "unknown":
        state["model"][f"{key}2"] = state["model"][key]
    else:
        state["model"][key] = state["model"][key][:1]
    torch.save(state, tmp_path / "b.pth")
    with pytest.raises(CheckpointError, match=rf"{change} \(1\): {key}"):
        kmax_deeplab.import_checkpoint(tmp_path / "b.pth", spec)


def test_widths_of_the_registered_models_are_the_twins_of_one_another():
    theirs, ours = (get_entry(f"kmax_deeplab_resnet50{code}").spec for code in ("_torch", ""))
    assert num_parameters(theirs) == num_parameters(ours)


def test_names_and_shapes_of_their_five_stages_are_theirs():
    spec = get_entry("kmax_deeplab_resnet50_cityscapes_torch").spec
    actual = {item.key: item.shape for item in kmax_deeplab_names.tensors_of(spec)}
    decoder, semantic = "sem_seg_head.pixel_decoder.", "sem_seg_head.predictor._auxiliary_semantic_predictor."
    expected = {
        f"{decoder}_in_norms.3.weight": (64,),
        f"{decoder}_in_norms.4.weight": (256,),
        f"{decoder}_resized_fuses.2._conv_bn_low.conv.weight": (64, 512, 1, 1),
        f"{decoder}_resized_fuses.3._conv_bn_high.conv.weight": (32, 256, 1, 1),
        f"{semantic}0.conv.weight": (2048, 1, 5, 5),
        f"{semantic}1.norm.weight": (256,),
        f"{semantic}2.conv.bias": (19,),
    }
    assert {key: actual.get(key) for key in expected} == expected
    assert f"{decoder}_resized_fuses.2._conv_bn_high.conv.weight" not in actual
    assert len(actual) + len(kmax_deeplab_names.counts_of(spec)) == 1377


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("max_deeplab_s", "person", "rug-merged"),
        ("kmax_deeplab_resnet50_cityscapes", "person", "sky"),
        ("kmax_deeplab_resnet50_cityscapes_torch", "road", "bicycle"),
    ],
)
def test_classes_are_named_in_the_order_of_the_code(name, first, last):
    spec = get_entry(name).spec
    labels = published_labels(spec)
    assert (labels[0].name, labels[-1].name) == (first, last)
    assert tuple(index for index, label in enumerate(labels) if label.thing) == spec.head.things
    assert published_labels(adapt(spec, num_classes=3)) == ()


def test_an_imported_file_has_the_names_of_its_classes(tmp_path):
    file_of(narrow(), tmp_path / "a.pth")
    config, _ = kmax_deeplab.import_checkpoint(tmp_path / "a.pth", narrow())
    assert [config.labels[index].name for index in (0, 79, 80, 132)] == ["person", "toothbrush", "banner", "rug-merged"]
