"""Errors that conversions really make, planted one by one; each test says which check catches it.

A permuted tensor has the right name and shape. In a file, its digest gives it away; where a converter makes the error and
then computes the digest itself, the outputs do.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from axialzoo.checkpoint import CheckpointError, Config, check_tensors, digest, load_checkpoint, to_metadata, write_safetensors
from axialzoo.torch import build, load_tensors
from axialzoo.torch.weights import describe, to_tensors
from tests.conversion import small

TOLERANCE = 1e-6  # absolute; the same tensors give the same bits, the smallest planted error moves the logits by 1e-3
ATTENTION = "stages.0.blocks.0.height"


def transposed_classifier(tensors: dict) -> None:
    tensors["head.fc.weight"] = tensors["head.fc.weight"].T.copy()


def transposed_kernel(tensors: dict) -> None:
    name = "stem.0.conv.weight"  # 3 x 3, so its shape does not tell
    tensors[name] = tensors[name].transpose(0, 1, 3, 2).copy()


def swapped_queries_and_keys(tensors: dict) -> None:
    name = f"{ATTENTION}.qkv.weight"
    q, k, v = np.split(tensors[name], [4, 8])
    tensors[name] = np.concatenate([k, q, v])


def reversed_table(tensors: dict) -> None:
    tensors[f"{ATTENTION}.value_position"] = tensors[f"{ATTENTION}.value_position"][::-1].copy()


def mean_for_variance(tensors: dict) -> None:
    name = f"{ATTENTION}.norm_qkv"
    swapped = np.abs(tensors[f"{name}.running_mean"]) + np.float32(0.5), tensors[f"{name}.running_var"]
    tensors[f"{name}.running_var"], tensors[f"{name}.running_mean"] = swapped


def interleaved_output_norm(tensors: dict) -> None:
    name = f"{ATTENTION}.norm_output.weight"
    tensors[name] = tensors[name].reshape(2, -1).T.reshape(-1).copy()


def logits(tensors: dict) -> torch.Tensor:
    model = build(small.SPEC).eval()
    load_tensors(model, tensors)
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 16, 16)).astype(np.float32))
    with torch.no_grad():
        return model(x)


PERMUTATIONS: list[Callable[[dict], None]] = [
    transposed_kernel,
    transposed_classifier,
    swapped_queries_and_keys,
    reversed_table,
    mean_for_variance,
    interleaved_output_norm,
]


@pytest.mark.parametrize("plant", PERMUTATIONS)
def test_a_permuted_tensor_that_fits_is_caught_by_the_digest(tmp_path, plant):
    config = small.write_folder(tmp_path)
    tensors = small.tensors()
    plant(tensors)
    check_tensors(tensors, small.SPEC, where="names, shapes and dtypes")  # do not see it
    write_safetensors(tmp_path / "model.safetensors", tensors, to_metadata(config))
    with pytest.raises(CheckpointError, match="the weights are not those that the config describes"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("plant", PERMUTATIONS)
def test_a_permuted_tensor_with_a_new_digest_is_caught_by_the_outputs(plant):
    tensors = small.tensors()
    right = logits(tensors)
    assert (logits(small.tensors()) - right).abs().max() <= TOLERANCE
    plant(tensors)
    assert (logits(tensors) - right).abs().max() > 1000 * TOLERANCE


def test_a_dropped_tensor_is_refused_by_name(tmp_path):
    tensors = small.tensors()
    config = small.write_folder(tmp_path)
    del tensors["head.fc.bias"]
    write_safetensors(tmp_path / "model.safetensors", tensors, to_metadata(config))
    with pytest.raises(CheckpointError, match=r"missing \(1\): head\.fc\.bias"):
        load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match=r"missing \(1\): head\.fc\.bias"):
        load_tensors(build(small.SPEC), tensors)


def test_a_duplicated_tensor_is_refused_by_name(tmp_path):
    config = small.write_folder(tmp_path)
    tensors = {**small.tensors(), "head.fc.bias_copy": small.tensors()["head.fc.bias"]}
    write_safetensors(tmp_path / "model.safetensors", tensors, to_metadata(config))
    with pytest.raises(CheckpointError, match=r"left over \(1\): head\.fc\.bias_copy"):
        load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match=r"left over \(1\): head\.fc\.bias_copy"):
        load_tensors(build(small.SPEC), tensors)


def test_a_renamed_tensor_is_refused_under_both_names():
    tensors = small.tensors()
    tensors["head.fc.biases"] = tensors.pop("head.fc.bias")
    with pytest.raises(CheckpointError) as refusal:
        load_tensors(build(small.SPEC), tensors)
    assert "missing (1): head.fc.bias" in str(refusal.value)
    assert "left over (1): head.fc.biases; did you mean 'head.fc.bias'?" in str(refusal.value)


def test_the_refusal_lists_everything_that_is_wrong_at_once():
    tensors = small.tensors()
    names = sorted(tensors)
    del tensors[names[0]]
    tensors["surplus"] = np.zeros(1, np.float32)
    tensors[names[1]] = np.zeros((7, 7), np.float32)
    tensors[names[2]] = tensors[names[2]].astype(np.float64)
    tensors[names[3]] = np.zeros(tensors[names[3]].shape, np.int32)
    with pytest.raises(CheckpointError) as refusal:
        check_tensors(tensors, small.SPEC, where="x")
    text = str(refusal.value)
    for expected in (
        f"missing (1): {names[0]}",
        "left over (1): surplus",
        f"misshapen (1): {names[1]} (expected",
        f"{names[2]} (expected F32, found F64)",
        f"{names[3]} (expected F32, found int32)",
    ):
        assert expected in text, expected


def test_nothing_is_loaded_when_one_tensor_is_refused():
    model = build(small.SPEC)
    before = digest({name: array.copy() for name, array in to_tensors(model).items()})
    tensors = small.tensors()
    tensors[sorted(tensors)[-1]] = np.zeros(99, np.float32)
    with pytest.raises(CheckpointError):
        load_tensors(model, tensors)
    tensors = small.tensors()
    tensors[sorted(tensors)[-1]][...] = np.nan
    with pytest.raises(CheckpointError, match="not finite"):
        load_tensors(model, tensors)
    assert digest(to_tensors(model)) == before


def test_a_dtype_that_the_model_cannot_hold_is_refused_and_one_that_it_can_is_exact():
    wide = small.tensors(dtype="float64")
    with pytest.raises(CheckpointError, match=r"float64 into torch\.float32"):
        load_tensors(build(small.SPEC), wide)
    model = build(small.SPEC).double()
    load_tensors(model, wide)
    assert digest(to_tensors(model)) == digest(wide)
    narrow = small.tensors(dtype="float16")
    load_tensors(model, narrow)
    assert all(np.array_equal(array, narrow[name]) for name, array in to_tensors(model).items())
    with pytest.raises(CheckpointError, match="bfloat16"):
        to_tensors(build(small.SPEC).bfloat16())


def test_a_wrong_epsilon_is_caught_by_the_config(tmp_path):
    """A config changed in one number: its own digest says so; with that line removed, the copy in the weights does."""
    config = small.write_folder(tmp_path)
    path = tmp_path / "config.json"
    text = path.read_text()
    path.write_text(text.replace('"epsilon": 1e-05', '"epsilon": 0.001'))
    with pytest.raises(CheckpointError, match="was changed since it was written"):
        load_checkpoint(tmp_path)
    lines = [line for line in path.read_text().splitlines() if "config_digest" not in line]
    path.write_text("\n".join(lines).replace(f'"digest": "{config.digest}",\n}}', f'"digest": "{config.digest}"\n}}'))
    with pytest.raises(CheckpointError, match="differ in spec"):
        load_checkpoint(tmp_path)


def test_labels_may_be_edited_by_hand_once_the_line_config_digest_is_deleted(tmp_path):
    config = small.write_folder(tmp_path)
    path = tmp_path / "config.json"
    lines = [line for line in path.read_text().splitlines() if "config_digest" not in line]
    path.write_text(
        "\n".join(lines).replace(f'"digest": "{config.digest}",\n}}', f'"digest": "{config.digest}"\n}}').replace('"cat"', '"tomcat"')
    )
    assert load_checkpoint(tmp_path).config.labels[0].name == "tomcat"


def test_a_config_describes_the_model_that_it_was_made_of():
    model = build(small.SPEC)
    assert describe(model) == Config("custom", small.SPEC, (), describe(model).preprocessing)
