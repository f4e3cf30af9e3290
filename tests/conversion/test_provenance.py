"""Provenance belongs to tensors: weights that were changed say what they are based on, and nothing of what was true of those."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import pytest
import torch

from axialzoo.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from axialzoo.hub.push import prepare
from axialzoo.runtime.convert import read_any, write_any
from axialzoo.torch import load_model, save_model
from axialzoo.train import write_metrics
from tests.conversion import small

PROVENANCE = {"licence": "mit", "data": {"name": "Finches"}, "metrics": {"top1": 0.75}, "recipe": {"epochs": 3}, "notes": ["Fine."]}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A checkpoint folder whose config says much of its weights, and its digest."""
    folder = tmp_path_factory.mktemp("base") / "model"
    config = save_checkpoint(folder, replace(small.CONFIG, provenance=PROVENANCE), small.tensors())
    return folder, {"based_on": {"name": "custom", "digest": config.digest, "licence": "mit"}}


def test_weights_as_they_were_loaded_keep_their_provenance(base, tmp_path):
    assert save_model(load_model(base[0]), tmp_path / "same").provenance == PROVENANCE


def one_step(model):
    with torch.no_grad():
        next(model.parameters()).add_(1e-3)


CHANGES = {
    "a loop of one's own": one_step,
    "another number of classes": lambda model: model.reset_classifier(2),
    "other weights loaded": lambda model: model.load_state_dict({k: torch.from_numpy(v) for k, v in small.tensors(seed=1).items()}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_weights_say_what_they_are_based_on_and_nothing_else(base, change, tmp_path):
    model = load_model(base[0])
    CHANGES[change](model)
    saved = save_model(model, tmp_path / "changed")
    assert saved.provenance == load_checkpoint(tmp_path / "changed").config.provenance == base[1]


def test_weights_built_for_other_classes_or_without_a_head_are_based_on_the_checkpoint(base, tmp_path):
    with pytest.warns(UserWarning, match="start new"):
        model = load_model(base[0], num_classes=3)
    assert save_model(model, tmp_path / "three").provenance == base[1]


def test_a_chain_of_changes_names_the_last_base_and_keeps_the_licence(base, tmp_path):
    model = load_model(base[0])
    one_step(model)
    first = save_model(model, tmp_path / "first")
    model = load_model(tmp_path / "first")
    one_step(model)
    said = save_model(model, tmp_path / "second").provenance
    assert said == {"based_on": {"name": "custom", "digest": first.digest, "licence": "mit"}}


@pytest.mark.parametrize("name", ["folder", "a.safetensors", "a.pth"])
def test_every_format_compares_the_digest(base, name, tmp_path):
    config = load_checkpoint(base[0]).config
    write_any(tmp_path / name, config, small.tensors(seed=1))
    assert read_any(tmp_path / name)[0].provenance == base[1]


def test_provenance_that_is_given_is_what_is_written(base, tmp_path):
    model = load_model(base[0])
    one_step(model)
    assert save_model(model, tmp_path / "own", provenance={"licence": "cc0-1.0"}).provenance == {"licence": "cc0-1.0"}


def test_publish_and_record_refuse_metrics_of_another_digest(base, tmp_path):
    metrics = {"metrics": {"top1": 0.9, "digest": "sha256:other"}}
    save_checkpoint(tmp_path / "model", replace(small.CONFIG, provenance=metrics), small.tensors())
    with pytest.raises(CheckpointError, match=r"figures of other weights: expected digest sha256:.*found sha256:other"):
        prepare(tmp_path / "model", "org/model")
    save_checkpoint(tmp_path / "bare", replace(small.CONFIG, provenance={"metrics": {"top1": 0.9}}), small.tensors())
    with pytest.raises(CheckpointError, match=r"figures name no digest.*--update-card"):
        prepare(tmp_path / "bare", "org/model")
    with pytest.raises(CheckpointError, match="metrics of other weights"):
        write_metrics(tmp_path / "model", {"digest": "sha256:other", "top1": 0.9}, tmp_path)


def test_the_published_card_of_changed_weights_has_no_figure_of_the_base(base, tmp_path):
    model = load_model(base[0])
    one_step(model)
    save_model(model, tmp_path / "changed")
    card = prepare(tmp_path / "changed", "org/model").files["README.md"]
    assert isinstance(card, bytes) and b"0.75" not in card and b"Finches" not in card and b"based_on" in card


@pytest.mark.backends("tensorflow", full=("jax", "torch"))
def test_changed_weights_in_keras_say_what_they_are_based_on(base, tmp_path):
    import keras

    from axialzoo.keras import load_model, save_model

    def saved_by_keras(model, path):
        model.save(path)
        with zipfile.ZipFile(path) as archive:
            config = json.loads(json.loads(archive.read("config.json"))["config"]["checkpoint"])
        return config["provenance"], keras.saving.load_model(path)

    model = load_model(base[0])
    assert save_model(model, tmp_path / "same").provenance == PROVENANCE
    provenance, again = saved_by_keras(model, tmp_path / "same.keras")
    assert provenance == PROVENANCE and save_model(again, tmp_path / "again").provenance == PROVENANCE
    assert save_model(model.reset_classifier(2), tmp_path / "head").provenance == base[1]
    model.trainable_variables[0].assign_add(model.trainable_variables[0] * 0 + 1e-3)
    assert save_model(model, tmp_path / "changed").provenance == base[1]
    provenance, again = saved_by_keras(model, tmp_path / "changed.keras")
    assert provenance == base[1] and save_model(again, tmp_path / "later").provenance == base[1]
    assert read_any(tmp_path / "changed.keras")[0].provenance == base[1]
