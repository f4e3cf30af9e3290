"""Shards: tars in webdataset's layout, or Parquet files, with a list of the classes beside them.

    train-000000.tar  0001.jpg 0001.cls 0002.jpg 0002.cls ...   # .cls: the class, a number from 0 or a name
                      0001.jpg 0001.json ...                    # .json: {"label": ...}, or {"boxes": [{"label": ..., "box": [l, t, r, b]}]}
                      0001.jpg 0001.json 0001.map.png           # {"segments": [{"id": 1, "label": ...}]}: numbers in the map, 0 for void
    train-000000.parquet  columns image (bytes), label          # or boxes, or segments and map: the same lists, as JSON text or as rows

The classes stand in ``labels.txt`` (a name a line), or in ``labels.json`` (``[{"name": "sky", "thing": false}, ...]``), which segments
need, as it says whose instances are told apart. Without either the classes are those that occur, which every annotation is read for.

Splits are what names begin with (``train``, ``val``, ``test``), or folders of these names; where neither is so, all serve as both train
and test.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from axialzoo.data.annotations import check_class, validate_boxes, validate_segments
from axialzoo.data.dataset import DataError, Dataset
from axialzoo.data.decode import decode_map, open_json
from axialzoo.data.faults import LabelPolicy
from axialzoo.data.file_tree import Files, Folder, named, read_text
from axialzoo.data.parquet import Table
from axialzoo.data.readers.reader import (
    SPLITS,
    Reader,
    duplicate_split,
    expect_object,
    fits,
    index_by_id,
    label_from_json,
    split_at_start,
    split_folders,
)
from axialzoo.data.shards import MAP, ParquetSplit, SampleFiles, TarSplit, json_value
from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Detections, Segmentation

SUFFIXES = (".tar", ".parquet")
COLUMNS = {"classes": ("label", "labels", "cls", "class"), "boxes": ("boxes",), "segments": ("segments",)}  # of Parquet: the first there is
MAPS = "map"  # the column beside segments
Labels = tuple[Label, ...]


def open_shards(files: Files, kind: str, policy: LabelPolicy) -> Dataset:
    """Open shards: tars or Parquet files."""
    paths_of = shards(files)
    paths = [path for rows in paths_of.values() for path in rows]
    suffixes = {PurePosixPath(path).suffix.lower() for path in paths}
    if len(suffixes) > 1:
        raise DataError(f"data: expected tars or Parquet files in {files.where!r}, found both; keep one kind")
    numbers: list[int] = []
    about: dict[str, Any] = {"name": PurePosixPath(files.where).name}
    make = _tars if suffixes == {".tar"} else _tables
    labels = _listed(files) or (_class_labels(paths[0]) if kind == "classes" and suffixes == {".parquet"} else ())
    if kind == "segments" and not files.exists("labels.json"):
        raise DataError(
            f'data: segments in {files.where!r} need a labels.json, such as ["nucleus", {{"name": "background", "thing": false}}], '
            "which says whose instances are told apart"
        )
    if not labels:
        names = {name for rows in paths_of.values() for name in _values(make(rows, kind, (), policy), kind)}
        numbers = [name for name in names if isinstance(name, int)]
        if numbers and len(numbers) < len(names):
            raise DataError(f"data: expected numbers or names as classes in {files.where!r}, found both; list the names in labels.txt")
        every = map(str, range(max(numbers) + 1)) if numbers else sorted(map(str, names))
        labels = tuple(Label(name) for name in every)
        about["classes"] = "those that occur; no labels.txt or labels.json"
    splits = {split: make(rows, kind, labels, policy) for split, rows in paths_of.items()}
    return Dataset(duplicate_split(splits, about), labels, kind, about, generic_labels=bool(numbers))


def shards(files: Files) -> dict[str, list[str]]:
    """Return the paths of the shards of each split, in `files` or its folder ``data/`` as on the Hub; ``""`` where none is said."""

    def inside(folder: str) -> list[str]:
        return [name for name in files.listing(folder) if name.lower().endswith(SUFFIXES)]

    here = inside("") or inside("data")
    folders = split_folders(files.folders(), files.where)
    by_split = {
        split: [
            *inside(folders.get(split, split)),
            *(name for name in here if split_at_start(name.rpartition("/")[2]) == split),
        ]
        for split in SPLITS
    }
    by_split = {split: [files.path(name) for name in names] for split, names in by_split.items() if names}
    if by_split or not here:
        return by_split
    return {"": [files.path(name) for name in here]}


def _class_labels(path: str) -> Labels:
    """Return the names of a ``ClassLabel`` column, which `datasets` leaves in a Parquet file's schema; none without it."""
    try:
        features = json.loads(Table(path).metadata.get(b"huggingface", b"{}"))["info"]["features"]
        names = next(features[name]["names"] for name in COLUMNS["classes"] if "names" in features.get(name, {}))
    except (KeyError, ValueError, TypeError, StopIteration):
        return ()
    return tuple(Label(str(name)) for name in names)


def _listed(files: Files) -> Labels:
    """Return the classes of ``labels.json`` or ``labels.txt``; none where there is neither."""
    if files.exists("labels.json"):
        where, value = files.path("labels.json"), open_json(files, "labels.json")
        if not isinstance(value, list):
            raise DataError(f"{where}: expected a list of classes, found {str(value)[:60]!r}")
        labels = tuple(label_from_json(row, f"{where}: [{at}]", True) for at, row in enumerate(value))
    elif files.exists("labels.txt"):
        where, lines = files.path("labels.txt"), read_text(files, "labels.txt").splitlines()
        labels = tuple(Label(line.strip()) for line in lines if line.strip())
    else:
        return ()
    if not labels or len({label.name for label in labels}) < len(labels):
        raise DataError(f"{where}: expected different class names, at least one, found {[label.name for label in labels]}")
    return labels


