"""Whatever cannot be trained on is refused before training, by file and value."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from axialzoo.data import ArraySplit, Data, DataError, check, open_data
from axialzoo.data.files import Zips, safe_name
from axialzoo.data.truth import TOLERANCE, boxes_truth
from axialzoo.spec.labels import Label
from tests.data import made


def opened(folder, kind=None):
    """Every sample, as a run does before it starts."""
    return check(open_data(folder, kind))


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
    "escape": (change("images", file_name="../images/a.png"), r"image 7: expected a file name inside the data's folder"),
    "absolute": (change("images", file_name="/etc/passwd"), "expected a file name inside the data's folder.*'/etc/passwd'"),
    "no images": (lambda data: data["images"].clear(), r"train\.json: no images"),
    "no categories": (lambda data: data["categories"].clear(), r"train\.json: no categories"),
    "empty": (lambda data: data.clear(), r"train\.json: expected 'images', found nothing"),
}


@pytest.mark.parametrize("name", COCO)
def test_coco(tmp_path, name):
    spoil, message = COCO[name]
    with pytest.raises(DataError, match=message):
        opened(made.coco(tmp_path, spoil))


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
def test_coco_masks(tmp_path, name):
    spoil, message = MASKS[name]
    with pytest.raises(DataError, match=message):
        opened(made.coco(tmp_path, spoil), "segments")


def segment(number, **values):
    return lambda data: data["annotations"][0]["segments_info"][number].update(values)


COCO_MAPS = {
    "unlisted": (lambda data: data["annotations"][0]["segments_info"].pop(), r"a\.png: the map has segments that are not listed: 5"),
    "without pixel": (segment(0, id=6), r"a\.png: segment 6 has no pixel in the map"),
    "twice": (segment(0, id=300), "segment id 300 occurs twice"),
    "category": (segment(0, category_id=2), "image 1, segment 70000: category_id 2 is not among the file's 2"),
    "no annotation": (lambda data: data["annotations"].clear(), "1 images have no annotation, first 1"),
    "missing map": (lambda data: data["annotations"][0].update(file_name="b.png"), r"annotation of image 1: no map .*b\.png"),
    "escape": (lambda data: data["annotations"][0].update(file_name="../../x.png"), "expected a file name inside the data's folder"),
}


@pytest.mark.parametrize("name", COCO_MAPS)
def test_coco_maps(tmp_path, name):
    spoil, message = COCO_MAPS[name]
    with pytest.raises(DataError, match=message):
        opened(made.coco_maps(tmp_path, spoil))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("2 0.5 0.5 0.1 0.1", r"a\.txt: line 1: expected a class from 0 to 1, found 2"),
        ("-1 0.5 0.5 0.1 0.1", "expected a class from 0 to 1, found -1"),
        ("0 0.5 0.5 0.1", "line 1: expected 'class cx cy width height', found '0 0.5 0.5 0.1'"),
        ("0 0.5 0.5 0.1 0.1 0.2 0.2", "line 1: expected 'class cx cy width height'"),
        ("cat 0.5 0.5 0.1 0.1", "line 1: expected 'class cx cy width height'"),
        ("0 0.5 0.5 0.1 0.1\n0 nan 0.5 0.1 0.1", "line 2: expected a box of finite numbers"),
        ("0 0.5 0.5 -0.1 0.1", "line 1: expected a box whose width and height are more than 0"),
        ("0 1.5 0.5 0.1 0.1", "line 1: expected a box inside its picture"),
    ],
)
def test_yolo_labels(tmp_path, lines, message):
    with pytest.raises(DataError, match=message):
        opened(made.yolo(tmp_path, lines))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("nc: 2\n", "expected 'names:'"),
        ("names: *other\n", "written in a way not understood"),
        ("names:\n  1: cat\n  2: dog\n", "from 0 without gaps"),
        ("names: [cat, cat]\n", "the class 'cat' occurs twice"),
    ],
)
def test_yolo_names(tmp_path, names, message):
    with pytest.raises(DataError, match=message):
        opened(made.yolo(tmp_path, names=names))


def test_yolo_labels_without_picture(tmp_path):
    (made.yolo(tmp_path) / "labels" / "train" / "c.txt").write_text("")
    with pytest.raises(DataError, match=r"c\.txt' has no picture"):
        opened(tmp_path)


def test_255_in_a_map_of_8_bits(tmp_path):
    with pytest.raises(DataError, match=r"found instance 255 in a map of 8 bits.*or a map of 16 bits"):
        opened(made.maps(tmp_path / "one", (np.arange(1200) % 256).astype(np.uint8).reshape(30, 40)))
    opened(made.maps(tmp_path / "two", (np.arange(1200) % 255).astype(np.uint8).reshape(30, 40)))
    opened(made.maps(tmp_path / "three", (np.arange(1200) % 256).astype(np.uint16).reshape(30, 40)))


def test_maps_that_do_not_fit(tmp_path):
    with pytest.raises(DataError, match=r"labels/a\.png: expected 40 x 30 pixels as its picture has, found 30 x 40"):
        opened(made.maps(tmp_path / "turned", np.zeros((40, 30), np.uint8)))
    with pytest.raises(DataError, match=r"labels/a\.png: expected classes from 0 to 1 or 255 for void, found 2, 9"):
        opened(made.maps(tmp_path / "classes", np.array([0, 2, 9] * 400, np.uint8).reshape(30, 40), labels=["a", "b"]))
    made.write_picture(made.maps(tmp_path / "more") / "train" / "images" / "b.png")
    with pytest.raises(DataError, match=r"images/b\.png' has no label"):
        opened(tmp_path / "more")
    made.write_picture(made.maps(tmp_path / "twice") / "train" / "images" / "a.jpg")
    with pytest.raises(DataError, match="have one name"):
        opened(tmp_path / "twice")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "at least one"),
        (["a", "a"], "expected different class names"),
        (["a", 3], r"labels\[1\]: expected a class as"),
        ([{"name": "a", "thing": True}], "cannot tell two of class 'a' apart"),
        ({"labels": ["a"], "void": 0}, "void is 0, which is the class 'a' too"),
        ({"labels": ["a"], "map": "x"}, "expected a list of classes or"),
        ({"maps": "instances", "labels": ["a"]}, "maps of instances have two classes"),
        ({"labels": [{"name": "a", "colour": [1, 2, 300]}]}, r"Label\.colour"),
    ],
)
def test_lists_of_classes(tmp_path, labels, message):
    with pytest.raises(DataError, match=message):
        opened(made.maps(tmp_path, labels=labels))


def test_cityscapes_values(tmp_path):
    for value, message in ((7001, "instance of 'road', which has none"), (99, "expected class ids from 0 to 33, found 99")):
        values = np.full((30, 40), value, np.uint16)
        with pytest.raises(DataError, match=message):
            opened(made.cityscapes(tmp_path / str(value), values))


@pytest.mark.parametrize("part", ["images/a.png", "labels/a.png"])
def test_damaged_files(tmp_path, part):
    path = made.maps(tmp_path) / "train" / part
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=rf"{part}: damaged"):
        opened(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=rf"{part}: not a "):
        opened(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError):
        opened(tmp_path)


def test_a_map_saved_as_jpeg_is_no_map(tmp_path):
    path = made.maps(tmp_path) / "train" / "labels" / "a.png"
    Image.open(path).save(path, "jpeg")
    with pytest.raises(DataError, match="expected PNG, TIFF, BMP"):
        opened(tmp_path)


def test_a_picture_that_is_too_large(tmp_path, monkeypatch):
    made.maps(tmp_path)
    monkeypatch.setattr("axialzoo.image.read.MAX_PIXELS", 1000)
    with pytest.raises(DataError, match=r"a\.png: 40 x 30 pixels; expected at most 1,000"):
        opened(tmp_path)


@pytest.mark.parametrize("text", [b"{", b"\xff\xfe", b"[" * 100_000])
def test_json_that_is_none(tmp_path, text):
    (made.coco(tmp_path) / "train.json").write_bytes(text)
    with pytest.raises(DataError, match=r"train\.json: (not valid JSON|expected JSON in UTF-8)"):
        opened(tmp_path)


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


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "a/../../b", "a\\b", "C:/a", "", None, 3, "a\0b"])
def test_names_that_leave_the_folder(name):
    with pytest.raises(DataError, match="expected a file name inside the data's folder"):
        safe_name(name, "here")


def test_a_zip_that_leaves_the_folder_or_lies(tmp_path):
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        archive.writestr("../a.png", b"")
    with pytest.raises(DataError, match=r"out\.zip: expected a file name inside"):
        Zips([("", tmp_path / "out.zip")])
    (tmp_path / "no.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"no\.zip: not a zip"):
        Zips([("", tmp_path / "no.zip")])
    with zipfile.ZipFile(tmp_path / "hurt.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", json.dumps(list(range(1000))))
    damaged = bytearray((tmp_path / "hurt.zip").read_bytes())
    damaged[60:200] = bytes(140)
    (tmp_path / "hurt.zip").write_bytes(damaged)
    with pytest.raises(DataError, match=r"hurt\.zip:a\.json: damaged in the zip"):
        Zips([("", tmp_path / "hurt.zip")]).read("a.json")


def test_a_zip_that_claims_too_much(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(2000))
    monkeypatch.setattr("axialzoo.data.files.MOST_BYTES", 1000)
    with pytest.raises(DataError, match=r"bomb\.zip:a: expected at most 1,000 bytes, found 2,000"):
        Zips([("", tmp_path / "bomb.zip")]).read("a")


def test_boxes_a_little_outside_are_clipped():
    found = boxes_truth([[-TOLERANCE, 0, 5, 10 + TOLERANCE]], [0], (Label("a"),), (20, 10), "here")
    assert found.boxes.tolist() == [[0, 0, 5, 10]]
    with pytest.raises(DataError, match="inside its picture"):
        boxes_truth([[-TOLERANCE - 0.01, 0, 5, 10]], [0], (Label("a"),), (20, 10), "here")


def test_classes_outside_the_list():
    data = Data({"train": ArraySplit(np.zeros((3, 4, 4, 3), np.uint8), np.array([0, 1, 2]), "made")}, (Label("a"), Label("b")))
    with pytest.raises(DataError, match="made 2: expected a class from 0 to 1, found 2"):
        check(data)


def test_checking_says_how_far_it_is(tmp_path):
    said = []
    check(open_data(made.coco(tmp_path)), lambda done, total: said.append((done, total)))
    assert said == [(1, 2), (2, 2)]
