"""A reader opens a folder only if it is sure; otherwise the error lists what lies there, what is needed, and where the data may be."""

from __future__ import annotations

import numpy as np
import pytest

from axialzoo.data import DataError, check, open_data
from axialzoo.data.components import count_regions
from tests.data.user_formats import FORMATS, LINE, PICTURE, VOC, coco, discs, write

BY_TITLE = {item.title: item for item in FORMATS}


@pytest.mark.parametrize(
    ("files", "messages"),
    [
        ({"images/1.jpg": PICTURE, "images/2.jpg": PICTURE}, ["an image folder", "not 'images'"]),
        ({"set/train/cat/1.jpg": PICTURE, "set/train/dog/1.jpg": PICTURE}, ["set' looks like an image folder; give that folder"]),
        ({"photos/1.jpg": PICTURE}, ["at least two folders of pictures"]),
        ({"1.jpg": PICTURE}, ["1 .jpg", "pictures without labels"]),
        ({"train/1.jpg": PICTURE, "test/2.jpg": PICTURE}, ["2 pictures directly in train, test; needs one folder a class"]),
        ({"cat/train/1.jpg": PICTURE, "dog/train/1.jpg": PICTURE}, ["an image folder"]),
        ({"images/1.jpg": PICTURE, "labels/1.txt": LINE}, ["found pictures with .txt files; needs the class names: data.yaml"]),
        ({"data.yaml": "names: [a]\n", "a/1.jpg": PICTURE}, ["YOLO", "found data.yaml"]),
        ({"annotations.xml": "<annotations/>", "images/1.jpg": PICTURE}, ["CVAT's own XML", "export as COCO 1.0"]),
        ({"train_images/1.jpg": PICTURE, "test_images/2.jpg": PICTURE}, ["folders named after classes, not"]),
        ({"obj_train_data/1.jpg": PICTURE, "v1.2/2.jpg": PICTURE}, ["folders named after classes, not"]),
        ({"x.nii.gz": "", "y.qpproj": ""}, ["NIfTI volumes: save slices", "export the annotations as label images"]),
        ({"cell_seg.npy": "", "cell.png": PICTURE}, ["are pickles, which are never loaded"]),
        ({"leftImg8bit/train/a/1_leftImg8bit.png": PICTURE}, ["found the folder leftImg8bit; needs gtFine beside it"]),
        ({"training/v1.2/instances/1.png": discs(1), "training/images/1.jpg": PICTURE}, ["needs config_v1.2.json"]),
    ],
)
def test_a_folder_that_nothing_fits_is_refused_with_what_to_do(tmp_path, files, messages):
    with pytest.raises(DataError, match="nothing known in") as error:
        open_data(write(files, tmp_path))
    for message in messages:
        assert message in str(error.value), str(error.value)


def test_only_formats_of_the_wanted_kind_are_listed(tmp_path):
    with pytest.raises(DataError, match="nothing known in") as error:
        open_data(write({"images/1.jpg": PICTURE}, tmp_path), "boxes")
    assert "image folder" not in str(error.value) and "Pascal VOC" in str(error.value)


def test_a_vehicle_called_train_is_a_class(tmp_path):
    files = {f"{name}/{number}.jpg": PICTURE for name in ("bus", "car", "train") for number in (1, 2)}
    assert open_data(write(files, tmp_path)).classes == ("bus", "car", "train")


def test_the_better_format_wins(tmp_path):
    files = {**BY_TITLE["COCO (Roboflow)"].files, "extra/1.jpg": PICTURE}
    assert open_data(write(files, tmp_path / "coco")).reader == "COCO instances"
    files = {"1.jpg": PICTURE, "1.xml": VOC, "annotations.json": coco("1.jpg")}
    with pytest.raises(DataError, match=r"several data sets: COCO instances \(boxes\), Pascal VOC \(boxes\)"):
        open_data(write(files, tmp_path / "both"))


def test_two_jsons_without_split_are_refused(tmp_path):
    files = {"a.json": coco("1.jpg"), "b.json": coco("1.jpg"), "images/1.jpg": PICTURE}
    with pytest.raises(DataError, match=r"whose name does not say train, val or test .* found a\.json and b\.json"):
        open_data(write(files, tmp_path))


