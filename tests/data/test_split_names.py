"""Splits are known by every usual name to every reader, and what would be misread is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from axialzoo.data import DataError, check, open_data


def picture(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 24), (value, value, value)).save(path)


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("Training", "Testing"), ["train", "test"]),
        (("Train", "Test"), ["train", "test"]),
        (("training", "validation"), ["train", "val"]),
        (("train", "valid", "testing"), ["train", "val", "test"]),
        (("train2017", "val2017"), ["train", "val"]),
    ],
)
def test_split_folders_are_no_classes(tmp_path, names, splits):
    for name in names:
        for label in ("cat", "dog"):
            picture(tmp_path / "folders" / name / label / "1.png")
        picture(tmp_path / "yolo" / "images" / name / "1.png")
        (tmp_path / "yolo" / "labels" / name).mkdir(parents=True)
        (tmp_path / "yolo" / "labels" / name / "1.txt").write_text("0 .5 .5 .2 .2\n")
    (tmp_path / "yolo" / "data.yaml").write_text("names: [a]\n")
    data = open_data(tmp_path / "folders")
    assert (list(data.splits), list(data.classes)) == (splits, ["cat", "dog"])
    assert list(open_data(tmp_path / "yolo", "boxes").splits) == splits


def test_two_spellings_of_one_split_are_refused(tmp_path):
    for name in ("train", "val", "valid"):
        picture(tmp_path / name / "cat" / "1.png")
    with pytest.raises(DataError, match="two folders for 'val'"):
        open_data(tmp_path)


def test_folders_beside_splits_are_named(tmp_path):
    for name in ("train", "extra"):
        picture(tmp_path / name / "cat" / "1.png")
    assert open_data(tmp_path).about["passed_over"] == "folders that are no split: extra"


def test_a_folder_without_splits_says_that_train_and_test_are_the_same(tmp_path):
    for label in ("cat", "dog"):
        picture(tmp_path / label / "1.png")
    counts = check(open_data(tmp_path))
    assert counts["test"]["same_as"] == "train" and "same_as" not in counts["train"]


def test_category_names_that_occur_twice_are_refused(tmp_path):
    picture(tmp_path / "images" / "1.png")
    images = [{"id": 1, "file_name": "1.png", "width": 32, "height": 24}]
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 9, 9]}
    for second in ("b", "a"):
        categories = [{"id": 1, "name": "a"}, {"id": 2, "name": second}]
        (tmp_path / "train.json").write_text(json.dumps({"images": images, "categories": categories, "annotations": [box]}))
        if second == "b":
            assert open_data(tmp_path, "boxes").classes == ("a", "b")
    with pytest.raises(DataError, match=r"found twice: 'a' \(ids 1, 2\)"):
        open_data(tmp_path, "boxes")


@pytest.mark.parametrize("form", ["8", "16", "rgb", "254", "red", "16 of 1", "32", "float", "palette"])
def test_black_and_white_masks_are_refused_in_every_encoding(tmp_path, form):
    mask = np.zeros((24, 32), np.uint8)
    mask[2:8, 2:8] = mask[12:20, 12:20] = 255
    images = {
        "8": Image.fromarray(mask),
        "16": Image.fromarray(mask.astype(np.uint16) * 257),
        "rgb": Image.fromarray(np.dstack([mask] * 3)),
        "254": Image.fromarray(mask // 255 * 254),
        "red": Image.fromarray(np.dstack([mask, 0 * mask, 0 * mask])),
        "16 of 1": Image.fromarray(mask.astype(np.uint16) // 255),
        "32": Image.fromarray(mask.astype(np.int32)),
        "float": Image.fromarray(mask.astype(np.float32)),
        "palette": Image.fromarray(mask // 255, "P"),
    }
    picture(tmp_path / "images" / "1.png")
    (tmp_path / "labels").mkdir()
    images[form].save(tmp_path / "labels" / "1.tif")
    with pytest.raises(DataError, match="black-and-white mask"):
        check(open_data(tmp_path, "segments"))


def test_16_bit_training_pictures_keep_their_depth_and_stacks_are_refused(tmp_path):
    from axialzoo.image import stretch_percentiles

    values = np.linspace(300, 700, 24 * 32).reshape(24, 32).round().astype(np.uint16)
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        Image.fromarray(values).save(tmp_path / label / "1.tif")
    sample = open_data(tmp_path).splits["train"][0]
    assert len(np.unique(np.asarray(stretch_percentiles(sample.picture)))) > 200 > 3 >= len(np.unique(np.asarray(sample.picture)))
    Image.fromarray(values).save(tmp_path / "cat" / "1.tif", save_all=True, append_images=[Image.fromarray(values)])
    with pytest.raises(DataError, match="expected a picture of one page, found a TIFF of 2"):
        check(open_data(tmp_path))
