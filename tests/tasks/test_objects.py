"""Objects as a label map and a table: the numbers of one are the rows of the other, and measures are those of the pixels."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from axialzoo.image.tiff import write_label_tiff
from axialzoo.spec import SpecError
from axialzoo.spec.labels import Label
from axialzoo.tasks import TASKS
from axialzoo.tasks.objects import COLUMNS, check_has_masks, label_map, object_table, write_table
from axialzoo.tasks.results import Segmentation

LABELS = (Label("background", False), Label("nucleus"))


def segments() -> Segmentation:
    """Background with id 7, a nucleus of 2 x 3 with id 9, an L of three pixels with id 2; an object without a pixel; void at a corner."""
    ids = np.full((6, 8), 7, np.int32)
    ids[1:3, 2:5] = 9
    ids[4, 6], ids[5, 6], ids[5, 7] = 2, 2, 2
    ids[0, 0] = 0
    info = [
        {"id": 7, "label_id": 0, "score": 0.99, "area": 38},
        {"id": 9, "label_id": 1, "score": 0.75, "area": 6},
        {"id": 2, "label_id": 1, "score": 0.5, "area": 3},
        {"id": 4, "label_id": 1, "score": 0.4, "area": 0},
    ]
    return Segmentation(ids, info, LABELS)


def picture() -> Image.Image:
    gray = np.zeros((6, 8), np.uint8)
    gray[1:3, 2:5] = [[10, 20, 30], [40, 50, 60]]
    gray[4:, 6:] = 90
    return Image.fromarray(gray).convert("RGB")


def plain_row(ids: np.ndarray, number: int, gray: np.ndarray) -> dict[str, float]:
    """Measure one object, pixel by pixel."""
    rows, columns = np.nonzero(ids == number)
    return {
        "area": len(rows), "left": columns.min(), "top": rows.min(), "right": columns.max() + 1, "bottom": rows.max() + 1,
        "centroid_x": columns.mean(), "centroid_y": rows.mean(), "mean_intensity": gray[rows, columns].mean(),
        "equivalent_diameter": (4 * len(rows) / np.pi) ** 0.5,
    }  # fmt: skip


def check_rows(table, ids, gray):
    for row in table:
        for name, value in plain_row(ids, row["id"], gray).items():
            assert row[name] == pytest.approx(value, abs=1e-3), name


def test_the_map_and_the_table_tell_the_same_objects():
    ids = label_map(segments())
    assert ids.dtype == np.uint16 and np.unique(ids).tolist() == [0, 1, 2]
    assert (ids == 1).sum() == 6 and ids[4, 6] == 2 and ids[0, 0] == 0
    table = object_table(segments(), picture(), "a.png")
    assert [(row["id"], row["class"], row["score"], row["image"]) for row in table] == [
        (1, "nucleus", 0.75, "a.png"),
        (2, "nucleus", 0.5, "a.png"),
    ]
    check_rows(table, ids, np.asarray(picture().convert("L")))


@pytest.mark.parametrize("name", ["left", "centroid_x", "mean_intensity", "area"])
def test_a_measure_that_is_off_by_one_would_be_seen(name):
    table = object_table(segments(), picture())
    table[0][name] += 1
    with pytest.raises(AssertionError, match=name):
        check_rows(table, label_map(segments()), np.asarray(picture().convert("L")))


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(ValueError, match="expected 8 x 6 pixels"):
        object_table(segments(), Image.new("RGB", (6, 8)))


def test_nothing_found_is_an_empty_map_and_a_header(tmp_path):
    empty = Segmentation(np.zeros((3, 4), np.int32), [], LABELS)
    assert label_map(empty).tolist() == [[0] * 4] * 3 and object_table(empty, Image.new("RGB", (4, 3))) == []
    write_table(tmp_path / "a.csv", [])
    assert (tmp_path / "a.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_a_table_reads_back(tmp_path):
    rows = object_table(segments(), picture(), 'a, "b".png')
    write_table(tmp_path / "a.csv", rows)
    with open(tmp_path / "a.csv", newline="") as stream:
        read = list(csv.DictReader(stream))
    assert [{name: str(value) for name, value in row.items()} for row in rows] == read


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_label_maps_read_back_unsigned(tmp_path, dtype):
    values = np.array([[0, 1, 40_000], [65_535, 7, 2]], dtype)
    if dtype == np.uint32:
        values[0, 0] = 70_000
    write_label_tiff(tmp_path / "a.tif", values)
    with Image.open(tmp_path / "a.tif") as image:
        tags = image.tag_v2  # pyright: ignore[reportAttributeAccessIssue]
        assert np.asarray(image).tolist() == values.tolist()
        assert tags[258] == (8 * values.itemsize,) and tags.get(339, (1,)) in ((1,), 1)


@pytest.mark.parametrize("values", [np.zeros((2, 2), np.int32), np.zeros((2, 2, 3), np.uint16), np.full((1, 1), 1 << 31, np.uint32)])
def test_arrays_that_are_no_label_maps_are_refused(tmp_path, values):
    with pytest.raises(ValueError, match="labels: expected"):
        write_label_tiff(tmp_path / "a.tif", values)


def test_tasks_without_masks_are_refused_by_name():
    check_has_masks(TASKS["segmentation"], "--masks")
    with pytest.raises(SpecError, match=r"--table: expected a model that gives a mask .* found one of classification"):
        check_has_masks(TASKS["classification"], "--table")
