"""Training in PyTorch learns, resumes at the step where it stopped, and leaves a checkpoint behind."""

from __future__ import annotations

import importlib
import json
import shutil

import numpy as np
import pytest
import torch

from axialzoo.checkpoint import load_checkpoint
from axialzoo.data import DataError
from axialzoo.data.batches import TrainBatches
from axialzoo.spec import SpecError, adapt, get_entry
from axialzoo.train import evaluate, run, torch_loop, write_metrics

SMALL = dict(
    model="axial_resnet_cifar10_xs",
    batch_size=8,
    epochs=2,
    holdout=8,
    progressive_sizes=((0.5, 24),),
    precision="float32",
    learning_rate=0.05,
    drop_path=0.2,
)


def stopping(monkeypatch, at: int) -> None:
    """Stop a run before step `at`, as a crash would."""
    honest = TrainBatches.__getitem__

    def batch(self, step):
        if step == at:
            raise KeyboardInterrupt
        return honest(self, step)

    monkeypatch.setattr(TrainBatches, "__getitem__", batch)


def interrupted(zips, folder, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        stopping(patch, 7)
        with pytest.raises(KeyboardInterrupt):
            run("cifar10", zips, folder, save_every=3, **SMALL)


@pytest.fixture(scope="module")
def whole(zips, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    run("cifar10", zips, folder, **SMALL)
    return folder


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(zips, whole, tmp_path, monkeypatch):
    interrupted(zips, tmp_path / "run", monkeypatch)
    run("cifar10", zips, tmp_path / "run", resume=True, save_every=3, **SMALL)
    item, two = (load_checkpoint(folder / "model") for folder in (whole, tmp_path / "run"))
    assert item.config.digest == two.config.digest


def test_a_resume_that_forgets_its_momentum_would_be_seen(zips, whole, tmp_path, monkeypatch):
    import torch

    interrupted(zips, tmp_path / "run", monkeypatch)
    state = torch.load(tmp_path / "run" / "state.pth", weights_only=True)
    for slots in state["optimizer"]["state"].values():
        slots["momentum_buffer"].zero_()
    torch.save(state, tmp_path / "run" / "state.pth")
    run("cifar10", zips, tmp_path / "run", resume=True, **SMALL)
    item, two = (load_checkpoint(folder / "model") for folder in (whole, tmp_path / "run"))
    assert item.config.digest != two.config.digest


def test_a_run_leaves_its_metrics_and_its_curve(whole):
    records = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if "top1" in record] == [5, 10]
    assert records[-1]["step"] == 10
    assert (whole / "learning_curve.png").stat().st_size > 5000
    provenance = load_checkpoint(whole / "model").config.provenance
    assert provenance["recipe"]["learning_rate"] == 0.05 and provenance["data"]["name"] == "CIFAR-10"


def test_a_folder_that_holds_a_run_is_not_overwritten(zips, whole):
    with pytest.raises(FileExistsError, match="--resume"):
        run("cifar10", zips, whole, **SMALL)
    with pytest.raises(FileExistsError, match="other settings"):
        run("cifar10", zips, whole, resume=True, **{**SMALL, "learning_rate": 0.04})


def test_a_run_from_before_a_field_of_recipes_is_resumed_with_its_default_alone(zips, whole, tmp_path):
    folder = tmp_path / "older"
    shutil.copytree(whole, folder)
    note = json.loads((folder / "recipe.json").read_text())
    del note["attention"]
    (folder / "recipe.json").write_text(json.dumps(note))
    with pytest.raises(FileExistsError, match="other settings: attention differ"):
        run("cifar10", zips, folder, resume=True, **{**SMALL, "attention": "axial_none"})
    assert run("cifar10", zips, folder, resume=True, **SMALL) == folder / "model"


def test_a_recipe_names_another_kind_of_attention(zips, tmp_path):
    model = run("cifar10", zips, tmp_path / "run", **{**SMALL, "epochs": 1, "attention": "axial_none"})
    spec = load_checkpoint(model).config.spec
    assert spec == adapt(get_entry(SMALL["model"]).spec, num_classes=3, drop_path=SMALL["drop_path"], attention="axial_none")
    with pytest.raises(SpecError, match="unknown kind 'axial_nome'; did you mean 'axial_none'"):
        run("cifar10", zips, tmp_path / "other", **{**SMALL, "attention": "axial_nome"})
    assert not (tmp_path / "other").exists()


def test_processes_that_do_not_train_together_are_refused(zips, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.import_module("axialzoo.train.run"), "launched", lambda: 2)
    with pytest.raises(RuntimeError, match="expected 2 processes that train together, found 1"):
        run("cifar10", zips, tmp_path / "run", **SMALL)


def test_processes_that_begin_at_different_steps_are_refused(zips, tmp_path, monkeypatch):
    monkeypatch.setattr(torch_loop.Accelerator, "gather", lambda self, tensor: torch.tensor([0, 6]))
    with pytest.raises(RuntimeError, match="expected every process to begin at one step, found steps 0, 6"):
        run("cifar10", zips, tmp_path / "run", **SMALL)


def test_the_loss_falls_and_evaluation_agrees_with_the_classes(zips, whole, tmp_path):
    model = run("cifar10", zips, tmp_path / "longer", init_from=str(whole / "model"), **{**SMALL, "epochs": 20})
    actual = []
    result = evaluate(model, zips, on_result=actual.append)
    assert result["images"] == 12 and result["top1"] >= 0.75 and result["top5"] == 1.0
    assert sum(item.result.ranked[0]["label_id"] == item.sample.annotation for item in actual) == round(12 * result["top1"])


def test_a_result_is_recorded_beside_the_weights(zips, whole, tmp_path):
    shutil.copytree(whole / "model", tmp_path / "model")
    result = evaluate(tmp_path / "model", zips)
    card = write_metrics(tmp_path / "model", result, zips)
    before, after = load_checkpoint(whole / "model"), load_checkpoint(tmp_path / "model")
    assert after.config.digest == before.config.digest
    assert after.config.provenance["metrics"]["top1"] == result["top1"] and f"{result['top1']:.4f}" in card.read_text()


def test_bfloat16_trains(zips, tmp_path):
    model = run("cifar10", zips, tmp_path / "run", **{**SMALL, "precision": "bfloat16"})
    assert load_checkpoint(model).tensors["stem.0.conv.weight"].dtype == np.float32


def test_other_classes_are_refused(whole, image_folder, tmp_path):
    (tmp_path / "test" / "grey").mkdir(parents=True)
    shutil.copy(next((image_folder / "val" / "red").iterdir()), tmp_path / "test" / "grey" / "1.png")
    with pytest.raises(DataError, match="expected the model's classes blue, green, red; found grey"):
        evaluate(whole / "model", tmp_path)
