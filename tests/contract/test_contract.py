"""Every registered head keeps the contract in both frameworks and on all back ends, and one that does not is told which part.

A head and a task that live in the tests alone do, and train, predict and are measured: a task needs no file outside its four rooms.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from axialzoo.spec.heads import HEADS
from tests.contract import planted
from tests.contract.cases import cases
from tests.contract.contract import Broken, check

IN_KERAS = pytest.mark.backends("tensorflow", "jax", "torch", every={"jax": 8, "tensorflow": 4, "torch": 3})
IN_PYTORCH = pytest.mark.backends("torch")  # where the toy is known, as it is not in the tests' own process


@pytest.fixture(scope="module")
def in_keras() -> Iterator[ModuleType]:
    with planted.known("keras"):
        yield importlib.import_module("tests.contract.in_keras")


@pytest.fixture(scope="module")
def in_torch(in_keras) -> Iterator[ModuleType]:
    with planted.known("torch"):
        yield importlib.import_module("tests.contract.in_torch")


def test_every_kind_of_head_has_a_case():
    assert set(HEADS) <= set(cases())


@IN_KERAS
@pytest.mark.parametrize("name", [*cases(), "toy"])
def test_every_registered_head_keeps_the_contract_in_keras(in_keras, name):
    check(cases()[name], in_keras)


@IN_PYTORCH
@pytest.mark.parametrize("name", [*cases(), "toy"])
def test_every_registered_head_keeps_the_contract_in_pytorch(in_torch, name):
    check(cases()[name], in_torch)


def refusals(framework) -> dict[str, str]:
    """Messages of the contract about each planted error."""
    messages = {}
    for what, error in planted.planted(framework).items():
        with error, pytest.raises(Broken) as broken:
            check(cases()["toy"], framework)
        messages[what] = str(broken.value)
    return messages


def assert_blames(messages: dict[str, str]) -> None:
    assert len(messages) >= 16
    for what, message in messages.items():
        assert f"part {what.partition(':')[0]!r}" in message and "'toy'" in message, (what, message)


@pytest.mark.backends("torch")  # what is planted has nothing to do with the back end; on the others it takes minutes
def test_a_head_that_forgets_a_part_is_told_which_in_keras(in_keras):
    assert_blames(refusals(in_keras))


@IN_PYTORCH
def test_a_head_that_forgets_a_part_is_told_which_in_pytorch(in_torch):
    assert_blames(refusals(in_torch))


def test_a_kind_without_a_model_is_refused_by_name(monkeypatch):
    monkeypatch.setitem(HEADS, "orphan", type("Orphan", (), {"kind": "orphan"}))
    with pytest.raises(Broken, match=r"head 'orphan'.*spec/zoo"):
        cases()


@pytest.fixture(scope="module")
def halves(tmp_path_factory) -> Path:
    """Eight pictures, dark on the right and bright on the left, in other proportions each, with maps of both."""
    folder, rng = tmp_path_factory.mktemp("halves"), np.random.default_rng(0)
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for index in range(8):
        bright = np.zeros((32, 32), np.uint8)
        bright[:, : 4 * index + 2] = 1
        pixels = (rng.integers(0, 60, (32, 32, 3)) + bright[..., None] * 180).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{index}.png")
        Image.fromarray(bright).save(folder / "labels" / f"{index}.png")
    (folder / "labels.json").write_text(json.dumps(["dark", "bright"]))
    return folder


def train(framework: str, data: Path, folder: Path) -> None:
    """Compare the toy's losses and metrics before and after a run, and what it says of a picture."""
    from axialzoo import load_runner
    from axialzoo.train import evaluate, run

    losses: list[float] = []
    still = run("toy", data, folder / "still", framework=framework, learning_rate=1e-9, epochs=1)
    with planted.recorded(framework, losses):
        trained = run("toy", data, folder / "run", framework=framework)
    assert losses[-1] < 0.5 * losses[0]
    before = evaluate(still, data, framework=framework)["closeness"]
    after = evaluate(trained, data, framework=framework, save_vis=folder / "pictures")["closeness"]
    assert 0 < before < after <= 1 and len(list((folder / "pictures").iterdir())) == 8
    with load_runner(trained, framework) as runner:
        said = runner.predict(next((data / "images").iterdir())).to_json()
    assert [item["label"] for item in said["cover"]] == ["dark", "bright"]


@pytest.mark.backends("torch", full=("tensorflow", "jax"))
def test_a_task_of_the_tests_own_is_trained_and_measured_in_keras(in_keras, halves, tmp_path):
    train("keras", halves, tmp_path)


@IN_PYTORCH
def test_a_task_of_the_tests_own_is_trained_and_measured_in_pytorch(in_torch, halves, tmp_path):
    train("torch", halves, tmp_path)
