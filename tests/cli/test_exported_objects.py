"""`axialzoo predict --min-score --save-crops --yolo --coco`, `list --task`, options by the names of neighbours, and completion."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from axialzoo.cli.completion import complete_field, complete_model, complete_recipe, complete_task, complete_weights

CELLS = Path(__file__).resolve().parents[2] / "docs" / "photos" / "blood_cells.jpg"
MODEL = "axial_fcos_blood_cells"


def test_objects_as_crops_yolo_and_coco(axialzoo, tmp_path):
    crops, labels, coco = tmp_path / "crops", tmp_path / "labels", tmp_path / "objects.json"
    files = ("--save-crops", crops, "--yolo", labels, "--coco", coco)
    said = axialzoo("predict", CELLS, "--model", MODEL, "--framework", "torch", "--min-score", 0.7, *files, "--json").json
    boxes = said["predictions"][0]["boxes"]
    assert said["files"] == [str(crops), str(labels), str(coco)] and len(boxes) > 5 and min(box["score"] for box in boxes) >= 0.7
    assert "warnings" not in said["predictions"][0]  # the limit of 100 boxes leaves out lower scores alone
    written = json.loads(coco.read_text())
    assert [row["category_id"] - 1 for row in written["annotations"]] == [box["label_id"] for box in boxes]
    assert written["images"] == [{"id": 1, "file_name": "blood_cells.jpg", "width": 640, "height": 480}]
    lines = (labels / "blood_cells.txt").read_text().splitlines()
    assert [int(line.split()[0]) for line in lines] == [box["label_id"] for box in boxes]
    assert (labels / "classes.txt").read_text().splitlines() == [row["name"] for row in written["categories"]]
    first = boxes[0]
    with Image.open(crops / first["label"] / "blood_cells_1.png") as crop:
        assert abs(crop.width - (first["box"][2] - first["box"][0])) <= 2
    assert len(list(crops.rglob("*.png"))) == len(boxes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "axial_resnet_cifar10_xs", "--min-score", 0.5), "--min-score: expected a model that finds objects"),
        (("--model", MODEL, "--coco", "objects.txt"), "expected a name that ends in .json"),
        (("--model", MODEL, "--yolo", CELLS), "expected a folder, found a file"),
        (("--model", MODEL, "--framework", "torch,keras", "--save-crops", "crops"), "expected one framework"),
        (("--model", MODEL, "--conf", 0.5), "--conf: this option is --min-score here"),
    ],
)
def test_what_does_not_fit_is_refused(axialzoo, arguments, message):
    said = axialzoo("predict", CELLS, *arguments)
    assert message in said.err


@pytest.mark.parametrize(("option", "ours"), [("--imgsz", "--size"), ("--lr0", "--lr"), ("--weights", "--init-from")])
def test_neighbours_names_of_training_options(axialzoo, option, ours):
    assert f"{option}: this option is {ours} here" in axialzoo("train", "--data", "x", option, "1").err


def test_models_of_a_task(axialzoo):
    names = [model["name"] for model in axialzoo("list", "--task", "detect", "--json").json["models"]]
    assert MODEL in names and "axial_resnet_cifar10" not in names
    assert "did you mean 'detect'" in axialzoo("list", "--task", "detct").err


def test_completion():
    assert MODEL in complete_model("axial_f") and f"{MODEL}.bccd" in complete_model(f"{MODEL}.")
    assert "axial_resnet50_s" not in complete_weights("axial_") and MODEL in complete_weights("")
    assert (
        complete_recipe("cl") == ["classify"]
        and complete_field("learn") == ["learning_rate="]
        and complete_task("det") == ["detect", "detection"]
    )
