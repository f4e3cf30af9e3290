"""A run changes how segments are trained and read, in both frameworks, over what the weights that it starts from say."""

from __future__ import annotations

import json

import pytest
import torch

from axialzoo.checkpoint import load_checkpoint
from axialzoo.spec import SpecError
from axialzoo.spec.heads.panoptic import Panoptic, Reading
from axialzoo.torch import axial_deeplab_nuclei_xs, save_model
from axialzoo.train import run
from tests.data import made

SMALL = {
    "model": "axial_deeplab_nuclei_xs",
    "holdout": 0,
    "sizes": ((1.0, 64),),
    "epochs": 1,
    "batch_size": 1,
    "average": 0.0,
    "precision": "float32",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return made.maps(tmp_path_factory.mktemp("reading") / "data")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Weights that say something else than the registered model."""
    folder = tmp_path_factory.mktemp("start") / "model"
    torch.manual_seed(0)
    save_model(axial_deeplab_nuclei_xs(reading={"sigma": 5.0, "agreement": 3.0}), folder)
    return str(folder)


def trained(framework: str, data, out, **settings) -> tuple[float, Reading]:
    """The loss of the one step, and the reading of the model."""
    settings = {**SMALL, **settings}
    run("nuclei", data, out, framework=framework, **settings)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    head = load_checkpoint(out / "model").config.spec.head
    assert isinstance(head, Panoptic)
    return next(line["loss"] for line in lines if "loss" in line), head.reading


@pytest.mark.backends("tensorflow")
def test_both_frameworks_train_on_what_the_run_and_then_the_weights_say(data, start, tmp_path):
    own, kept = trained("torch", data, tmp_path / "own", start=start)
    assert (kept.sigma, kept.agreement) == (5.0, 3.0)
    losses = {}
    for framework in ("torch", "keras"):
        losses[framework], found = trained(framework, data, tmp_path / framework, start=start, reading={"sigma": 1.5})
        assert (found.sigma, found.agreement) == (1.5, 3.0)
    assert losses["keras"] == pytest.approx(losses["torch"], rel=1e-4)
    assert losses["torch"] < 0.9 * own  # smaller heat is missed less by a network that says none


@pytest.mark.parametrize("reading", [{"sigmas": 1.0}, {"kernel": 4}])
def test_what_no_head_has_leaves_no_folder(data, tmp_path, reading):
    with pytest.raises(SpecError, match=r"reading: unknown field 'sigmas'|Reading\.kernel"):
        run("nuclei", data, tmp_path / "run", **SMALL, reading=reading)
    assert not (tmp_path / "run").exists()
