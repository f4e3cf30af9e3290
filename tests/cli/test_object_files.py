"""`axialzoo predict --masks --table`: a label map and a row for each object, and refusals before anything is computed."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MODEL = "axial_deeplab_nuclei.dsb2018"


@pytest.fixture
def cells(tmp_path) -> Path:
    """Four bright discs on black."""
    rows, columns = np.ogrid[:96, :128]
    pixels = np.zeros((96, 128), np.float64)
    for row, column in ((24, 28), (30, 90), (70, 40), (66, 100)):
        pixels = np.maximum(pixels, 200 * np.exp(-((((rows - row) ** 2 + (columns - column) ** 2) / 81.0) ** 2)))
    path = tmp_path / "cells.png"
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_label_map_and_a_table(axialzoo, cells, tmp_path):
    masks, table = tmp_path / "masks.tif", tmp_path / "cells.csv"
    said = axialzoo("predict", cells, "--model", MODEL, "--framework", "torch", "--masks", masks, "--table", table, "--json").json
    assert said["files"] == [str(masks), str(table)]
    ids = np.asarray(Image.open(masks))
    rows = read(table)
    assert ids.shape == (96, 128) and len(rows) == ids.max() == 4
    assert [int(row["id"]) for row in rows] == [1, 2, 3, 4] and {row["class"] for row in rows} == {"nucleus"}
    assert [int(row["area"]) for row in rows] == np.bincount(ids.ravel())[1:].tolist()
    middles = sorted((round(float(row["centroid_y"])), round(float(row["centroid_x"]))) for row in rows)
    assert np.abs(np.array(middles) - [(24, 28), (30, 90), (66, 100), (70, 40)]).max() <= 2
    assert all(float(row["mean_intensity"]) > 100 for row in rows)


def test_several_pictures_share_a_table_and_have_a_map_each(axialzoo, cells, tmp_path):
    other = tmp_path / "more" / "cells.png"
    other.parent.mkdir()
    Image.open(cells).crop((0, 0, 64, 96)).save(other)
    masks, table = tmp_path / "masks", tmp_path / "cells.csv"
    said = axialzoo("predict", cells, other, "--model", MODEL, "--framework", "torch", "--masks", masks, "--table", table)
    assert said.code == 0 and sorted(path.name for path in masks.iterdir()) == ["cells.tif", "cells_1.tif"]
    assert {row["image"] for row in read(table)} == {str(cells), str(other)}


def test_what_does_not_fit_is_refused_before_anything_is_written(axialzoo, folder, cells, tmp_path):
    there = tmp_path / "there.csv"
    there.write_text("mine")
    for arguments, message in (
        (("--model", folder, "--table", tmp_path / "a.csv"), "found one of classification"),
        (("--model", MODEL, "--masks", tmp_path / "a.png"), "ends in .tif or .tiff"),
        (("--model", MODEL, "--table", tmp_path / "a.xlsx"), "ends in .csv"),
        (("--model", MODEL, "--table", there), "exists already"),
        (("--model", MODEL, "--masks", cells, "--force"), "ends in .tif"),
        (("--model", MODEL, "--table", tmp_path / "a.csv", "--framework", "torch,keras"), "expected one framework"),
        (("--model", MODEL, "--out", tmp_path / "a.tif", "--masks", tmp_path / "a.tif"), "name one file"),
        (("--model", MODEL, "--out", tmp_path / "a.jsonl", "--table", tmp_path / "a.csv"), "not of predictions in batches"),
    ):
        options = arguments if "--framework" in arguments else (*arguments, "--framework", "torch")
        said = axialzoo("predict", cells, *options)
        assert said.code == 1 and message in said.err, said.err
    assert there.read_text() == "mine" and not (tmp_path / "a.csv").exists() and not (tmp_path / "a.tif").exists()


def test_several_pictures_want_a_folder(axialzoo, cells, tmp_path):
    said = axialzoo("predict", cells, cells, "--model", MODEL, "--framework", "torch", "--masks", tmp_path / "a.tif")
    assert said.code == 1 and "expected a folder for the label maps of 2 pictures" in said.err
