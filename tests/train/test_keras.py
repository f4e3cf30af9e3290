"""Training in Keras follows the recipe that PyTorch follows, and resumes at the step where it stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from axialzoo.checkpoint import load_checkpoint
from axialzoo.train import run
from axialzoo.train.torch_average import Average
from tests.train.test_average import DECAY, VALUES, averaged
from tests.train.test_torch import SMALL

SAME = {**SMALL, "drop_path": 0.0, "average": 0.4}  # with momentum, a rate that changes at each step, and a running average

WORKER = """
import json, sys
from axialzoo.data.batches import TrainBatches
from axialzoo.train import evaluate, run

zips, out, settings, settings_of_average = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4])
settings["sizes"] = tuple(map(tuple, settings["sizes"]))
run("cifar10", zips, out + "/whole", framework="keras", **settings)

honest = TrainBatches.__getitem__
def stop(self, step):
    if step == 7:
        raise KeyboardInterrupt
    return honest(self, step)
TrainBatches.__getitem__ = stop
try:
    run("cifar10", zips, out + "/parts", framework="keras", save_every=3, **settings)
except BaseException as error:  # TensorFlow makes an error of its own of it
    assert "KeyboardInterrupt" in f"{error!r} {error}"
else:
    raise AssertionError("the run was not interrupted")
TrainBatches.__getitem__ = honest
run("cifar10", zips, out + "/parts", framework="keras", resume=True, save_every=3, **settings)

import keras
from types import SimpleNamespace
from axialzoo.train.keras_average import Average
variable = keras.Variable(settings_of_average["values"][0])
model = SimpleNamespace(weights=[variable], get_weights=lambda: [keras.ops.convert_to_numpy(variable)])
average = Average(model, settings_of_average["decay"])
for value in settings_of_average["values"][1:]:
    variable.assign(value)
    average.update(model)
print(float(average.tensors[0]))
print(json.dumps(evaluate(out + "/whole/model", zips, framework="keras")))
"""


@pytest.fixture(scope="module")
def start(zips, tmp_path_factory):
    """A checkpoint from which both frameworks start."""
    return run("cifar10", zips, tmp_path_factory.mktemp("start") / "run", **{**SAME, "epochs": 1})


@pytest.fixture(
    scope="module",
    params=[pytest.param("tensorflow"), pytest.param("jax", marks=pytest.mark.full), pytest.param("torch", marks=pytest.mark.full)],
)
def trained(request, zips, start, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    command = [sys.executable, "-c", WORKER, str(zips), str(folder), json.dumps({**SAME, "start": str(start)})]
    command.append(json.dumps({"decay": DECAY, "values": VALUES.tolist()}))
    done = subprocess.run(command, env={**os.environ, "KERAS_BACKEND": request.param}, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    average, result = done.stdout.splitlines()[-2:]
    return folder, json.loads(result), float(average)


def furthest(one, two) -> float:
    """The largest relative distance between two tensors of the same name."""
    one, two = (load_checkpoint(folder).tensors for folder in (one, two))
    return max(float(np.abs(one[name] - two[name]).max() / max(np.abs(one[name]).max(), 1e-3)) for name in one)


def test_both_frameworks_train_to_the_same_weights(zips, start, trained, tmp_path):
    model = run("cifar10", zips, tmp_path / "run", **{**SAME, "start": str(start)})
    assert furthest(model, trained[0] / "whole" / "model") < 1e-3
    assert furthest(start, model) > 1e-2


def test_another_weight_decay_would_be_seen(zips, start, trained, tmp_path):
    model = run("cifar10", zips, tmp_path / "run", **{**SAME, "start": str(start), "weight_decay": 0.1})
    assert furthest(model, trained[0] / "whole" / "model") > 1e-3


def test_a_velocity_that_follows_the_rate_would_be_seen(zips, start, trained, tmp_path, monkeypatch):
    def plain(optimizer, rate):
        for group in optimizer.param_groups:
            group["lr"] = rate

    monkeypatch.setattr("axialzoo.train.torch_loop.set_rate", plain)
    model = run("cifar10", zips, tmp_path / "run", **{**SAME, "start": str(start)})
    assert furthest(model, trained[0] / "whole" / "model") > 2e-3


def test_an_average_without_the_statistics_of_norms_would_be_seen(zips, start, trained, tmp_path, monkeypatch):
    def last_statistics(average, model):
        statistics = {name: tensor for name, tensor in model.state_dict().items() if "running" in name}
        model = whole(average, model)
        model.load_state_dict(statistics, strict=False)
        return model

    whole = Average.model
    monkeypatch.setattr("axialzoo.train.torch_loop.Average.model", last_statistics)
    model = run("cifar10", zips, tmp_path / "run", **{**SAME, "start": str(start)})
    assert furthest(model, trained[0] / "whole" / "model") > 1e-2


def test_the_average_follows_the_equation(trained):
    assert trained[2] == pytest.approx(averaged(VALUES), rel=1e-5)
    assert all(abs(trained[2] - wrong) > 1e-3 for wrong in (averaged(VALUES, warm=False), averaged(VALUES, 1.0)))


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(trained):
    assert furthest(trained[0] / "whole" / "model", trained[0] / "parts" / "model") < 1e-3


def test_it_leaves_metrics_a_curve_and_a_score(trained):
    folder, result, _ = trained
    records = [json.loads(line) for line in (folder / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if "top1" in record] == [5, 10]
    assert (folder / "parts" / "learning_curve.png").exists()
    assert result["images"] == 12 and result["framework"] == "keras"
