"""Training in Keras follows the recipe that PyTorch follows, and resumes at the step where it stopped."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from axialzoo.checkpoint import load_checkpoint
from axialzoo.train import evaluate, run
from axialzoo.train.torch_ema import EMA
from tests.train.test_ema import DECAY, VALUES, averaged
from tests.train.test_torch import SMALL, stopping

pytestmark = pytest.mark.backends("tensorflow", full=("jax", "torch"))
SAME = {**SMALL, "drop_path": 0.0, "ema_decay": 0.4}  # with momentum, a rate that changes at each step, and a running average


@pytest.fixture(scope="module")
def start(zips, tmp_path_factory):
    """A checkpoint from which both frameworks start."""
    return run("cifar10", zips, tmp_path_factory.mktemp("start") / "run", **{**SAME, "epochs": 1})


@pytest.fixture(scope="module")
def trained(zips, start, tmp_path_factory) -> Path:
    """The folder of a run, ``whole``, and of one that was interrupted and resumed, ``parts``."""
    folder, settings = tmp_path_factory.mktemp("keras"), {**SAME, "init_from": str(start), "framework": "keras"}
    run("cifar10", zips, folder / "whole", **settings)
    with pytest.MonkeyPatch.context() as patch:
        stopping(patch, 7)
        with pytest.raises(BaseException, match=r"KeyboardInterrupt|^$") as stop:  # TensorFlow makes an error of its own of it
            run("cifar10", zips, folder / "parts", save_every=3, **settings)
        assert "KeyboardInterrupt" in f"{stop.value!r} {stop.value}"
    run("cifar10", zips, folder / "parts", resume=True, save_every=3, **settings)
    return folder


def furthest(first, second) -> float:
    """The largest relative distance between second tensors of the same name."""
    first, second = (load_checkpoint(folder).tensors for folder in (first, second))
    return max(float(np.abs(first[name] - second[name]).max() / max(np.abs(first[name]).max(), 1e-3)) for name in first)


def test_both_frameworks_train_to_the_same_weights(zips, start, trained, tmp_path):
    model = run("cifar10", zips, tmp_path / "run", **{**SAME, "init_from": str(start)})
    assert furthest(model, trained / "whole" / "model") < 1e-3
    assert furthest(start, model) > 1e-2


def test_another_weight_decay_would_be_seen(zips, start, trained, tmp_path):
    model = run("cifar10", zips, tmp_path / "run", **{**SAME, "init_from": str(start), "weight_decay": 0.1})
    assert furthest(model, trained / "whole" / "model") > 1e-3


def test_a_velocity_that_follows_the_rate_would_be_seen(zips, start, trained, tmp_path, monkeypatch):
    def plain(optimizer, rate):
        for group in optimizer.param_groups:
            group["lr"] = rate

    monkeypatch.setattr("axialzoo.train.torch_loop.set_lr", plain)
    model = run("cifar10", zips, tmp_path / "run", **{**SAME, "init_from": str(start)})
    assert furthest(model, trained / "whole" / "model") > 2e-3


def test_an_average_without_the_statistics_of_norms_would_be_seen(zips, start, trained, tmp_path, monkeypatch):
    def last_statistics(average, model):
        statistics = {name: tensor for name, tensor in model.state_dict().items() if "running" in name}
        model = whole(average, model)
        model.load_state_dict(statistics, strict=False)
        return model

    whole = EMA.model
    monkeypatch.setattr("axialzoo.train.torch_loop.EMA.model", last_statistics)
    model = run("cifar10", zips, tmp_path / "run", **{**SAME, "init_from": str(start)})
    assert furthest(model, trained / "whole" / "model") > 1e-2


def test_the_average_follows_the_equation():
    import keras

    from axialzoo.train.keras_ema import EMA

    variable = keras.Variable(VALUES[0])
    model = SimpleNamespace(weights=[variable], get_weights=lambda: [keras.ops.convert_to_numpy(variable)])
    average = EMA(model, DECAY)
    for value in VALUES[1:]:
        variable.assign(value)
        average.update(model)
    actual = float(average.tensors[0])
    assert actual == pytest.approx(averaged(VALUES), rel=1e-5)
    assert all(abs(actual - wrong) > 1e-3 for wrong in (averaged(VALUES, warm=False), averaged(VALUES, 1.0)))


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(trained):
    assert furthest(trained / "whole" / "model", trained / "parts" / "model") < 1e-3


def test_it_leaves_metrics_a_curve_and_a_score(trained, zips):
    folder, result = trained, evaluate(trained / "whole" / "model", zips, framework="keras")
    records = [json.loads(line) for line in (folder / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if "top1" in record] == [5, 10]
    assert (folder / "parts" / "learning_curve.png").exists()
    assert result["images"] == 12 and result["framework"] == "keras"