def test_a_json_that_names_its_split_in_any_way_is_of_that_split(tmp_path):
    files = {"annotations/instances_Train.json": coco("1.jpg"), "annotations/instances_Validation.json": coco("2.jpg")}
    files |= {"images/Train/1.jpg": PICTURE, "images/Validation/2.jpg": PICTURE}
    assert list(open_data(write(files, tmp_path)).splits) == ["train", "val"]


def test_maps_of_classes_are_not_taken_for_instances(tmp_path):
    rng = np.random.default_rng(0)
    files = {}
    for number in range(3):
        files[f"images/{number}.jpg"] = PICTURE
        files[f"labels/{number}.png"] = np.kron(rng.integers(0, 4, (6, 8)), np.ones((5, 5), int)).astype(np.uint8)
    with pytest.raises(DataError, match=r"separate regions of .* look like maps of classes; expected a labels\.json"):
        open_data(write(files, tmp_path))
    data = open_data(write({"labels.json": {"maps": "instances", "labels": ["background", "cell"]}}, tmp_path))
    assert data.classes == ("background", "cell") and not data.generic_labels


def test_masks_of_0_and_1_with_several_objects_are_refused(tmp_path):
    files = {"images/1.jpg": PICTURE, "labels/1.png": discs(1, 1, 1, dtype=np.uint8)}
    with pytest.raises(DataError, match="black-and-white masks of 0 and 1"):
        open_data(write(files, tmp_path))


def test_regions_are_counted():
    assert count_regions(discs(1, 2, 1).astype(np.int32)) == {1: 2, 2: 1}
    assert count_regions(np.zeros((4, 4), np.int32)) == {}
    speck = discs(3).astype(np.int32)
    speck[0, 0] = 3
    assert count_regions(speck) == {3: 1}  # a speck beside an object is none


def test_two_splits_of_the_same_pictures_are_told(tmp_path):
    data = open_data(write(BY_TITLE["YOLO (coco128)"].files, tmp_path))
    assert check(data)["val"]["same_as"] == "train"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("https://x.org/a.zip", r"an address; fetch it first \(curl -LO 'https://x.org/a.zip'\)"),
        ("-", "standard input"),
        ("photos/*", "a pattern; give the folder itself"),
        ("nowhere", "nothing of this name"),
    ],
)
def test_names_that_are_no_folder_are_refused_with_what_to_do(name, message):
    with pytest.raises(DataError, match=message):
        open_data(name)


def test_archives_and_files_are_refused_with_what_to_do(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"")
    (tmp_path / "train.json").write_text("{}")
    with pytest.raises(DataError, match="an archive; unpack it"):
        open_data(tmp_path / "a.zip")
    with pytest.raises(DataError, match="a file; give the folder that holds it"):
        open_data(tmp_path / "train.json")


def test_links_that_lead_back_are_not_followed(tmp_path):
    write(BY_TITLE["A folder a class"].files, tmp_path)
    (tmp_path / "train" / "cat" / "loop").symlink_to(tmp_path / "train")
    (tmp_path / "train" / "cat" / "self").symlink_to(tmp_path / "train" / "cat" / "self")
    (tmp_path / "train" / "dog" / "2.jpg").symlink_to(tmp_path / "train" / "dog" / "1.jpg")
    data = open_data(tmp_path)
    assert len(data.splits["train"]) == 3 and data.classes == ("cat", "dog")


def test_classes_may_have_words_of_splits_and_formats(tmp_path):
    names = ("test_tube", "train_station", "imaging")
    assert open_data(write({f"{name}/1.jpg": PICTURE for name in names}, tmp_path)).classes == tuple(sorted(names))


def test_kaggle_s_sets_are_splits(tmp_path):
    files = {f"{split}/{name}/1.jfif": PICTURE for split in ("training_set", "test_set") for name in ("cats", "dogs")}
    data = open_data(write(files, tmp_path))
    assert list(data.splits) == ["train", "test"] and data.classes == ("cats", "dogs")


def test_files_that_are_no_pictures_are_told(tmp_path):
    data = open_data(write({"cat/1.jpg": PICTURE, "dog/1.jpg": PICTURE, "dog/2.heic": "", "dog/3.heic": ""}, tmp_path))
    assert data.about["other_files"] == "passed over in the folders of classes: 2 of .heic"


def test_folders_of_other_years_do_not_hide_a_data_set(tmp_path):
    files = {**BY_TITLE["COCO"].files, "train2014/9.jpg": PICTURE}
    assert open_data(write(files, tmp_path)).reader == "COCO instances"
