"""Whatever cannot be trained on is refused before training, by file and value."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from axialzoo.data import ArraySplit, DataError, Dataset, check, open_data
from axialzoo.data.annotations import TOLERANCE, validate_boxes
from axialzoo.data.file_tree import Zips, safe_name
from axialzoo.spec.labels import Label
from tests.data import made
from tests.data.reading import opened


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("2 0.5 0.5 0.1 0.1", r"a\.txt: line 1: expected a class from 0 to 1, found 2"),
        ("-1 0.5 0.5 0.1 0.1", "expected a class from 0 to 1, found -1"),
        ("0 0.5 0.5 0.1", "line 1: expected 'class cx cy width height', found '0 0.5 0.5 0.1'"),
        ("0 0.5 0.5 0.1 0.1 0.2 0.2 0.3", "line 1: expected 'class cx cy width height'"),
        ("cat 0.5 0.5 0.1 0.1", "line 1: expected 'class cx cy width height'"),
        ("0 0.5 0.5 0.1 0.1\n0 nan 0.5 0.1 0.1", "line 2: expected a box of finite numbers"),
        ("0 0.5 0.5 -0.1 0.1", "line 1: expected a box whose width and height are more than 0"),
        ("0 0.5 0.5 0 0.1", "line 1: expected a box whose width and height are more than 0"),
        ("0 1.5 0.5 0.1 0.1", r"line 1: expected a box inside its picture .*, found left, top, right, bottom 58, .* of 40 x 30"),
        ("0 0.0 0.5 0.2 0.1", r"line 1: expected a box inside its picture .*, found left, top, right, bottom -4, "),
        ("0 .5 .5 .2 .2 .1 .1 2 .2 .2 2", "line 1: expected points inside the picture, .*; key points need kpt_shape"),
        ("0 20 15 4 3", r"line 1: expected shares of the picture's width and height, from 0 to 1, found '0 20 15 4 3' \(pixels\?\)"),
    ],
)
def test_yolo_labels(tmp_path, read, lines, message):
    with pytest.raises(DataError, match=message):
        read(made.yolo(tmp_path, lines))


def test_class_numbers_of_yolo_may_be_written_with_a_point(tmp_path):
    assert open_data(made.yolo(tmp_path, "1.0 0.5 0.5 0.1 0.2\n")).split("train")[0].annotation.label_names == ["dog"]


def test_a_box_of_yolo_may_be_rounded_to_a_pixel_outside(tmp_path):
    (box,) = open_data(made.yolo(tmp_path, "0 0.04 0.5 0.1 0.2\n")).split("train")[0].annotation.boxes.tolist()  # from -0.4 pixels
    assert box == pytest.approx([0, 12, 3.6, 18])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("nc: 2\n", "expected 'names:'"),
        ("names: *other\n", "expected YAML, found .*undefined alias 'other'"),
        ("names: [cat, dog]\nnames: [dog, cat]\n", "expected 'names:' .* once; found it 2 times"),
        ("names: cat dog\n", "written in a way not understood"),
        ("names: [[cat], dog]\n", "written in a way not understood"),
        ("names:\n  0: cat\n  0: dog\n", "from 0 without gaps"),
        ("names: !!python/object/apply:os.system [dog]\n  - : :", "expected YAML"),
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
    with pytest.raises(DataError, match=r"bonn_1_gtFine_instanceIds\.png: expected a map of 16 bits, .*, found 8 bits"):
        opened(made.cityscapes(tmp_path / "bits", np.full((30, 40), 26, np.uint8)))
    (made.cityscapes(tmp_path / "absent") / "gtFine" / "val" / "bonn" / "bonn_1_gtFine_instanceIds.png").unlink()
    with pytest.raises(DataError, match=r"bonn_1_leftImg8bit\.png' has no map .*bonn_1_gtFine_instanceIds\.png"):
        opened(tmp_path / "absent")


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
    monkeypatch.setattr("axialzoo.data.file_tree.MOST_BYTES", 1000)
    with pytest.raises(DataError, match=r"bomb\.zip:a: expected at most 1,000 bytes, found 2,000"):
        Zips([("", tmp_path / "bomb.zip")]).read("a")


def test_boxes_a_little_outside_are_clipped():
    actual = validate_boxes([[-TOLERANCE, 0, 5, 10 + TOLERANCE]], [0], (Label("a"),), (20, 10), "here")
    assert actual.boxes.tolist() == [[0, 0, 5, 10]]
    with pytest.raises(DataError, match="inside its picture"):
        validate_boxes([[-TOLERANCE - 0.01, 0, 5, 10]], [0], (Label("a"),), (20, 10), "here")


def test_classes_outside_the_list():
    data = Dataset({"train": ArraySplit(np.zeros((3, 4, 4, 3), np.uint8), np.array([0, 1, 2]), "made")}, (Label("a"), Label("b")))
    with pytest.raises(DataError, match="made 2: expected a class from 0 to 1, found 2"):
        check(data)


def test_checking_says_how_far_it_is(tmp_path):
    said = []
    check(open_data(made.coco(tmp_path)), lambda done, total: said.append((done, total)))
    assert said == [(1, 2), (2, 2)]
