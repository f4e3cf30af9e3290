"""Bad segments and boxes are refused by file and value before a run makes its folder."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from axialzoo.cli.app import app
from tests.data import made


def reversed_box(folder):
    made.coco(folder, lambda data: data["annotations"][0].update(bbox=[14, 5, -10, 6]))


def box_in_pixels(folder):
    made.yolo(folder, "0 20 15 4 3\n")


def class_of_no_box(folder):
    made.yolo(folder, "2 0.5 0.5 0.1 0.1\n")


def map_of_8_bits(folder):
    made.maps(folder, (np.arange(1200) % 256).astype(np.uint8).reshape(30, 40))


def map_turned(folder):
    made.maps(folder, np.ones((40, 30), np.uint8))


def map_cut(folder):
    path = made.maps(folder) / "train" / "labels" / "a.png"
    path.write_bytes(path.read_bytes()[:-40])


BAD = {
    "reversed_box": (reversed_box, "blood_cells", "annotation 1: expected a box whose width and height are more than 0, found left"),
    "box_in_pixels": (box_in_pixels, "blood_cells", "a.txt: line 1: expected shares of the picture's width and height"),
    "class_of_no_box": (class_of_no_box, "blood_cells", "a.txt: line 1: expected a class from 0 to 1, found 2"),
    "map_of_8_bits": (map_of_8_bits, "nuclei", "labels/a.png: found instance 255 in a map of 8 bits"),
    "map_turned": (map_turned, "nuclei", "labels/a.png: expected 40 x 30 pixels as its picture has, found 30 x 40"),
    "map_cut": (map_cut, "nuclei", "labels/a.png: damaged"),
}


def command(recipe: str, data, *more: str):
    small = {"blood_cells": "axial_fcos_blood_cells_xs", "nuclei": "axial_deeplab_nuclei_xs"}[recipe]
    settings = ("--set", "holdout=0", "--set", f"model={small}", "--batch-size", "1", "--quiet")
    return CliRunner().invoke(app, ["train", recipe, "--data", str(data), *settings, *more])


@pytest.mark.parametrize("name", BAD)
def test_bad_data_are_refused_by_check_and_before_a_run(tmp_path, name):
    spoil, recipe, message = BAD[name]
    spoil(tmp_path / "data")
    for more in (["--dry-run"], ["--out", str(tmp_path / "run")]):
        refused = command(recipe, tmp_path / "data", *more)
        assert refused.exit_code == 1
        assert message in " ".join(refused.output.split()), refused.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("make", "recipe", "objects"),
    [
        (made.coco, "blood_cells", {"cat": 1, "dog": 0}),
        (made.yolo, "blood_cells", {"cat": 1, "dog": 1}),
        (made.maps, "nuclei", {"background": 1, "object": 2}),
        (lambda folder: made.maps(folder, np.zeros((30, 40), np.uint8)), "nuclei", {"background": 1, "object": 0}),
    ],
    ids=["coco", "yolo", "gaps", "no_instances"],
)
def test_what_is_documented_as_accepted_is(tmp_path, make, recipe, objects):
    make(tmp_path / "data")
    actual = command(recipe, tmp_path / "data", "--dry-run", "--json")
    assert actual.exit_code == 0, actual.output
    assert json.loads(actual.stdout)["splits"]["train"]["objects"] == objects
