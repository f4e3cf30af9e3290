"""COCO's files that cannot be trained on are refused before training, by file and value, and give no figure in evaluation."""

from __future__ import annotations

import numpy as np
import pytest

from axialzoo.data import DataError
from tests.data import made
from tests.data.reading import opened


def set_box(*box):
    return lambda data: data["annotations"][0].update(bbox=list(box))


def change(part, **values):
    return lambda data: data[part][0].update(values)


COCO = {
    "nan": (set_box(float("nan"), 5, 10, 6), r"train\.json: image 7 \(a\.png\): annotation 1: expected a box of finite numbers"),
    "infinite": (set_box(4, 5, float("inf"), 6), "annotation 1: expected a box of finite numbers"),
    "reversed": (set_box(14, 5, -10, 6), "annotation 1: expected a box whose width and height are more than 0"),
    "flat": (set_box(4, 5, 10, 0), "annotation 1: expected a box whose width and height are more than 0"),
    "negative": (set_box(-4, 5, 10, 6), r"annotation 1: expected a box inside its picture.*found left, top, right, bottom -4, 5, 6, 11"),
    "outside": (set_box(34, 5, 10, 6), "annotation 1: expected a box inside its picture"),
    "beside": (set_box(40, 5, 0.5, 6), "of which more than a line lies inside"),
    "three numbers": (set_box(4, 5, 10), r"annotation 1: expected bbox \[left, top, width, height\]"),
    "words": (set_box("4", 5, 10, 6), r"annotation 1: expected bbox \[left, top, width, height\]"),
    "category": (change("annotations", category_id=99), "annotation 1: category_id 99 is not among the file's 2"),
    "image": (change("annotations", image_id=99), "annotation 1: image_id 99 is not among the file's 2"),
    "crowd": (change("annotations", iscrowd=2), "annotation 1: expected iscrowd 0 or 1, found 2"),
    "annotation id": (change("annotations", id=2), "annotation id 2 occurs twice"),
    "image id": (change("images", id=9), "image id 9 occurs twice"),
    "category id": (change("categories", id=17), "category id 17 occurs twice"),
    "file name": (change("images", file_name="b.png"), r"two images are called 'b\.png'"),
    "missing file": (change("images", file_name="c.png"), r"1 of 2 pictures are missing, first 'c\.png'; looked in"),
    "size": (change("images", width=41), r"a\.png: expected 41 x 30 pixels as its labels say, found 40 x 30"),
    "no size": (change("images", width=0), "image 7: expected width and height above 0, found 0 x 30"),
    "escape": (change("images", file_name="../images/z.png"), r"image 7: expected a file name inside the data's folder"),
    "absolute": (change("images", file_name="/etc/passwd"), "expected a file name inside the data's folder.*'/etc/passwd'"),
    "no images": (lambda data: data["images"].clear(), r"train\.json: no images"),
    "no categories": (lambda data: data["categories"].clear(), r"train\.json: no categories"),
    "empty": (lambda data: data.clear(), r"train\.json: expected 'images', found nothing"),
}


@pytest.mark.parametrize("name", COCO)
def test_coco(tmp_path, read, name):
    spoil, message = COCO[name]
    with pytest.raises(DataError, match=message):
        read(made.coco(tmp_path, spoil))


MASKS = {
    "none": (change("annotations", segmentation=[]), "annotation 1 has no segmentation"),
    "two points": (change("annotations", segmentation=[[1, 2, 3, 4]]), "annotation 1: expected a polygon of at least three points"),
    "nan": (change("annotations", segmentation=[[1, 2, 3, 4, 5, float("nan")]]), "annotation 1: expected a polygon"),
    "sum": (change("annotations", segmentation={"size": [30, 40], "counts": [1, 2]}), r"sum to 30 x 40 = 1200, found 3"),
    "turned": (
        change("annotations", segmentation={"size": [40, 30], "counts": [1200]}),
        r"run lengths of size \[30, 40\], found \[40, 30\]",
    ),
    "negative": (change("annotations", segmentation={"size": [30, 40], "counts": [1201, -1]}), "whole numbers from 0"),
    "cut": (change("annotations", segmentation={"size": [30, 40], "counts": "55o"}), "end in the middle of a number"),
    "letters": (change("annotations", segmentation={"size": [30, 40], "counts": "5 5"}), "expected COCO's compressed run lengths"),
}


