"""Each reader gives exactly the ground truth that a format's files tell."""

from __future__ import annotations

import numpy as np
import pytest

from axialzoo.data import DataError, check, open_data
from axialzoo.data.readers.masks import decode_mask, fill_polygon
from axialzoo.tasks.results import Detections, Segmentation
from tests.data import made


def boxes(sample) -> Detections:
    assert isinstance(sample.annotation, Detections)
    return sample.annotation


def segments(sample) -> Segmentation:
    assert isinstance(sample.annotation, Segmentation)
    return sample.annotation


def test_coco_boxes(tmp_path):
    data = open_data(made.coco(tmp_path))
    assert data.kind == "boxes" and data.classes == ("cat", "dog")  # by category id
    first, second = data.split("train")
    assert boxes(first).boxes.tolist() == [[4, 5, 14, 11], [20, 10, 22, 15]]
    assert boxes(first).labels.tolist() == [0, 1] and boxes(first).crowd.tolist() == [False, True]
    assert len(boxes(second)) == 0 and boxes(second).boxes.shape == (0, 4)
    assert check(data)["train"] == {"pictures": 2, "objects": {"cat": 1, "dog": 0}, "crowds": 1, "without": 1}


def test_boxes_of_corners_read_as_sides_would_be_seen(tmp_path):
    def corners(data):
        data["annotations"][0]["bbox"] = [4, 5, 14, 11]

    with pytest.raises(DataError, match=r"annotation 1: expected the box of its outline, .* 4, 5, 14, 11, found bbox \[4, 5, 14, 11\]"):
        open_data(made.coco(tmp_path, corners))


def test_a_class_off_by_one_would_be_seen(tmp_path):
    def one_off(data):
        for item in data["annotations"]:
            item["category_id"] += 1

    with pytest.raises(DataError, match="category_id 19 is not among the file's 2"):
        open_data(made.coco(tmp_path, one_off))


def test_coco_segments_come_from_polygons_and_run_lengths(tmp_path):
    data = open_data(made.coco(tmp_path), kind="segments")
    assert data.classes == ("cat", "dog", "background") and not data.labels[2].thing
    actual = segments(data.split("train")[0])
    areas = {item["label_id"]: item["area"] for item in actual.segments_info}
    assert areas == {0: 60, 1: 10, 2: 40 * 30 - 70}
    assert actual.boxes[:2].tolist() == [[4, 5, 14, 11], [20, 10, 22, 15]] and actual.segments_info[1]["iscrowd"] == 1
    assert [item["label_id"] for item in segments(data.split("train")[1]).segments_info] == [2]


RING = "[e0;_14M2N2M4N0O2N2N2O0O2O0O2O0O2O0O2O00000O2O00[OBL>3DL<3FL:3HL83JL64JL64JL64JL64JL64JL64JL65HL85FL:5DL<5BL>i0001N1000001N101N101N101N101N2N2N102L3N2N3LSb0"  # noqa: E501


def test_compressed_run_lengths_are_coco_s():
    """The texts are pycocotools' own."""
    square = np.zeros((4, 6), bool)
    square[1:3, 1:3] = True
    assert np.array_equal(decode_mask({"size": [4, 6], "counts": "5220;"}, 4, 6, "here"), square)
    y, x = np.mgrid[:60, :80]
    ring = (((x - 40) / 30) ** 2 + ((y - 28) / 20) ** 2 < 1) & ~((x - 40) ** 2 + (y - 30) ** 2 < 60)
    assert np.array_equal(decode_mask({"size": [60, 80], "counts": RING}, 60, 80, "here"), ring)


def test_polygons_fill_the_pixels_whose_centre_they_hold():
    triangle = fill_polygon(np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]]), 8, 8)
    x, y = np.meshgrid(np.arange(8) + 0.5, np.arange(8) + 0.5)
    assert np.array_equal(triangle, x + y <= 8) or np.array_equal(triangle, x + y < 8)
    assert fill_polygon(np.array([[-5.0, -5.0], [50.0, -5.0], [50.0, 50.0], [-5.0, 50.0]]), 8, 8).all()


def test_coco_maps(tmp_path):
    data = open_data(made.coco_maps(tmp_path))
    assert data.kind == "segments" and data.classes == ("person", "sky") and data.labels[1].colour == (70, 130, 180)
    actual = segments(data.split("val")[0])
    assert (
        actual.segmentation[0, 0] == 1
        and actual.segmentation[12, 6] == 2
        and actual.segmentation[25, 35] == 3
        and actual.segmentation[12, 0] == 0
    )
    assert [(item["label_id"], item["area"], item.get("iscrowd", 0)) for item in actual.segments_info] == [
        (1, 400, 0),
        (0, 100, 0),
        (0, 100, 1),
    ]


def test_segments_give_boxes_of_their_things(tmp_path):
    data = open_data(made.coco_maps(tmp_path), kind="boxes")
    actual = boxes(data.split("val")[0])
    assert data.classes == ("person",) and actual.boxes.tolist() == [[5, 10, 15, 20], [30, 20, 40, 30]]
    assert actual.labels.tolist() == [0, 0] and actual.crowd.tolist() == [False, True]


