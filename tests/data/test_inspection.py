"""The report on a data set: right numbers, and each suspicion where it is due and nowhere else."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from axialzoo.cli.app import app
from axialzoo.data import inspect_data, open_data
from axialzoo.data.contact_sheet import CELL, contact_sheet
from tests.data import made
from tests.data.user_formats import FORMATS, LINE, PICTURE, discs, write

BY_TITLE = {item.title: item for item in FORMATS}


def suspicions(folder, *args) -> str:
    return "\n".join(inspect_data(folder, *args)[0]["suspicions"])


def test_a_report_has_the_numbers_of_the_files(tmp_path):
    files = {**BY_TITLE["YOLO (Ultralytics)"].files, "labels/train/1.txt": LINE + "0 0.5 0.5 0.5 0.5\n"}
    write(files, tmp_path)
    made.write_picture(tmp_path / "images" / "train" / "9.png", 80, 60, 99)
    report, _ = inspect_data(tmp_path)
    assert (report["reader"], report["kind"], report["classes"]) == ("YOLO", "boxes", ["cat", "dog"])
    assert report["splits"]["train"] == {"pictures": 2, "objects": {"cat": 1, "dog": 1}, "crowds": 0, "without": 1}
    assert report["sizes"] == {"smallest": [40, 30], "median": [40, 30], "largest": [80, 60]}
    assert report["depth"] == {"8 bits": 3}
    assert report["labels"]["per_picture"] == {"smallest": 0.0, "median": 1.0, "largest": 2.0}
    side = report["labels"]["side"]
    assert side["smallest"] == round(np.sqrt(60), 1) and side["largest"] == round(np.sqrt(20 * 15), 1)
    assert report["suspicions"] == ["train: 1 of 2 pictures have no object", "val: 1 of 2 classes have no sample: cat"]


def test_the_same_picture_in_two_splits_is_found_by_its_pixels(tmp_path):
    write(BY_TITLE["A folder a class"].files, tmp_path)
    assert suspicions(tmp_path) == ""
    Image.open(tmp_path / "train" / "cat" / "1.jpg").save(tmp_path / "val" / "dog" / "other.png")  # another file, the same pixels
    assert "1 pictures are in two splits (train and val)" in suspicions(tmp_path)
    Image.open(tmp_path / "train" / "cat" / "1.jpg").save(tmp_path / "train" / "cat" / "again.png")
    (tmp_path / "val" / "dog" / "other.png").unlink()
    assert suspicions(tmp_path) == "1 pictures occur twice in their split"


def test_train_as_test_is_a_suspicion(tmp_path):
    write(BY_TITLE["LabelMe"].files, tmp_path)
    assert "test and train are the same pictures" in suspicions(tmp_path)


def test_void_maps_blank_pictures_and_objects_in_pieces_are_suspicions(tmp_path):
    files = {"labels.json": {"maps": "instances", "labels": ["background", "cell"]}, "train/images/1.png": PICTURE,
             "train/labels/1.png": discs(1, 2, 1, 2)}  # fmt: skip
    write(files, tmp_path / "pieces")
    assert "objects are in pieces" not in suspicions(tmp_path / "pieces")  # two pieces each: occlusion looks so
    write({"train/labels/1.png": discs(1, 1, 1, 1)}, tmp_path / "pieces")
    assert "4 separate regions of 1 objects in 1 maps; one object that should be many?" in suspicions(tmp_path / "pieces")
    values = np.full((30, 40), 255, np.uint8)
    write({"labels.json": ["a", "b", "c"], "train/images/1.png": PICTURE, "train/labels/1.png": values}, tmp_path / "void")
    Image.new("RGB", (40, 30), (9, 9, 9)).save(tmp_path / "void" / "train" / "images" / "1.png")
    text = suspicions(tmp_path / "void")
    assert "1 maps are void everywhere" in text and "1 pictures are of one colour" in text and "3 of 3 classes have no sample" in text


def test_deep_pictures_are_counted(tmp_path):
    for name, value in (("cat", 300), ("dog", 700)):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((8, 8), value, np.uint16) + np.arange(8, dtype=np.uint16)).save(tmp_path / name / "1.tif")
    assert inspect_data(tmp_path)[0]["depth"] == {"uint16": 2}


def test_a_contact_sheet_shows_the_boxes(tmp_path):
    data = open_data(write(BY_TITLE["LabelMe"].files, tmp_path))
    sheet = np.asarray(contact_sheet(data)).astype(int)
    from axialzoo.image.draw_boxes import class_colour

    at = np.argwhere((sheet[12 : 12 + CELL * 30 // 40] == class_colour(0, data.labels)).all(-1))
    scale = CELL / 40
    np.testing.assert_allclose([*at.min(0), *at.max(0)], [5 * scale, 12 + 4 * scale, 11 * scale - 1, 12 + 14 * scale - 1], atol=2)


@pytest.mark.parametrize("title", BY_TITLE)
def test_a_contact_sheet_of_each_format(tmp_path, title):
    assert contact_sheet(open_data(write(BY_TITLE[title].files, tmp_path))).width > CELL


def test_the_command(tmp_path, monkeypatch):
    write(BY_TITLE["Pascal VOC"].files, tmp_path / "dogs")
    monkeypatch.chdir(tmp_path)
    run = CliRunner()
    result = run.invoke(app, ["inspect", "dogs", "--quiet"])
    assert result.exit_code == 0 and "Pascal VOC, boxes" in result.stdout and (tmp_path / "dogs_labels.png").is_file()
    before = (tmp_path / "dogs_labels.png").read_bytes()
    (tmp_path / "dogs_labels.png").write_bytes(b"mine")
    result = run.invoke(app, ["inspect", "dogs", "--json", "--quiet"])
    assert json.loads(result.stdout)["contact_sheet"] is None and (tmp_path / "dogs_labels.png").read_bytes() == b"mine"
    result = run.invoke(app, ["inspect", "dogs", "--json", "--quiet", "--force"])
    assert json.loads(result.stdout)["splits"]["train"]["pictures"] == 1 and (tmp_path / "dogs_labels.png").read_bytes() == before


def test_the_command_lists_or_skips_bad_labels(tmp_path, monkeypatch):
    write({**BY_TITLE["YOLO (labelImg)"].files, "1.txt": LINE + "0 .5 .5 0 .1\n9 .5 .5 .1 .1\n"}, tmp_path / "dogs")
    monkeypatch.chdir(tmp_path)
    run = CliRunner()
    result = run.invoke(app, ["inspect", "dogs", "--quiet"])
    assert result.exit_code == 1 and "--on-bad-label skip" in result.output
    result = run.invoke(app, ["inspect", "dogs", "--quiet", "--on-bad-label", "skip", "--json"])
    assert json.loads(result.stdout)["splits"]["train"]["skipped"] == {
        "class that the list does not have": 1,
        "box without width or height": 1,
    }


def test_train_lists_or_skips_bad_labels(tmp_path):
    write({**BY_TITLE["YOLO (labelImg)"].files, "1.txt": LINE + "0 .5 .5 0 .1\n", "2.jpg": PICTURE, "2.txt": LINE}, tmp_path)
    command = ["train", "blood_cells", "--data", str(tmp_path), "--dry-run", "--quiet", "--set", "holdout=1", "--set", "batch_size=1"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1 and "line 2: expected a box whose width and height" in result.output
    result = CliRunner().invoke(app, [*command, "--on-bad-label", "skip"])
    assert result.exit_code == 0 and "box without width or height" in result.output and "skipped" in result.output


def test_evaluate_lists_all_bad_labels_of_the_split_or_skips_them(tmp_path):
    from axialzoo.data import BadLabelError
    from axialzoo.train import evaluate

    files = {"labels.json": {"maps": "classes", "labels": ["background", "nucleus"]}}
    for number in (1, 2, 3):
        files |= {f"images/{number}.png": PICTURE, f"masks/{number}.png": discs(7 if number > 1 else 1, dtype=np.uint8)}
    write(files, tmp_path)
    with pytest.raises(BadLabelError, match="found 2 bad labels: 2 x map with values that are no class"):
        evaluate("axial_deeplab_nuclei", tmp_path, framework="torch")
    metrics = evaluate("axial_deeplab_nuclei", tmp_path, framework="torch", on_bad_label="skip")
    assert metrics["skipped_labels"] == {"map with values that are no class": 2}
