"""Training in PyTorch learns, resumes at the step where it stopped, and leaves a checkpoint behind."""

from __future__ import annotations

import importlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from axialzoo.checkpoint import load_checkpoint
from axialzoo.data import DataError
from axialzoo.data.batches import TrainBatches
from axialzoo.spec import SpecError, adapt, get_entry
from axialzoo.train import evaluate, run, state, torch_loop, write_metrics
from axialzoo.train.log import Log
from axialzoo.train.recipe import load_recipe
from axialzoo.train.state import FILE, write_state

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


def read_state(folder, **changes):
    """Return the state of a run by the recipe of these tests."""
    spec = adapt(get_entry(SMALL["model"]).spec, num_classes=3)
    return state.read_state(folder / state.FILE, spec, load_recipe("cifar10", **{**SMALL, **changes}))


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
    interrupted(zips, tmp_path / "run", monkeypatch)
    half = read_state(tmp_path / "run")
    slots = {"momentum_buffer": {name: 0 * array for name, array in half.slots["momentum_buffer"].items()}}
    write_state(tmp_path / "run" / FILE, replace(half, slots=slots))
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
    del note["attention"], note["preprocessing"]["channel_order"]
    (folder / "recipe.json").write_text(json.dumps(note))
    with pytest.raises(FileExistsError, match='other settings: attention: from "" to "axial_none"'):
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


def test_a_resumed_run_remembers_its_settings_and_names_changed_ones(zips, tmp_path):
    short = {**SMALL, "epochs": 1}
    run("cifar10", zips, tmp_path / "run", **short)
    before = json.loads((tmp_path / "run" / "recipe.json").read_text())
    with pytest.raises(FileExistsError, match=r"batch_size: from 8 to 3; learning_rate: from 0.05 to 0.04 \(recipe.json\)"):
        run("cifar10", zips, tmp_path / "run", resume=True, learning_rate=0.04, batch_size=3)
    other = tmp_path / "moved"
    shutil.copytree(zips, other)
    with pytest.warns(UserWarning, match=f"goes on with data: from {zips} to {other}"):
        run(None, other, tmp_path / "run", resume=True, epochs=2)
    after = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert after == {**before, "epochs": 2, "data": str(other)}


def test_the_best_model_lies_beside_the_last_one_and_both_are_named(zips, tmp_path, monkeypatch):
    figures = iter((0.25, 0.75, 0.5))
    monkeypatch.setattr("axialzoo.train.loop.score", lambda *_, **__: {"top1": next(figures)})
    lines: list[str] = []
    folder = tmp_path / "run"
    last = run("cifar10", zips, folder, report=lines.append, **{**SMALL, "epochs": 3, "eval_every": 1, "holdout": 8})
    best, model = load_checkpoint(folder / "best").config, load_checkpoint(last).config
    assert best.digest != model.digest and len(best.labels) == 3
    steps = [record["step"] for record in Log(folder, 10**6).records() if "top1" in record]
    assert best.provenance["held_out"] == {"top1": 0.75, "samples": 8, "step": steps[1]}
    assert lines[-1] == f"last: {last}; best on the samples held out: {folder / 'best'} (top1 75.00% after step {steps[1]})"