@pytest.mark.parametrize(
    "names",
    [
        "names: [cat, 'dog']\n",
        "path: x\nnames:\n- cat\n- dog\n",
        "nc: 2\nnames:  # classes\n  0: cat\n  1: dog\ntrain: a\n",
        "names:\n  - cat\n  - dog",
        "names: {0: cat, 1: dog}\n",
        "names: [\n  cat,  # a comment\n  dog]\n",
        "names: &names\n- cat\n- dog\nother: *names\n",
    ],
)
def test_yolo(tmp_path, names):
    data = open_data(made.yolo(tmp_path, names=names))
    first, second = data.split("train")
    assert data.kind == "boxes" and data.classes == ("cat", "dog")
    np.testing.assert_allclose(boxes(first).boxes, [[0, 12, 20, 18], [32, 24, 40, 30]])
    assert boxes(first).labels.tolist() == [1, 0] and len(boxes(second)) == 0
    assert data.about["pictures_without_label_file"] == {"train": 1}


def test_a_centre_read_as_a_corner_would_be_seen(tmp_path):
    with pytest.raises(DataError, match=r"a\.txt: line 2: expected a box inside its picture"):
        check(open_data(made.yolo(tmp_path, lines="1 0.25 0.5 0.5 0.2\n0 0.95 0.95 0.2 0.2\n")))


def test_maps_of_instances_may_have_gaps(tmp_path):
    data = open_data(made.maps(tmp_path / "nuclei"))
    expected = [("background", False, (0, 0, 0)), ("object", True, None)]  # black: a picture is drawn darker where nothing is
    assert [(label.name, label.thing, label.colour) for label in data.labels] == expected
    actual = segments(data.split("train")[0])
    assert [(item["id"], item["label_id"], item["area"]) for item in actual.segments_info] == [(1, 0, 1200 - 74), (2, 1, 24), (3, 1, 50)]
    assert actual.to_detections().boxes.tolist() == [[3, 2, 9, 6], [20, 10, 25, 20]]


def test_maps_of_16_bits_hold_many_instances(tmp_path):
    values = np.arange(1200, dtype=np.uint16).reshape(30, 40)
    actual = segments(open_data(made.maps(tmp_path / "cells", values)).split("train")[0])
    assert len(actual) == 1200 and actual.segmentation.max() == 1200


def test_a_picture_without_instances_is_fine(tmp_path):
    actual = segments(open_data(made.maps(tmp_path / "cells", np.zeros((30, 40), np.uint8))).split("train")[0])
    assert len(actual) == 1 and len(actual.to_detections()) == 0


def test_maps_of_classes_where_a_json_says_so(tmp_path):
    values = np.full((30, 40), 255, np.uint8)
    values[:10], values[20:] = 0, 2
    data = open_data(made.maps(tmp_path, values, "val", [{"name": "sky", "colour": [1, 2, 3]}, "road", "tree"]))
    actual = segments(data.split("val")[0])
    assert data.classes == ("sky", "road", "tree") and data.labels[0].colour == (1, 2, 3) and not data.labels[0].thing
    assert actual.class_map[0, 0] == 0 and actual.class_map[15, 0] == -1 and actual.class_map[25, 0] == 2
    assert [item["label_id"] for item in actual.segments_info] == [0, 2]


def test_cityscapes(tmp_path):
    data = open_data(made.cityscapes(tmp_path))
    actual = segments(data.split("val")[0])
    assert len(data.labels) == 19 and sum(label.thing for label in data.labels) == 8
    rows = {(data.classes[item["label_id"]], item["area"], item.get("iscrowd", 0)) for item in actual.segments_info}
    assert rows == {("road", 1200 - 200 - 25 - 50 - 100, 0), ("car", 25, 0), ("car", 50, 0), ("person", 100, 1)}
    assert actual.segmentation[0, 0] == 0


def test_a_folder_without_splits_serves_as_both(tmp_path):
    made.write_picture(tmp_path / "images" / "a.png")
    made.write_map(tmp_path / "labels" / "a.png", np.ones((30, 40), np.uint8))
    data = open_data(tmp_path)
    assert len(data.split("train")) == len(data.split("test")) == 1 and "same pictures" in data.about["splits"]


def test_several_data_sets_in_a_folder_are_told_apart_by_kind(tmp_path):
    made.coco(tmp_path)
    made.coco_maps(tmp_path)
    assert open_data(tmp_path, "boxes").kind == "boxes" and open_data(tmp_path, "segments").classes == ("person", "sky")
    with pytest.raises(DataError, match=r"several data sets: COCO instances \(boxes\), COCO panoptic \(segments\)"):
        open_data(tmp_path)


def test_what_was_looked_for_is_named(tmp_path):
    with pytest.raises(DataError, match="nothing known") as error:
        open_data(tmp_path)
    for name in ("train.json", "panoptic_train.json", "data.yaml", "leftImg8bit", "labels.json", "one folder a class", "cifar10_test.zip"):
        assert name in str(error.value)
    with pytest.raises(DataError, match="expected kind classes, boxes, segments or None, found 'box'"):
        open_data(tmp_path, "box")
    with pytest.raises(DataError, match="boxes alone cannot give segments"):
        check(open_data(made.yolo(tmp_path), "segments"))