def _tars(paths: list[str], kind: str, labels: Labels, policy: LabelPolicy) -> TarSplit:
    def annotation(beside: SampleFiles, size: tuple[int, int], name: str) -> Any:
        return _annotation(_value(beside, kind, name), beside.map, (kind, labels, policy), size, name)

    return TarSplit(paths, annotation)


def _tables(paths: list[str], kind: str, labels: Labels, policy: LabelPolicy) -> ParquetSplit:
    tables = [Table(path) for path in paths]
    column = next((name for name in COLUMNS[kind] if name in tables[0].columns), "")
    columns = (column, MAPS) if kind == "segments" else (column,)
    for table in tables:
        if missing := [name or " or ".join(COLUMNS[kind]) for name in columns if name not in table.columns]:
            raise DataError(f"{table.path}: expected a column called {missing[0]}, found {', '.join(table.columns)}")

    def annotation(row: dict[str, Any], size: tuple[int, int], name: str) -> Any:
        content = row.get(MAPS)
        content = content.get("bytes") if isinstance(content, dict) else content
        return _annotation(_rows(row[column], name), content or b"", (kind, labels, policy), size, name)

    return ParquetSplit(tables, columns, annotation)


def _values(split: TarSplit | ParquetSplit, kind: str) -> Iterator[int | str]:
    """Yield the classes of every annotation without opening pictures."""
    if isinstance(split, TarSplit):
        besides = ((split.beside(index), split.shards[int(split.where[index][0])]) for index in range(len(split)))
        values: Iterator[Any] = (_value(beside, kind, path) for beside, path in besides)
    else:
        rows = ((row, table.path) for table in split.tables for row in table.read(0, table.rows, split.columns))
        values = (_rows(row[split.columns[0]], path) for row, path in rows)
    for value in values:
        yield from [value] if kind == "classes" else [row.get("label") for row in value]


def _value(beside: SampleFiles, kind: str, name: str) -> Any:
    """Return a class, a number or a name; or a list of boxes or segments."""
    if beside.suffix == "cls":
        if kind != "classes":
            raise DataError(f"{name}: expected {kind} in .json beside each picture, found a class in .cls")
        text = beside.content.decode("utf-8", "replace").strip()
        return int(text) if text.isdecimal() else text
    key = "label" if kind == "classes" else kind
    return expect_object(json_value(beside.content, name), (key,), name)[key]


def _rows(value: Any, name: str) -> Any:
    return json_value(value.encode(), name) if isinstance(value, str) and value.lstrip().startswith("[") else value


def _annotation(value: Any, content: bytes, how: tuple[str, Labels, LabelPolicy], size: tuple[int, int], name: str) -> Any:
    """Return a sample's annotation.

    Args:
        value: Its class, or the list of its boxes or segments.
        content: Bytes of the file of its map.
        how: The kind of annotation, the classes, and the decision about bad labels.
    """
    kind, labels, policy = how
    if kind == "classes":
        return _number(value, labels, name)
    return _segments(value, content, labels, size, name, policy) if kind == "segments" else _boxes(value, labels, size, name, policy)


def _segments(value: Any, content: bytes, labels: Labels, size: tuple[int, int], name: str, policy: LabelPolicy) -> Segmentation:
    where = f"{name}, its map"
    if not content:
        raise DataError(f"{name}: expected a map of its segments, KEY.{MAP} (in Parquet: column {MAPS!r}), found none")
    rows = index_by_id(value, ("label",), "segment", name).items()
    info = [
        {"id": number, "label_id": _number(row["label"], labels, f"{name}: segment {number}"), "iscrowd": bool(row.get("iscrowd"))}
        for number, row in rows
    ]
    return validate_segments(decode_map(named(content, where), size)[0], info, labels, where, policy)


def _boxes(value: Any, labels: Labels, size: tuple[int, int], name: str, policy: LabelPolicy) -> Detections:
    if not isinstance(value, list):
        raise DataError(f"{name}: expected a list of boxes, found {json.dumps(value)[:60]}")
    rows = [expect_object(row, ("label", "box"), f"{name}: boxes[{at}]") for at, row in enumerate(value)]
    for at, row in enumerate(rows):
        box = row["box"]
        if not isinstance(box, list) or len(box) != 4 or not all(isinstance(side, (int, float)) for side in box):
            raise DataError(f"{name}: boxes[{at}]: expected a box of four numbers, left, top, right, bottom, found {box!r}")
    where = [f"{name}: boxes[{at}]" for at in range(len(rows))]
    indices = [_number(row["label"], labels, place) for row, place in zip(rows, where)]
    return validate_boxes([row["box"] for row in rows], indices, labels, size, where, [bool(row.get("iscrowd")) for row in rows], policy)


def _number(value: Any, labels: Labels, where: str) -> int:
    """Return the number of a class that is written as number or name."""
    names = [label.name for label in labels]
    if isinstance(value, str) and value in names:
        return names.index(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(f"{where}: expected a class, a number from 0 to {len(labels) - 1} or a name of the list, found {value!r}")
    check_class(value, labels, where)
    return value


READER = Reader(
    "shards",
    "tars of webdataset's layout, or Parquet files (train-000000.tar, train/000000.parquet), with labels.txt or labels.json",
    ("classes", "boxes", "segments"),
    lambda files: fits(isinstance(files, Folder) and shards(files)),
    open_shards,
)
