"""What COCO's two formats share: where the files lie, and images and categories that fit together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from axialzoo.data.dataset import DataError
from axialzoo.data.decode import open_json
from axialzoo.data.file_tree import Files, safe_name
from axialzoo.data.readers.reader import SPELLINGS, SPLITS, expect_object, index_by_id
from axialzoo.spec.labels import Label


def json_files(files: Files, patterns: tuple[str, ...]) -> dict[str, str]:
    """Of each split the JSON that is there: of `patterns` such as ``annotations/instances_*.json``, ``*`` being the split's name.

    ``train2017`` and ``valid`` are understood too.

    Raises:
        DataError: for two files of one split.
    """
    found: dict[str, str] = {}
    for split in SPLITS:
        names = [pattern.replace("*", name) for pattern in patterns for name in SPELLINGS[split]]
        there = [name for name in names if files.exists(name)]
        if len(there) > 1:
            raise DataError(f"data: expected one JSON for {split!r} in {files.where!r}, found {' and '.join(there)}; remove one")
        if there:
            found[split] = there[0]
    return found


def open_coco(files: Files, name: str) -> tuple[dict[int, dict[str, Any]], dict[int, tuple[int, Label]], list[dict[str, Any]]]:
    """Images by id (``file_name`` made safe), categories by id (class number and label), annotations as they are.

    Classes are numbered in the order of the category ids.
    """
    where = files.path(name)
    data = expect_object(open_json(files, name), ("images", "annotations", "categories"), where)
    images = index_by_id(data["images"], ("file_name", "width", "height"), "image", where)
    if not images:
        raise DataError(f"{where}: no images")
    seen: set[str] = set()
    for row in images.values():
        row["file_name"] = safe_name(row["file_name"], f"{where}: image {row['id']}")
        if row["file_name"] in seen:
            raise DataError(f"{where}: two images are called {row['file_name']!r}")
        seen.add(row["file_name"])
        if not all(isinstance(row[side], int) and row[side] > 0 for side in ("width", "height")):
            raise DataError(f"{where}: image {row['id']}: expected width and height above 0, found {row['width']!r} x {row['height']!r}")
    rows = index_by_id(data["categories"], ("name",), "category", where)
    if not rows:
        raise DataError(f"{where}: no categories")
    categories = {}
    for number, key in enumerate(sorted(rows)):
        if not isinstance(rows[key]["name"], str):
            raise DataError(f"{where}: category {key}: expected text as name, found {rows[key]['name']!r}")
        categories[key] = (number, Label(rows[key]["name"], bool(rows[key].get("isthing", 1)), _colour(rows[key].get("color"))))
    ids_of: dict[str, list[int]] = {}
    for key in sorted(rows):
        ids_of.setdefault(rows[key]["name"], []).append(key)
    if twice := [f"{name!r} (ids {', '.join(map(str, ids))})" for name, ids in ids_of.items() if len(ids) > 1]:
        raise DataError(f"{where}: expected different category names, found twice: {'; '.join(twice)}; rename or merge them")
    if not isinstance(data["annotations"], list):
        raise DataError(f"{where}: expected a list of annotations, found {str(data['annotations'])[:60]!r}")
    return images, categories, data["annotations"]


def _colour(value: object) -> tuple[int, int, int] | None:
    if isinstance(value, list) and len(value) == 3 and all(isinstance(one, int) and 0 <= one <= 255 for one in value):
        return value[0], value[1], value[2]
    return None


def picture_names(files: Files, split: str, names: Iterable[str], where: str, partial: bool) -> dict[str, str]:
    """Of each file name of a JSON the file: beside the JSON's folder, in ``images/``, ``train/``, ``images/train/``, ``train2017/`` ...

    Args:
        partial: Leave out those that are not there, instead of raising.
    """
    names = list(names)
    spellings = SPELLINGS[split]
    places = ["", "images", *spellings, *(f"images/{name}" for name in spellings), *(f"{name}/images" for name in spellings)]
    best: dict[str, str] = {}
    for place in places:
        there = {name: full for name in names if files.exists(full := f"{place}/{name}".lstrip("/"))}
        if len(there) > len(best):
            best = there
    missing = [name for name in names if name not in best]
    if (missing and not partial) or not best:
        looked = ", ".join(place or "." for place in places)
        raise DataError(
            f"{where}: {len(missing)} of {len(names)} pictures are missing, first {missing[0]!r}; looked in {files.where!r}: {looked}"
        )
    return best


def one_list(tables: dict[str, dict[int, tuple[int, Label]]], where: str) -> tuple[Label, ...]:
    """The labels that all splits agree on.

    Raises:
        DataError: where a split has other categories.
    """
    first, expected = next(iter(tables.items()))
    for split, found in tables.items():
        if found != expected:
            ours, theirs = ({key: label.name for key, (_, label) in table.items()} for table in (expected, found))
            differing = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
            raise DataError(
                f"{where}: {split!r} has other categories than {first!r} (ids {', '.join(map(str, differing[:10])) or 'alike'})"
            )
    return tuple(label for _, label in expected.values())
