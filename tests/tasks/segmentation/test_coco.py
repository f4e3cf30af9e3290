"""Segments in COCO's panoptic files: there and back, whole or not at all; and COCO's own files where they are at hand."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from axialzoo.tasks.segmentation import PanopticQuality
from axialzoo.tasks.segmentation.coco import ids_to_rgb, read_panoptic, rgb_to_ids, write_panoptic
from axialzoo.tasks.segmentation.quality import compare
from tests.tasks.segmentation import plain
from tests.tasks.segmentation.plain import LABELS, discs

ROOT = Path(__file__).resolve().parents[3]
ARCHIVES = [folder / "shared/datasets/coco_panoptic200/annotations.zip" for folder in ROOT.parents]
ARCHIVE = next((file for file in ARCHIVES if file.exists()), ARCHIVES[0])


@given(arrays.arrays(np.int32, (3, 4), elements=st.integers(0, 256**3 - 1)))
def test_ids_are_colours_and_back(ids):
    assert np.array_equal(rgb_to_ids(ids_to_rgb(ids)), ids)


def test_an_id_is_red_and_256_green_and_65536_blue():
    assert ids_to_rgb(np.array([[1 + 2 * 256 + 3 * 65536]])).tolist() == [[[1, 2, 3]]]
    for ids in (np.array([[256**3]]), np.array([[-1]])):
        with pytest.raises(ValueError, match="ids: expected from 0 to"):
            ids_to_rgb(ids)


def test_segments_come_back_from_files(tmp_path):
    numbers = [11, 22, 33, 90]
    file = write_panoptic(tmp_path, {"one": discs(crowd=True), "two": discs()}, LABELS, numbers)
    actual, labels, categories = read_panoptic(file, tmp_path / "panoptic")
    assert labels == LABELS and categories == numbers and list(actual) == ["one", "two"]
    assert np.array_equal(actual["one"].segmentation, discs().segmentation)
    assert list(actual["one"].segments_info) == discs(crowd=True).segments_info
    info = json.loads(file.read_text())["annotations"][0]["segments_info"]
    assert info[2] == {"id": 3, "category_id": 22, "area": 253, "bbox": [11, 7, 19, 19], "iscrowd": 0, "score": 1.0}
    assert not list(tmp_path.rglob("*.part"))


def test_files_that_do_not_agree_are_refused_by_name(tmp_path):
    file = write_panoptic(tmp_path, {"one": discs()}, LABELS)
    Image.fromarray(ids_to_rgb(discs().segmentation + 1)).save(tmp_path / "panoptic" / "one.png")
    with pytest.raises(ValueError, match=r"one.png: map: expected only ids that segments_info has"):
        read_panoptic(file, tmp_path / "panoptic")
    content = json.loads(file.read_text())
    content["categories"] = content["categories"][1:]
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"one.png: expected categories .* found \[0\]"):
        read_panoptic(file, tmp_path / "panoptic")
    with pytest.raises(ValueError, match="category_ids: expected 4"):
        write_panoptic(tmp_path, {}, LABELS, [1])


@pytest.mark.skipif(not ARCHIVE.exists(), reason="the COCO panoptic annotations (coco_panoptic200) are not here")
def test_cocos_own_files_are_read_and_scored(tmp_path):
    with zipfile.ZipFile(ARCHIVE) as archive:
        name = next(item for item in archive.namelist() if item.endswith("panoptic_val.json"))
        content = json.loads(archive.read(name))
        content["annotations"] = content["annotations"][:12]
        (tmp_path / "panoptic.json").write_text(json.dumps(content))
        for item in content["annotations"]:
            data = archive.read(next(entry for entry in archive.namelist() if entry.endswith(f"val/{item['file_name']}")))
            Image.open(io.BytesIO(data)).save(tmp_path / item["file_name"])
    actual, labels, _ = read_panoptic(tmp_path / "panoptic.json", tmp_path)
    quality = PanopticQuality(labels)
    for item, segments in zip(content["annotations"], actual.values()):
        for info, box in zip(item["segments_info"], segments.boxes):
            assert (segments.segmentation == info["id"]).sum() == info["area"]
            left, top, right, bottom = box
            assert np.abs(np.array(info["bbox"]) - (left, top, right - left, bottom - top)).max() <= 1
        quality.update(segments, segments)
    assert len(labels) == 133 and quality.compute()["pq"] == 1
    moved = type(segments)(np.roll(segments.segmentation, 9, 1), segments.segments_info, labels)
    for ours, theirs in zip(compare(moved, segments, 133), plain.panoptic_quality(moved, segments, 133)):
        assert np.allclose(ours, theirs)