@pytest.mark.parametrize("name", MASKS)
def test_coco_masks(tmp_path, read, name):
    spoil, message = MASKS[name]
    with pytest.raises(DataError, match=message):
        read(made.coco(tmp_path, spoil), "segments")


def segment(number, **values):
    return lambda data: data["annotations"][0]["segments_info"][number].update(values)


COCO_MAPS = {
    "unlisted": (lambda data: data["annotations"][0]["segments_info"].pop(), r"a\.png: the map has segments that are not listed: 5"),
    "without pixel": (segment(0, id=6), r"a\.png: segment 6 has no pixel in the map"),
    "twice": (segment(0, id=300), "segment id 300 occurs twice"),
    "category": (segment(0, category_id=2), "image 1, segment 70000: category_id 2 is not among the file's 2"),
    "no annotation": (lambda data: data["annotations"].clear(), "1 images have no annotation, first 1"),
    "missing picture": (change("images", file_name="b.jpg"), r"1 of 1 pictures are missing, first 'b\.jpg'; looked in"),
    "size": (change("images", width=41), r"a\.jpg: expected 41 x 30 pixels as its labels say, found 40 x 30"),
    "image": (change("annotations", image_id=9), r"annotations\[0\]: image_id 9 is not among the file's 1 images"),
    "missing map": (lambda data: data["annotations"][0].update(file_name="b.png"), r"annotation of image 1: no map .*b\.png"),
    "escape": (lambda data: data["annotations"][0].update(file_name="../../x.png"), "expected a file name inside the data's folder"),
}


@pytest.mark.parametrize("name", COCO_MAPS)
def test_coco_maps(tmp_path, read, name):
    spoil, message = COCO_MAPS[name]
    with pytest.raises(DataError, match=message):
        read(made.coco_maps(tmp_path, spoil))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((30, 40), np.uint8), r"annotations/panoptic_val2017/a\.png: expected an RGB map of ids .*, found 8 bits"),
        (np.zeros((40, 30), np.int32), r"annotations/panoptic_val2017/a\.png: expected 40 x 30 pixels as its picture has, found 30 x 40"),
    ],
    ids=["8 bits", "turned"],
)
def test_maps_of_coco_that_do_not_fit(tmp_path, read, values, message):
    made.write_map(made.coco_maps(tmp_path) / "annotations" / "panoptic_val2017" / "a.png", values)
    with pytest.raises(DataError, match=message):
        read(tmp_path)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_json_that_is_none(tmp_path, text):
    (made.coco(tmp_path) / "train.json").write_bytes(text)
    with pytest.raises(DataError, match=r"train\.json: (not valid JSON|expected JSON in UTF-8)"):
        opened(tmp_path)


@pytest.mark.parametrize("text", ["[]", "null", "7"])
def test_json_of_something_else(tmp_path, text):
    (made.coco(tmp_path) / "train.json").write_text(text)
    with pytest.raises(DataError, match=r"train\.json: expected an object, found"):
        opened(tmp_path)


def test_pictures_without_any_box_are_nothing_to_train_on(tmp_path):
    with pytest.raises(DataError, match="expected objects to train on, found none in the 2 pictures of split 'train'"):
        opened(made.coco(tmp_path / "none", lambda data: data["annotations"].clear()))
    assert opened(made.coco(tmp_path / "some"))["train"]["without"] == 1  # one without is no error


def test_splits_of_other_categories(tmp_path):
    data = made.coco_json()
    data["categories"][0]["name"] = "wolf"
    made.write_json(made.coco(tmp_path) / "val.json", data)
    with pytest.raises(DataError, match=r"'val' has other categories than 'train' \(ids 18\)"):
        opened(tmp_path)


def test_two_files_for_one_split(tmp_path):
    made.write_json(made.coco(tmp_path) / "annotations" / "instances_train2017.json", made.coco_json())
    with pytest.raises(DataError, match="expected one JSON for 'train'"):
        opened(tmp_path)
