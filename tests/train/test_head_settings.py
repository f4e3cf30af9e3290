"""A run changes how segments are trained and read, in both frameworks, over what the weights that it starts from say."""

from __future__ import annotations

import json

import pytest
import torch

from axialzoo.checkpoint import load_checkpoint
from axialzoo.spec import SpecError
from axialzoo.spec.heads.panoptic import Panoptic
from axialzoo.torch import axial_deeplab_nuclei_xs, save_model
from axialzoo.train import run
from tests.data import made

SMALL = {
    "model": "axial_deeplab_nuclei_xs",
    "holdout": 0,
    "progressive_sizes": ((1.0, 64),),
    "epochs": 1,
    "batch_size": 1,
    "ema_decay": 0.0,
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
    save_model(axial_deeplab_nuclei_xs(targets={"sigma": 5.0}, postprocess={"agreement": 3.0}), folder)
    return str(folder)


def trained(framework: str, data, out, **settings) -> tuple[float, Panoptic]:
    """Return the loss of the one step, and the head of the model."""
    settings = {**SMALL, **settings}
    run("nuclei", data, out, framework=framework, **settings)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    head = load_checkpoint(out / "model").config.spec.head
    assert isinstance(head, Panoptic)
    return next(line["loss"] for line in lines if "loss" in line), head


@pytest.mark.full
@pytest.mark.backends("tensorflow")
def test_both_frameworks_train_on_what_the_run_and_then_the_weights_say(data, start, tmp_path):
    own, head = trained("torch", data, tmp_path / "own", init_from=start)
    assert (head.targets.sigma, head.postprocess.agreement) == (5.0, 3.0)
    losses = {}
    for framework in ("torch", "keras"):
        losses[framework], head = trained(framework, data, tmp_path / framework, init_from=start, targets={"sigma": 1.5})
        assert (head.targets.sigma, head.postprocess.agreement) == (1.5, 3.0)
    assert losses["keras"] == pytest.approx(losses["torch"], rel=1e-4)
    assert losses["torch"] < 0.9 * own  # smaller heat is missed less by a network that says none


@pytest.mark.parametrize("settings", [{"targets": {"sigmas": 1.0}}, {"postprocess": {"nms_kernel": 4}}])
def test_what_no_head_has_leaves_no_folder(data, tmp_path, settings):
    with pytest.raises(SpecError, match=r"targets: unknown field 'sigmas'|PostprocessConfig\.nms_kernel"):
        run("nuclei", data, tmp_path / "run", **SMALL, **settings)
    assert not (tmp_path / "run").exists()
