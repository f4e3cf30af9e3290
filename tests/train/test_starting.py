"""Errors come before a run makes its folder; a run starts from any weights, and goes on for longer."""

from __future__ import annotations

import json
import shutil
import sys

import pytest
from typer.testing import CliRunner

from axialzoo.checkpoint import CheckpointError, load_checkpoint
from axialzoo.cli.app import app
from axialzoo.spec import SpecError
from axialzoo.train import check_run, load_recipe, run
from tests.train.test_torch import SMALL

FOLDER = {**SMALL, "holdout": 0, "progressive_sizes": (), "epochs": 1, "augment": "resized_crop"}
COMMAND = ["train", "cifar10", "--epochs", "1", "--batch-size", "4", "--set", "model=axial_resnet_cifar10_xs", "--set", "holdout=0"]


def command(data, out, *more: str):
    return CliRunner().invoke(app, [*COMMAND, "--data", str(data), "--out", str(out), "--quiet", *more])


@pytest.mark.parametrize("augment", ["crop", "resized_crop"])
def test_pictures_of_several_sizes_train(image_folder, tmp_path, augment):
    done = command(image_folder, tmp_path / "run", "--set", f"augment={augment}")
    assert done.exit_code == 0, done.output
    assert load_checkpoint(tmp_path / "run" / "model").config.spec.num_classes == 3


@pytest.mark.parametrize("changes", [{"init_from": "nowhere/../there"}, {"init_from": "axial_resnet_cifar10"}, {"batch_size": 0}])
def test_settings_that_do_not_fit_leave_no_folder(image_folder, tmp_path, changes):
    with pytest.raises((SpecError, CheckpointError)):  # weights that are not there, weights of another model, a wrong value
        run("cifar10", image_folder, tmp_path / "run", **{**FOLDER, **changes})
    assert not (tmp_path / "run").exists()


def test_a_field_that_has_an_option_can_be_set_too_but_not_twice(image_folder, tmp_path):
    out = tmp_path / "run"
    twice = command(image_folder, out, "--set", "epochs=2")
    assert twice.exit_code == 1 and "found an option of its own (1) beside it" in twice.output and not out.exists()
    done = command(image_folder, out, "--set", "augment=resized_crop", "--set", "seed=7")
    assert done.exit_code == 0, done.output
    assert json.loads((out / "recipe.json").read_text())["seed"] == 7


def test_processes_that_cannot_share_a_batch_leave_no_folder(image_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="a multiple of the 3 processes"):
        run("cifar10", image_folder, tmp_path / "run", **FOLDER)
    with pytest.raises(SpecError, match="expected torch, which trains in the 3 processes"):
        run("cifar10", image_folder, tmp_path / "run", framework="keras", **FOLDER)
    assert not (tmp_path / "run").exists()


def test_resuming_what_is_no_run_is_an_error(image_folder, tmp_path):
    refused = command(image_folder, tmp_path / "run", "--resume", "--set", "augment=resized_crop")
    assert refused.exit_code == 1 and "holds no run to resume" in refused.output
    assert not (tmp_path / "run").exists()


START = ("axial_resnet_cifar10", "axial_resnet_cifar10.cifar10", "cifar10", "folder")


@pytest.mark.parametrize("start", START)
def test_a_run_starts_from_what_pretrained_takes(image_folder, tmp_path, start):
    if start == "folder":
        from axialzoo.hub import resolve

        start = str(shutil.copytree(resolve("axial_resnet_cifar10"), tmp_path / "weights"))
    settings = {**FOLDER, "model": "axial_resnet_cifar10", "init_from": start, "learning_rate": 1e-6, "weight_decay": 0.0}
    with pytest.warns(UserWarning, match="these start new"):
        model = run("cifar10", image_folder, tmp_path / "run", **settings)
    shipped, actual = (load_checkpoint(item).tensors["stages.0.blocks.0.spatial1.conv.weight"] for item in (resolve_shipped(), model))
    assert abs(shipped - actual).max() < 1e-4


def resolve_shipped():
    from axialzoo.hub import resolve

    return resolve("axial_resnet_cifar10")


def test_weights_on_the_hub_are_asked_for_by_their_name(image_folder, monkeypatch):
    requests = []

    def fetch(address, **options):
        requests.append((address.repo, address.revision))
        raise CheckpointError("offline")

    monkeypatch.setattr(sys.modules["axialzoo.hub.resolve"], "fetch", fetch)
    with pytest.raises(CheckpointError, match="offline"):
        check_run("cifar10", image_folder, **{**FOLDER, "init_from": "someone/weights@v2"})
    assert requests == [("someone/weights", "v2")]


def test_a_finished_run_goes_on_along_the_longer_schedule(image_folder, tmp_path):
    out, settings = tmp_path / "run", {**FOLDER, "batch_size": 4, "epochs": 5}
    run("cifar10", image_folder, out, **settings)
    run("cifar10", image_folder, out, resume=True, **{**settings, "epochs": 15})
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    rates = {line["step"]: line["learning_rate"] for line in lines if "learning_rate" in line}
    longer = load_recipe("cifar10", **{**settings, "epochs": 15})
    assert max(rates) == 45 and rates[40] == pytest.approx(longer.lr_at(39, 45))
    assert json.loads((out / "recipe.json").read_text())["epochs"] == 15
    with pytest.raises(SpecError, match="expected at least the 15"):
        run("cifar10", image_folder, out, resume=True, **settings)
