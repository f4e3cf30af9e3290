"""The data sets beside the repository hold what their READMEs say."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from axialzoo.data import Dataset, check, open_data
from tests.data.made import SHARED


def opened(name: str, kind: str | None = None) -> Dataset:
    if not (SHARED / name).is_dir():
        pytest.skip(f"the data set {name} is not in shared/datasets beside the repository")
    return open_data(SHARED / name, kind)


def counts(found: dict, name: str) -> list[int]:
    return [split["objects"][name] for split in found.values()]


def test_bccd():
    data = opened("bccd")
    actual = check(data)
    assert data.kind == "boxes" and {name: split["pictures"] for name, split in actual.items()} == {"train": 205, "val": 87, "test": 72}
    assert counts(actual, "RBC") == [2381, 967, 805]
    assert counts(actual, "WBC") == [214, 87, 71]
    assert counts(actual, "Platelets") == [209, 83, 69]


def test_nuclei():
    data = opened("dsb2018_nuclei256")
    actual = check(data)
    assert {name: split["pictures"] for name, split in actual.items()} == {"train": 234, "val": 50}
    assert counts(actual, "nucleus") == [6805, 1292]
    assert [label.thing for label in data.labels] == [False, True]
    assert counts(check(opened("dsb2018_nuclei256", "boxes")), "nucleus") == [6805, 1292]


def test_camvid():
    data = opened("camvid")
    void, pixels = {}, {}
    for name, split in data.splits.items():
        maps = [split[index].annotation.segmentation for index in range(len(split))]
        void[name], pixels[name] = sum(int((item == 0).sum()) for item in maps), len(maps)
        assert {item.shape for item in maps} == {(360, 480)}
    assert pixels == {"train": 367, "val": 101, "test": 233}
    shares = {name: 100 * void[name] / (pixels[name] * 360 * 480) for name in void}
    assert shares == pytest.approx({"train": 4.0, "val": 1.7, "test": 3.8}, abs=0.06)
    assert len(data.labels) == 11


def test_coco_maps():
    data = opened("coco_panoptic200")
    actual = check(data)
    assert {name: split["pictures"] for name, split in actual.items()} == {"train": 26, "val": 27}
    assert data.about["annotations_without_picture"] == {"train": 74, "val": 73}
    assert sum(label.thing for label in data.labels) == 80 and len(data.labels) == 133


def test_areas_and_boxes_of_coco_maps_are_the_files_own():
    import json
    import zipfile

    data = opened("coco_panoptic200")
    with zipfile.ZipFile(SHARED / "coco_panoptic200" / "annotations.zip") as archive:
        messages = json.loads(archive.read("panoptic_val.json"))
    by_file = {row["file_name"].removesuffix(".png"): row["segments_info"] for row in messages["annotations"]}
    numbers = {row["id"]: at for at, row in enumerate(sorted(messages["categories"], key=lambda row: row["id"]))}
    split = data.split("val")
    for index in range(len(split)):
        sample = split[index]
        rows = by_file[sample.name.rpartition("/")[2].removesuffix(".jpg")]
        assert [item["area"] for item in sample.annotation.segments_info] == [row["area"] for row in rows]
        assert [item["label_id"] for item in sample.annotation.segments_info] == [numbers[row["category_id"]] for row in rows]
        theirs = np.array([row["bbox"] for row in rows], np.float64)
        theirs[:, 2:] += theirs[:, :2]
        assert np.abs(sample.annotation.boxes - theirs).max() <= 1


def test_cifar10():
    data = opened("cifar10")
    actual = check(data)
    assert {name: split["pictures"] for name, split in actual.items()} == {"train": 50_000, "test": 10_000}
    assert set(actual["train"]["objects"].values()) == {5000} and set(actual["test"]["objects"].values()) == {1000}


def test_pictures_of_zips_are_read_by_several_threads():
    from axialzoo.data.prefetch import prefetched

    split = opened("dsb2018_nuclei256").split("val")
    alone = [split[index].name for index in range(len(split))]
    assert [sample.name for sample in prefetched(split.__getitem__, range(len(split)), threads=4)] == alone
    assert all(item < two for item, two in pairwise(alone))
