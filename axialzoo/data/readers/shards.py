"""Shards: tars in webdataset's layout, or Parquet files, with the classes in ``labels.txt`` (a name a line) beside them.

    train-000000.tar  0001.jpg 0001.cls 0002.jpg 0002.cls ...   # .cls: the class, a number from 0 or a name
                      0001.jpg 0001.json ...                    # .json: {"label": ...}, or {"boxes": [{"label": ..., "box": [l, t, r, b]}]}
    train-000000.parquet  columns image (bytes), label          # or boxes: the same list, as JSON text or as rows

Splits are what names begin with (``train``, ``val``, ``test``), or folders of these names; where neither is so, all serve as both train
and test. Without ``labels.txt`` the classes are those that occur, which every truth is read for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from axialzoo.data.base import Data, DataError
from axialzoo.data.files import Files, Folder
from axialzoo.data.parquet import Table
from axialzoo.data.readers.base import SPLITS, Reader, expect_object, once_split
from axialzoo.data.shards import TableSplit, TarSplit, json_value
from axialzoo.data.truth import boxes_truth, check_class
from axialzoo.spec.labels import Label

SUFFIXES = (".tar", ".parquet")
COLUMNS = {"classes": ("label", "labels", "cls", "class"), "boxes": ("boxes",)}  # of Parquet, in order of preference
Labels = tuple[Label, ...]


def open_shards(files: Files, kind: str) -> Data:
    found = shards(files)
    paths = [path for one in found.values() for path in one]
    suffixes = {PurePosixPath(path).suffix.lower() for path in paths}
    if len(suffixes) > 1:
        raise DataError(f"data: expected tars or Parquet files in {files.where!r}, found both; keep one kind")
    about: dict[str, Any] = {"name": PurePosixPath(files.where).name}
    make = _tars if suffixes == {".tar"} else _tables
    labels = _listed(files)
    if not labels:
        names = {name for one in found.values() for name in _values(make(one, kind, ()), kind)}
        numbers = [name for name in names if isinstance(name, int)]
        if numbers and len(numbers) < len(names):
            raise DataError(f"data: expected numbers or names as classes in {files.where!r}, found both; list the names in labels.txt")
        every = map(str, range(max(numbers) + 1)) if numbers else sorted(map(str, names))
        labels = tuple(Label(name) for name in every)
        about["classes"] = "those that occur; no labels.txt"
    splits = {split: make(one, kind, labels) for split, one in found.items()}
    return Data(once_split(splits, about), labels, kind, about)


def shards(files: Files) -> dict[str, list[str]]:
    """Paths of the shards of each split, by name; ``""`` where none is said."""

    def inside(folder: str) -> list[str]:
        return [name for name in files.listing(folder) if name.lower().endswith(SUFFIXES)]

    here = inside("")
    found = {split: [*inside(split), *(name for name in here if name.startswith(split))] for split in SPLITS}
    found = {split: [files.path(name) for name in names] for split, names in found.items() if names}
    if found or not here:
        return found
    return {"": [files.path(name) for name in here]}


def _listed(files: Files) -> Labels:
    if not files.exists("labels.txt"):
        return ()
    names = [line.strip() for line in files.read("labels.txt").decode("utf-8", "replace").splitlines() if line.strip()]
    if not names or len(set(names)) < len(names):
        raise DataError(f"{files.path('labels.txt')}: expected a class a line, each once, found {len(names)} lines")
    return tuple(map(Label, names))


def _tars(paths: list[str], kind: str, labels: Labels) -> TarSplit:
    def truth(content: bytes, suffix: str, size: tuple[int, int], name: str) -> Any:
        return _truth(_value(content, suffix, kind, name), kind, labels, size, name)

    return TarSplit(paths, truth)


def _tables(paths: list[str], kind: str, labels: Labels) -> TableSplit:
    tables = [Table(path) for path in paths]
    column = next((name for name in COLUMNS[kind] if name in tables[0].columns), "")
    for table in tables:
        if column not in table.columns:
            raise DataError(f"{table.path}: expected a column called {' or '.join(COLUMNS[kind])}, found {', '.join(table.columns)}")
    return TableSplit(tables, column, lambda value, size, name: _truth(_rows(value, name), kind, labels, size, name))


def _values(split: TarSplit | TableSplit, kind: str) -> Iterator[int | str]:
    """The classes of every truth, pictures left alone."""
    if isinstance(split, TarSplit):
        found: Iterator[Any] = (
            _value(split.content(index), split.suffix(index), kind, split.shards[int(split.where[index][0])]) for index in range(len(split))
        )
    else:
        found = (_rows(row[split.column], table.path) for table in split.tables for row in table.read(0, table.rows, (split.column,)))
    for value in found:
        yield from [value] if kind == "classes" else [one.get("label") for one in value]


def _value(content: bytes, suffix: str, kind: str, name: str) -> Any:
    """A class, a number or a name; or a list of boxes."""
    if suffix == "cls":
        if kind != "classes":
            raise DataError(f"{name}: expected {kind} in .json beside each picture, found a class in .cls")
        text = content.decode("utf-8", "replace").strip()
        return int(text) if text.isdecimal() else text
    key = "label" if kind == "classes" else kind
    return expect_object(json_value(content, name), (key,), name)[key]


def _rows(value: Any, name: str) -> Any:
    return json_value(value.encode(), name) if isinstance(value, str) and value.lstrip().startswith("[") else value


def _truth(value: Any, kind: str, labels: Labels, size: tuple[int, int], name: str) -> Any:
    if kind == "classes":
        return _number(value, labels, name)
    if not isinstance(value, list):
        raise DataError(f"{name}: expected a list of boxes, found {json.dumps(value)[:60]}")
    rows = [expect_object(one, ("label", "box"), f"{name}: boxes[{at}]") for at, one in enumerate(value)]
    for at, one in enumerate(rows):
        box = one["box"]
        if not isinstance(box, list) or len(box) != 4 or not all(isinstance(side, (int, float)) for side in box):
            raise DataError(f"{name}: boxes[{at}]: expected a box of four numbers, left, top, right, bottom, found {box!r}")
    where = [f"{name}: boxes[{at}]" for at in range(len(rows))]
    indices = [_number(one["label"], labels, place) for one, place in zip(rows, where)]
    return boxes_truth([one["box"] for one in rows], indices, labels, size, where, [bool(one.get("iscrowd")) for one in rows])


def _number(value: Any, labels: Labels, where: str) -> int:
    """Of a class told by its number or its name."""
    names = [label.name for label in labels]
    if isinstance(value, str) and value in names:
        return names.index(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(f"{where}: expected a class, a number from 0 to {len(labels) - 1} or a name of the list, found {value!r}")
    check_class(value, labels, where)
    return value


READER = Reader(
    "shards",
    "tars of webdataset's layout, or Parquet files (train-000000.tar, train/000000.parquet), with labels.txt",
    ("classes", "boxes"),
    lambda files: isinstance(files, Folder) and bool(shards(files)),
    open_shards,
)
