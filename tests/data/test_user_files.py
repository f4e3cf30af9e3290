"""Real files as tools export them, with the values that are true of them."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from axialzoo.data import BadLabelError, DataError, check, open_data
from tests.data.made import SHARED

FILES = SHARED / "user_files"
pytestmark = pytest.mark.skipif(not FILES.is_dir(), reason="needs shared/datasets/user_files")


def test_roboflow_s_yolo():
    data = open_data(FILES / "yolo_roboflow")
    counts = check(data)
    assert {name: split["pictures"] for name, split in counts.items()} == {"train": 7, "val": 2, "test": 1}
    assert data.classes == ("fish", "primary", "shark")
    assert sum(sum(split["objects"].values()) for split in counts.values()) == 43 + 17  # boxes and polygons
    assert "of another machine" not in data.about["data.yaml"] and "/Users/tony" in data.about["data.yaml"]
    assert sum(map(len, (split["objects"] for split in counts.values()))) == 9


def test_roboflow_s_polygons_as_segments():
    with pytest.raises(BadLabelError, match="found 43 bad labels: 43 x box without outline"):
        check(open_data(FILES / "yolo_roboflow", "segments"))
    counts = check(open_data(FILES / "yolo_roboflow", "segments", "skip"))
    objects = [count for split in counts.values() for name, count in split["objects"].items() if name != "background"]
    assert sum(objects) == 17


def test_roboflow_s_voc():
    data = open_data(FILES / "voc_chess")
    counts = check(data)["train"]
    assert counts["pictures"] == 11 and len(data.classes) == 12 and counts["objects"]["white-pawn"] == 40
    assert "5c1.jpg" in data.about["pictures_without_label_file"]
    first = next(sample for sample in data.split("train") if sample.name.endswith("0AF.jpg"))  # its XML is 0af.xml
    assert first.annotation.boxes[0].tolist() == [555, 101, 623, 210] and first.annotation.label_names[0] == "black-king"


def test_bccd_s_voc():
    data = open_data(FILES / "voc_bccd")
    assert data.classes == ("Platelets", "RBC", "WBC")
    with pytest.raises(BadLabelError, match="2 x box without width or height") as error:
        check(data)
    assert "BloodImage_00338.xml" in str(error.value) and "BloodImage_00343.xml" in str(error.value)
    assert check(open_data(FILES / "voc_bccd", on_bad_label="skip"))["train"]["skipped"] == {"box without width or height": 2}


def test_roboflow_s_coco():
    data = open_data(FILES / "coco_roboflow")
    assert data.classes == ("rbc", "wbc") and "'RBC-WBC'" in data.about["left_out"]
    assert check(data)["test"]["objects"] == {"rbc": 211, "wbc": 10}
    with pytest.raises(BadLabelError, match="found 221 bad labels: 221 x box without outline"):
        open_data(FILES / "coco_roboflow", "segments")


def test_cvat_s_coco(tmp_path):
    shutil.copytree(FILES / "coco_cvat" / "annotations", tmp_path / "annotations")
    with pytest.raises(DataError, match="6 of 6 pictures are missing"):
        open_data(tmp_path)
    (tmp_path / "images").mkdir()
    for image in json.loads((tmp_path / "annotations" / "instances_default.json").read_text())["images"]:
        Image.new("RGB", (image["width"], image["height"]), (90, 90, 90)).save(tmp_path / "images" / image["file_name"])
    with pytest.raises(BadLabelError, match="found 29 bad labels") as error:  # the tool that wrote them mixed up its numbers
        open_data(tmp_path, "boxes")
    assert "18 x box that does not fit its outline, 10 x box outside its picture" in str(error.value)
    data = open_data(tmp_path, "boxes", "skip")
    (box,) = data.split("train")[0].annotation.boxes.tolist()
    assert box == pytest.approx([0, 98, 1199, 508], abs=0.01)  # that of the polygon
    counts = check(data)["train"]
    assert counts["pictures"] == 6 and sum(counts["objects"].values()) == 29
    assert len(counts["objects"]) == 23 and sum(count > 0 for count in counts["objects"].values()) == 10
    segments = check(open_data(tmp_path, "segments"))["train"]["objects"]
    assert segments["background"] == 6 and sum(segments.values()) - 6 <= 29


def test_labelme():
    data = open_data(FILES / "labelme")
    assert check(data)["train"]["objects"] == {"date": 11, "fig": 7, "hazelnut": 9}
    raw = json.loads((FILES / "labelme" / "0.json").read_text())["shapes"][0]
    points = np.array(raw["points"])
    sample = next(sample for sample in data.split("train") if sample.name.endswith("/0.jpg"))
    np.testing.assert_allclose(sample.annotation.boxes[0], [*points.min(0), *points.max(0)])
    assert sample.annotation.label_names[0] == raw["label"]
    annotation = next(
        sample for sample in open_data(FILES / "labelme", "segments").split("train") if sample.name.endswith("/0.jpg")
    ).annotation
    x, y = points.T
    area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    assert min(abs(info["area"] - area) for info in annotation.segments_info) < 0.01 * area


def test_a_map_with_a_palette():
    data = open_data(FILES / "labels_palette")
    assert check(data)["train"]["objects"] == {"background": 1, "object": 70}


@pytest.mark.parametrize(
    ("picture", "mask", "objects"),
    [("nuclei_uint16_512", "nuclei_mask_uint16_512", 125), ("nuclei_uint8_256", "nuclei_mask_uint16_256", 65)],
)
def test_stardist_s_label_images(tmp_path, picture, mask, objects):
    for folder, source in (("images", FILES / "tiff" / f"{picture}.tif"), ("masks", FILES / "labels_tiff" / f"{mask}.tif")):
        (tmp_path / folder).mkdir()
        shutil.copyfile(source, tmp_path / folder / "1.tif")
    assert check(open_data(tmp_path))["train"]["objects"] == {"background": 1, "object": objects}


def test_label_stacks_are_refused(tmp_path):
    for folder, source in (("images", "tiff/stack_uint16_31pages.tif"), ("masks", "labels_tiff/stack_mask_uint16_31pages.tif")):
        (tmp_path / folder).mkdir()
        shutil.copyfile(FILES / source, tmp_path / folder / "1.tif")
    with pytest.raises(DataError, match=r"expected a (map|picture) of one page"):
        check(open_data(tmp_path))


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("nifti", "NIfTI volumes: save slices"),
        ("qupath", "QuPath project: export"),
        ("jpeg", "pictures without labels"),
        ("png", "pictures without labels"),
        ("tiff", "pictures without labels"),
        ("labels_tiff", "pictures without labels"),
    ],
)
def test_folders_without_labels_are_refused_with_what_to_do(folder, message):
    with pytest.raises(DataError, match="nothing known in") as error:
        open_data(FILES / folder)
    assert message in str(error.value)
