"""Bad labels are listed together with counts by kind, or left out and counted."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from axialzoo.data import BadLabelError, DataError, check, open_data
from axialzoo.data.faults import LISTED, Fault, LabelPolicy
from tests.data import made
from tests.data.user_formats import LINE, PICTURE, POLYGON, VOC, shapes, write


def spoiled(data: dict) -> None:
    rows = data["annotations"]
    rows[0] |= {"bbox": [4, 5, 10, 0], "segmentation": []}
    rows.append(made.annotation(3, 9, 18, [3, 3, 0, 5]))
    rows.append(made.annotation(4, 9, 18, [39, 3, 9, 5]))
    rows.append(made.annotation(5, 9, 99, [3, 3, 5, 5]))
    rows.append(made.annotation(6, 9, 17, [1, 2, 5, 5]))


def test_all_faults_of_a_file_are_listed_with_counts_and_the_switch(tmp_path):
    with pytest.raises(BadLabelError) as error:
        open_data(made.coco(tmp_path, spoiled))
    text = str(error.value)
    assert "found 4 bad labels: 2 x box without width or height" in text and "--on-bad-label skip" in text
    for number in (1, 3, 4, 5):
        assert f"annotation {number}:" in text
    assert copy.copy(error.value).faults == error.value.faults  # as between processes


def test_skipped_labels_are_left_out_and_counted(tmp_path):
    data = open_data(made.coco(tmp_path, spoiled), on_bad_label="skip")
    counts = check(data)["train"]
    assert counts["objects"] == {"cat": 1, "dog": 0} and counts["crowds"] == 1
    assert counts["skipped"] == {
        "annotation of an unknown category": 1, "box without width or height": 2, "box outside its picture": 1,
    }  # fmt: skip
    assert data.split("train")[1].annotation.boxes.tolist() == [[1, 2, 6, 7]]
    check(data)  # a second look counts nothing twice
    assert len(data.policy.skipped) == 4


def test_faults_of_all_files_of_a_folder_are_listed(tmp_path):
    files = {"classes.txt": "cat\ndog\n"}
    for number, line in enumerate(("7 .5 .5 .1 .1", "0 .5 .5 .1", "0 .5 .5 .1 .1 .9", "0 .99 .5 .5 .1", LINE)):
        files |= {f"images/{number}.jpg": PICTURE, f"labels/{number}.txt": line + "\n" + LINE}
    write(files, tmp_path)
    with pytest.raises(BadLabelError, match="found 3 bad labels") as error:
        open_data(tmp_path)
    assert "is the last number a confidence?" in str(error.value)
    data = open_data(tmp_path, on_bad_label="skip")
    counts = check(data)["train"]
    assert counts["objects"] == {"cat": 0, "dog": 6} and sum(counts["skipped"].values()) == 4


def test_samples_that_are_bad_are_listed_together(tmp_path):
    files = {f"{number}.xml": VOC.replace("<xmax>14", "<xmax>4") for number in (1, 2)} | {f"{number}.jpg": PICTURE for number in (1, 2)}
    with pytest.raises(BadLabelError, match="found 2 bad labels: 2 x box without width or height"):
        check(open_data(write(files, tmp_path)))
    (tmp_path / "1.jpg").write_bytes(b"none")
    with pytest.raises(BadLabelError, match=r"1\.jpg: not a picture that can be read"):
        check(open_data(tmp_path, on_bad_label="skip"))  # a picture cannot be skipped


def test_boxes_among_polygons_are_no_segments(tmp_path):
    files = {"classes.txt": "cat\ndog\n", "images/1.jpg": PICTURE, "labels/1.txt": POLYGON + LINE}
    write(files, tmp_path)
    assert len(open_data(tmp_path).split("train")[0].annotation) == 2
    with pytest.raises(BadLabelError, match=r"1\.txt: line 2: a box; expected a polygon"):
        check(open_data(tmp_path, "segments"))
    counts = check(open_data(tmp_path, "segments", "skip"))["train"]
    assert counts["objects"]["dog"] == 1 and counts["skipped"] == {"box without outline": 1}


def test_points_of_labelme_are_no_objects(tmp_path):
    value = shapes("1.jpg")
    value["shapes"].append({"label": "eye", "points": [[3, 3]], "shape_type": "point"})
    write({"1.jpg": PICTURE, "1.json": value}, tmp_path)
    with pytest.raises(BadLabelError, match=r"shape 2 \(eye\): expected a polygon, rectangle, circle or mask, found a point of 1 points"):
        open_data(tmp_path)
    assert open_data(tmp_path, on_bad_label="skip").classes == ("dog",)


def test_outlines_of_two_points_can_be_skipped(tmp_path):
    def two_points(data):
        data["annotations"][0]["segmentation"] = [[1, 2, 3, 4]]

    made.coco(tmp_path, two_points)
    assert check(open_data(tmp_path, "boxes"))["train"]["objects"] == {"cat": 1, "dog": 0}
    counts = check(open_data(tmp_path, "segments", "skip"))["train"]
    assert counts["objects"] == {"cat": 0, "dog": 0, "background": 2}


def test_a_box_that_is_not_that_of_its_outline_is_told(tmp_path):
    def centre(data):
        data["annotations"][0]["bbox"] = [9, 8, 10, 6]  # written as centre, width and height

    made.coco(tmp_path, centre)
    with pytest.raises(BadLabelError, match=r"annotation 1: expected the box of its outline, left, top, right, bottom 4, 5, 14, 11, found"):
        open_data(tmp_path)
    data = open_data(tmp_path, on_bad_label="skip")
    assert data.split("train")[0].annotation.boxes[0].tolist() == [4, 5, 14, 11]
    assert [fault.kind for fault in data.policy.skipped] == ["box that does not fit its outline"]


def test_values_that_are_no_class_become_void(tmp_path):
    values = np.zeros((30, 40), np.uint8)
    values[:5], values[20:] = 1, 7
    made.maps(tmp_path, values, labels=["a", "b"])
    with pytest.raises(BadLabelError, match="expected classes from 0 to 1 or 255 for void, found 7"):
        check(open_data(tmp_path))
    annotation = open_data(tmp_path, on_bad_label="skip").split("train")[0].annotation
    assert annotation.class_map[25, 0] == -1 and [info["area"] for info in annotation.segments_info] == [600, 200]


def test_long_lists_are_cut():
    faults = [Fault("a", f"label {number}") for number in range(LISTED + 5)]
    text = str(BadLabelError(faults))
    assert f"label {LISTED - 1}" in text and f"label {LISTED}\n" not in text and "... and 5 more" in text and "25 x a" in text


def test_another_action_is_refused():
    with pytest.raises(DataError, match="on_bad_label: expected error or skip, found 'warn'"):
        LabelPolicy("warn")


def test_a_part_of_a_data_set_can_be_used(tmp_path):
    made.coco(tmp_path)
    (tmp_path / "images" / "b.png").unlink()
    with pytest.raises(DataError, match=r"1 of 2 pictures are missing, first 'b\.png'"):
        open_data(tmp_path)
    data = open_data(tmp_path, on_bad_label="skip")
    assert len(data.split("train")) == 1 and [fault.kind for fault in data.policy.skipped] == ["file of labels with missing pictures"]
    (tmp_path / "images" / "a.png").unlink()
    with pytest.raises(DataError, match="2 of 2 pictures are missing"):
        open_data(tmp_path, on_bad_label="skip")


def test_images_of_merged_exports_that_occur_twice_can_be_skipped(tmp_path):
    made.coco(tmp_path, lambda data: data["images"].append(dict(data["images"][0])))
    with pytest.raises(DataError, match="image id 7 occurs twice"):
        open_data(tmp_path)
    data = open_data(tmp_path, on_bad_label="skip")
    assert len(data.split("train")) == 2 and [fault.kind for fault in data.policy.skipped] == ["image that occurs twice"]


def test_pictures_and_maps_without_the_other_can_be_skipped(tmp_path):
    made.maps(tmp_path)
    made.write_picture(tmp_path / "train" / "images" / "b.png")
    made.write_map(tmp_path / "train" / "labels" / "c.png", np.ones((30, 40), np.uint8))
    with pytest.raises(DataError, match=r"c\.png' has no picture"):
        open_data(tmp_path)
    data = open_data(tmp_path, on_bad_label="skip")
    assert len(data.split("train")) == 1
    assert sorted(fault.kind for fault in data.policy.skipped) == ["label without picture", "picture without label"]
