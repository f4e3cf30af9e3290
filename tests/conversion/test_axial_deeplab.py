"""The authors' files: every tensor used once, both ways, bit by bit; everything else refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axialzoo.checkpoint import CheckpointError, Config, digest
from axialzoo.spec import get_entry, parameters
from converters.axial_deeplab import SOURCE, export_checkpoint, import_checkpoint
from converters.axial_deeplab_names import attention_of, flatten_index, foreign_shapes, their_order
from tests.strategies import csr_specs, preprocessing_of, specs, weights

quick = settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
NAMES = ("axial_resnet26_s", "axial_resnet50_s", "axial_resnet50_m", "axial_resnet50_l")


def state_of(spec, seed: int = 0, batches: int = 7) -> dict[str, torch.Tensor]:
    """A state dict as the authors' code saves one, of random numbers."""
    generator = torch.Generator().manual_seed(seed)
    indices = {
        layer.replace("height", "hight_block").replace("width", "width_block"): spec_of for layer, spec_of in attention_of(spec).items()
    }
    tables = iter(indices.values())
    state = {}
    for key in their_order(spec):
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(batches)
        elif key.endswith("flatten_index"):
            state[key] = torch.from_numpy(flatten_index(next(tables)))
        else:
            state[key] = torch.randn(foreign_shapes(spec)[key], generator=generator)
    return state


def assert_same(one: dict, other: dict) -> None:
    assert list(one) == list(other)
    for key, tensor in one.items():
        assert tensor.dtype == other[key].dtype and tensor.shape == other[key].shape, key
        assert tensor.numpy().tobytes() == other[key].numpy().tobytes(), key


@given(spec=csr_specs(), seed=st.integers(0, 2**31), batches=st.integers(0, 2**40))
@quick
def test_their_file_comes_back_bit_by_bit(tmp_path_factory, spec, seed, batches):
    folder = tmp_path_factory.mktemp("csr")
    state = state_of(spec, seed, batches)
    torch.save(state, folder / "theirs.pth")
    config, tensors = import_checkpoint(folder / "theirs.pth", spec)
    assert config.spec == spec and config.provenance["num_batches_tracked"] == batches
    export_checkpoint(config, tensors, folder / "back.pth")
    assert_same(state, torch.load(folder / "back.pth", weights_only=True))


@given(spec=csr_specs(), seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from(("float32", "float16", "float64")))
@quick
def test_our_weights_come_back_bit_by_bit(tmp_path_factory, spec, seed, dtype):
    path = tmp_path_factory.mktemp("csr") / "theirs.pth"
    tensors = weights(spec, seed, dtype)
    export_checkpoint(Config("custom", spec, (), preprocessing_of(spec)), tensors, path)
    assert digest(import_checkpoint(path, spec)[1]) == digest(tensors)


@given(spec=specs())
@quick
def test_a_model_that_their_code_cannot_express_is_refused(tmp_path_factory, spec):
    path = tmp_path_factory.mktemp("csr") / "theirs.pth"
    with pytest.raises(CheckpointError, match="the authors' code has no model like this"):
        export_checkpoint(Config("custom", spec, (), preprocessing_of(spec)), weights(spec, 0), path)
    assert not path.exists()


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return state_of(get_entry("axial_resnet26_s").spec)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "theirs.pth"


