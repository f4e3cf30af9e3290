"""Training of masks of classes: one logit or two, gates from the start, after some epochs or never, in both frameworks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from axialzoo.checkpoint import load_checkpoint
from axialzoo.spec import SpecError
from axialzoo.train import evaluate, load_recipe, run

SMALL: dict[str, Any] = {"model": "medical_transformer_xs", "batch_size": 2, "epochs": 2, "eval_every": 2, "holdout": 0}


@pytest.fixture(scope="module")
def glands(tmp_path_factory) -> Path:
    """Bright squares on a dark ground; one picture has none."""
    folder, random = tmp_path_factory.mktemp("glands"), np.random.default_rng(0)
    for split, count in {"train": 4, "val": 3}.items():
        for name in ("images", "labels"):
            (folder / split / name).mkdir(parents=True)
        for index in range(count):
            labels = np.zeros((32, 32), np.uint8)
            row, column = random.integers(0, 20, 2)
            labels[row : row + 12, column : column + 12] = 0 if (split, index) == ("val", 2) else 1
            pixels = (random.integers(0, 60, (32, 32, 3)) + 180 * labels[..., None]).astype(np.uint8)
            Image.fromarray(pixels).save(folder / split / "images" / f"{index}.png")
            Image.fromarray(labels).save(folder / split / "labels" / f"{index}.png")
    (folder / "labels.json").write_text(json.dumps(["ground", "gland"]))
    return folder


def trained(glands: Path, folder: Path, **settings) -> Path:
    preprocessing = replace(load_recipe("medical_masks").preprocessing, size=(32, 32))
    return run("medical_masks", glands, folder, **{**SMALL, "preprocessing": preprocessing, **settings})


def gates(model: Path) -> dict[str, np.ndarray]:
    return {name: array for name, array in load_file(model / "model.safetensors").items() if name.endswith(".gates")}


def at_start(model: Path) -> bool:
    return all(np.array_equal(array, np.array([0.1, 0.1, 1.0, 0.1], "float32")) for array in gates(model).values())


def test_one_logit_is_trained_by_bce_and_dice_and_measured_as_two_classes(glands, tmp_path):
    model = trained(glands, tmp_path / "run", logits=1)
    spec = load_checkpoint(model).config.spec
    assert spec.num_classes == 1 and spec.num_labels == 2
    first = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert {"bce", "dice"} <= set(first) and "cross_entropy" not in first
    result = evaluate(model, glands, split="val")
    assert {"f1", "iou", "f1_pooled", "iou_pooled", "f1_medt", "iou_medt", "miou"} <= set(result)
    assert set(result["per_class"]) == {"ground", "gland"} and all(0 <= result[name] <= 1 for name in ("f1", "iou", "f1_medt"))


@pytest.mark.parametrize(("gate_start", "moved"), [(0, True), (1, True), (2, False), (-1, False)])
def test_gates_are_trained_from_the_epoch_that_the_recipe_names(glands, tmp_path, gate_start, moved):
    model = trained(glands, tmp_path / "run", gate_start=gate_start)
    assert len(gates(model)) == 4 and at_start(model) is not moved


def test_gates_trained_later_are_not_those_trained_from_the_start(glands, tmp_path):
    early, late = (trained(glands, tmp_path / str(start), gate_start=start) for start in (0, 1))
    assert not all(np.array_equal(gates(early)[name], array) for name, array in gates(late).items())


@pytest.mark.full
@pytest.mark.parametrize(("gate_start", "moved"), [(1, True), (-1, False)])
def test_keras_trains_gates_by_the_same_recipe(glands, tmp_path, gate_start, moved):
    pytest.importorskip("keras")
    model = trained(glands, tmp_path / "run", framework="keras", gate_start=gate_start)
    assert at_start(model) is not moved


def test_several_logits_for_other_classes_are_refused(glands, tmp_path):
    with pytest.raises(SpecError, match="logits: expected 0"):
        trained(glands, tmp_path / "run", logits=3)
    with pytest.raises(SpecError, match=r"Recipe\.gate_start: expected a whole number of at least -1, found -2"):
        load_recipe("medical_masks", gate_start=-2)