def test_a_training_checkpoint_with_module_before_its_names_is_the_same(state, path):
    torch.save(state, path)
    expected = digest(import_checkpoint(path)[1])
    prefixed = {f"module.{key}": tensor for key, tensor in state.items()}
    optimizer = {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    for wrapper in ("net", "state_dict", "model"):
        torch.save({wrapper: prefixed, "optim": optimizer, "epoch": 130}, path)
        config, tensors = import_checkpoint(path)
        assert digest(tensors) == expected
        assert config.model == "axial_resnet26_s" and config.provenance["source"] == SOURCE
    torch.save({"net": state}, path, _use_new_zipfile_serialization=False)  # as in 2020
    assert digest(import_checkpoint(path)[1]) == expected


@pytest.mark.parametrize("name", NAMES)
def test_the_model_is_recognised_by_its_shapes(name):
    """All four differ from each other in at least one name or shape."""
    shapes = {other: foreign_shapes(get_entry(other).spec) for other in NAMES}
    assert [other for other in NAMES if shapes[other] == shapes[name]] == [name]
    assert (
        sum(int(np.prod(shape)) for key, shape in shapes[name].items() if "running" not in key) == get_entry(name).published["parameters"]
    )


def test_the_names_and_shapes_are_those_of_the_authors_code(state):
    """From the golden record of their own state_dict, in order."""
    import json

    record = Path(__file__).parent.parent / "golden" / "data" / "csr_axial26s_224.json"
    theirs = json.loads(record.read_text())["state_dict"]
    assert [entry["name"] for entry in theirs] == list(state)
    assert [tuple(entry["shape"]) for entry in theirs] == [tuple(tensor.shape) for tensor in state.values()]


@pytest.mark.parametrize("classes", [0, 10])
def test_another_classifier_or_none_is_the_files_own(state, path, classes):
    changed = {key: tensor for key, tensor in state.items() if not key.startswith("fc.")}
    if classes:
        changed |= {"fc.weight": torch.randn(classes, 1024), "fc.bias": torch.randn(classes)}
    torch.save(changed, path)
    config, tensors = import_checkpoint(path)
    assert config.model == "axial_resnet26_s" and config.spec.num_classes == classes
    assert set(tensors) == {parameter.name for parameter in parameters(config.spec)}


def test_different_counts_of_batches_come_back_too(state, path):
    counts = iter(range(1000))
    changed = {key: torch.tensor(next(counts)) if key.endswith("tracked") else tensor for key, tensor in state.items()}
    torch.save(changed, path)
    config, tensors = import_checkpoint(path)
    export_checkpoint(config, tensors, path)
    assert_same(changed, torch.load(path, weights_only=True))


def planted(state: dict, what: str) -> dict:
    """`state` with an error, by name."""
    changed = dict(state)
    key = "layer1.0.hight_block.relative"
    if what == "a tensor is missing":
        del changed["layer2.1.width_block.qkv_transform.weight"]
    elif what == "a tensor is unknown":
        changed["layer2.1.width_block.f_qr"] = torch.tensor(0.1)
    elif what == "a tensor is renamed":
        changed["layer1.0.height_block.relative"] = changed.pop(key)
    elif what == "a tensor is duplicated":
        changed["layer1.0.hight_block.relative2"] = changed[key]
    elif what == "a table is of another size":
        changed[key] = torch.randn(16, 127)
    elif what == "the index is reversed":
        index = "layer1.0.hight_block.flatten_index"
        changed[index] = changed[index].flip(0).contiguous() * 0 + changed[index].reshape(56, 56).T.reshape(-1)
    elif what == "one index is missing":
        del changed["layer1.0.hight_block.flatten_index"]
    elif what == "the index is of another size":
        changed["layer1.0.hight_block.flatten_index"] = torch.zeros(3, dtype=torch.int64)
    elif what == "a count is a fraction":
        changed["bn1.num_batches_tracked"] = torch.tensor(0.5)
    elif what == "a count is missing":
        del changed["bn1.num_batches_tracked"]
    elif what == "half of the classifier":
        del changed["fc.bias"]
    elif what == "a value is NaN":
        changed[key] = torch.full_like(changed[key], torch.nan)
    elif what == "a tensor is double":
        changed[key] = changed[key].double()
    elif what == "module before some names":
        changed = {f"module.{key}" if key.startswith("fc") else key: tensor for key, tensor in state.items()}
    return changed


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("a tensor is missing", r"missing \(1\): layer2\.1\.width_block\.qkv_transform\.weight"),
        ("a tensor is unknown", r"unknown \(1\): layer2\.1\.width_block\.f_qr"),
        ("a tensor is renamed", r"missing \(1\): layer1\.0\.hight_block\.relative\n  unknown \(1\): layer1\.0\.height_block\.relative"),
        ("a tensor is duplicated", r"unknown \(1\): layer1\.0\.hight_block\.relative2"),
        ("a table is of another size", r"misshapen \(1\): layer1\.0\.hight_block\.relative \(expected \(16, 111\), found \(16, 127\)\)"),
        ("the index is reversed", r"flatten_index: expected key - query \+ 55"),
        ("one index is missing", r"partly there \(1\): layer1\.0\.hight_block\.flatten_index"),
        ("the index is of another size", r"flatten_index: expected key - query"),
        ("a count is a fraction", r"bn1\.num_batches_tracked: expected whole numbers"),
        ("a count is missing", r"partly there \(1\): bn1\.num_batches_tracked"),
        ("half of the classifier", r"missing \(1\): fc\.bias"),
        ("a value is NaN", r"not finite \(3\)"),
        ("a tensor is double", r"of the wrong dtype \(3\)"),
        ("module before some names", r"before 2 of"),
    ],
)
def test_a_planted_error_is_caught(state, path, what, message):
    torch.save(planted(state, what), path)
    for model in (None, "axial_resnet26_s"):
        with pytest.raises(CheckpointError, match=message):
            import_checkpoint(path, model)


def test_the_name_of_another_model_is_refused(state, path):
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"missing \(\d+\): layer1\.1"):
        import_checkpoint(path, "axial_resnet50_s")
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="of none of the known models"):
        import_checkpoint(path)


def test_swapped_rows_of_queries_and_keys_are_caught_by_the_way_back(state, path, monkeypatch):
    """A converter that takes keys for queries reads its own files back right; only the known answer shows it."""
    import converters.axial_deeplab_names as converter

    torch.save(state, path)
    right = digest(import_checkpoint(path)[1])
    rows = converter.qkv_rows

    def swapped(spec):
        q, k, v = np.split(rows(spec), [spec.key_channels, 2 * spec.key_channels])
        return np.concatenate([k, q, v])

    monkeypatch.setattr(converter, "qkv_rows", swapped)
    config, tensors = import_checkpoint(path)
    assert digest(tensors) != right
    export_checkpoint(config, tensors, path)
    assert_same(state, torch.load(path, weights_only=True))  # there and back alone would not have seen it
