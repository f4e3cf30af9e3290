"""Parts that COCO's two formats share: where the files lie, and images and categories that fit together."""

from __future__ import annotations

from typing import Any, NamedTuple

from axialzoo.data.dataset import DataError
from axialzoo.data.decode import open_json
from axialzoo.data.faults import STRICT, Fault, LabelPolicy
from axialzoo.data.file_tree import Files, relocated, safe_name
from axialzoo.data.readers.pairs import IMAGES
from axialzoo.data.readers.reader import SPELLINGS, SPLITS, expect_object, index_by_id, split_of
from axialzoo.spec.labels import Label

KEY_POINTS = "person_keypoints"  # has boxes and outlines too, taken where no file of instances lies beside it
OTHERS = ("captions", "stuff", "image_info", "panoptic")  # COCO's files of other tasks


MOST_FILES = 30  # JSON files in a folder, of which each is looked at; more are one a picture
WORDS = ("coco", "annotations", "instances", "result")  # in the names of those that are looked at among more


class Coco(NamedTuple):
    """A JSON of COCO.

    Attributes:
        images: By id; ``width`` and ``height`` are whole numbers.
        categories: By id, the class number and label.
        annotations: The rows of the file.
        umbrellas: Ids of categories that are no more than the supercategory of all others.
    """

    images: dict[int, dict[str, Any]]
    categories: dict[int, tuple[int, Label]]
    annotations: list[dict[str, Any]]
    umbrellas: set[int]


def json_files(files: Files, patterns: tuple[str, ...]) -> dict[str, str]:
    """Return the JSON file of each split that matches `patterns`, such as ``annotations/instances_*.json``, ``*`` being the split's name.

    ``train2017`` and ``valid`` are understood too.

    Raises:
        DataError: for two files of one split.
    """
    by_split: dict[str, str] = {}
    for split in SPLITS:
        names = [pattern.replace("*", name) for pattern in patterns for name in SPELLINGS[split]]
        there = [name for name in names if files.exists(name)]
        _expect_single(files, split, there)
        if there:
            by_split[split] = there[0]
    return by_split


def _expect_single(files: Files, split: str, names: list[str]) -> None:
    if len(names) > 1:
        expected = f"for {split!r}" if split else "whose name does not say train, val or test"
        raise DataError(f"data: expected one JSON {expected} in {files.where!r}, found {' and '.join(names)}; remove one")


def exported_files(files: Files, named: dict[str, str]) -> dict[str, str]:
    """Return the JSON file of objects of each split, whatever its name; ``""`` for a file that names no split.

    Exporters call it ``train/_annotations.coco.json`` (Roboflow), ``annotations/instances_default.json`` (CVAT), ``result.json``
    (Label Studio) or ``annotations.json`` (labelme2coco).

    Args:
        named: Files that are known by their name.

    Raises:
        DataError: for two files of one split.
    """
    by_split = {split: [name] for split, name in named.items()}
    key_points: dict[str, list[str]] = {}
    splits = {name: split for name in files.folders() for split, words in SPELLINGS.items() if name.lower() in words}
    for folder in ("", "annotations", *splits):
        names = [name for name in files.listing(folder) if name.lower().endswith(".json") and name not in named.values()]
        for name in names:
            base = name.rpartition("/")[2].lower()
            if base.startswith(OTHERS) or (len(names) > MOST_FILES and not any(word in base for word in WORDS)):
                continue
            if not _is_objects(files.read(name)):
                continue
            target = key_points if base.startswith(KEY_POINTS) else by_split
            target.setdefault(splits.get(folder) or split_of(base), []).append(name)
    by_split = by_split or key_points
    if len(by_split) > 1:
        by_split.pop("", None)
    for split, names in by_split.items():
        _expect_single(files, split, names)
    return {split: by_split[split][0] for split in ("", *SPLITS) if split in by_split}


def _is_objects(content: bytes) -> bool:
    """Return whether a JSON is COCO's, of objects; it is not parsed, since it may be large."""
    return all(key in content for key in (b'"images"', b'"annotations"', b'"categories"')) and b'"segments_info"' not in content


def open_coco(files: Files, name: str, policy: LabelPolicy = STRICT) -> Coco:
    """Return the images, categories and annotations of a JSON that fit together.

    Classes are numbered in the order of the category ids.
    """
    where = files.path(name)
    data = expect_object(open_json(files, name), ("images", "annotations", "categories"), where)
    rows = data["images"] if isinstance(data["images"], list) else []
    twice = _duplicates(rows)
    if twice and policy.skip:
        policy.handle([Fault("image that occurs twice", f"{where}: image id {row['id']} occurs twice") for row in twice])
        rows = [row for row in rows if not any(row is other for other in twice)]
    images = index_by_id(rows if policy.skip else data["images"], ("file_name", "width", "height"), "image", where)
    if not images:
        raise DataError(f"{where}: no images")
    seen: set[str] = set()
    for row in images.values():
        if not isinstance(row["file_name"], str) or not row["file_name"]:
            safe_name(row["file_name"], f"{where}: image {row['id']}")
        row["file_name"] = row["file_name"].replace("\\", "/")  # written on Windows
        if row["file_name"] in seen:
            raise DataError(f"{where}: two images are called {row['file_name']!r}")
        seen.add(row["file_name"])
        sides = [row["width"], row["height"]]
        if not all(isinstance(side, (int, float)) and side > 0 and int(side) == side for side in sides):
            raise DataError(f"{where}: image {row['id']}: expected width and height above 0, found {row['width']!r} x {row['height']!r}")
        row["width"], row["height"] = map(int, sides)
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
    above = {row.get("supercategory") for row in rows.values()}
    umbrellas = {
        key
        for key, row in rows.items()
        if row["name"] in above and all(row["name"] == other.get("supercategory") for at, other in rows.items() if at != key)
    }
    return Coco(images, categories, data["annotations"], umbrellas if len(rows) > 1 else set())


def _duplicates(rows: list[Any]) -> list[dict[str, Any]]:
    """Return the rows of images that repeat an earlier one, as merged exports have them."""
    seen: set[tuple[Any, Any]] = set()
    again = []
    for row in rows:
        key = (row.get("id"), row.get("file_name")) if isinstance(row, dict) else None
        if key in seen and isinstance(row, dict):
            again.append(row)
        elif key is not None:
            seen.add(key)
    return again


def _colour(value: object) -> tuple[int, int, int] | None:
    if isinstance(value, list) and len(value) == 3 and all(isinstance(channel, int) and 0 <= channel <= 255 for channel in value):
        return value[0], value[1], value[2]
    return None


def picture_names(
    files: Files, split: str, images: dict[int, dict[str, Any]], json_name: str, policy: LabelPolicy, partial: bool = False
) -> dict[str, str]:
    """Return the file of each file name of a JSON: beside it, in ``images/``, ``train/``, ``images/train/``, ``train2017/`` ...

    Folders of other names are looked at last, such as ``data/`` or ``train_images/``, if their name does not speak of another split.
    Of names with folders of another machine the end counts, such as ``images/1.jpg`` of ``C:/data/images/1.jpg``.

    Args:
        policy: Decides about pictures that are not there.
        partial: Leave those out in any case.

    Raises:
        DataError: where there is none.
        BadLabelError: naming the first picture that is not there.
    """
    where, names = files.path(json_name), {row["file_name"]: key for key, row in images.items()}
    safe = [name for name in names if not name.startswith("/") and ".." not in name.split("/") and not any(char in name for char in ":\0")]
    spellings = SPELLINGS[split] if split else ("default", *(name for words in SPELLINGS.values() for name in words))
    actual = {name.lower(): name for folder in ("", "images") for name in files.folders(folder)}
    spelled = [actual.get(name, name) for name in (*spellings, *(f"images/{word}" for word in spellings))]
    pictures = ["images", *(name for name in files.folders() if name.lower() in IMAGES)]
    places = list(dict.fromkeys([json_name.rpartition("/")[0], "", *pictures, *spelled, *(f"{name}/images" for name in spelled)]))
    others = [name for name in files.folders() if name not in places and (not split or split_of(name) in ("", split))]
    best: dict[str, str] = {}
    for place in (*places, *others):
        there = {name: path for name in safe if files.exists(path := f"{place}/{name}".lstrip("/"))}
        if len(there) > len(best):
            best = there
    best |= {name: path for name in names if name not in best and (path := relocated(files, name, places)) is not None}
    missing = [name for name in names if name not in best]
    if (missing and not partial) or not best:
        if missing[0] not in safe:
            safe_name(missing[0], f"{where}: image {names[missing[0]]}")
        looked = ", ".join(place or "." for place in (*places, *others) if not place or files.listing(place) or files.folders(place))
        message = f"{where}: {len(missing)} of {len(names)} pictures are missing, first {missing[0]!r}; looked in {files.where!r}: {looked}"
        policy.handle([Fault("file of labels with missing pictures", message, can_skip=bool(best))])
    return best


def one_list(tables: dict[str, dict[int, tuple[int, Label]]], where: str) -> tuple[Label, ...]:
    """Return the labels that all splits agree on.

    Raises:
        DataError: where a split has other categories.
    """
    first, expected = next(iter(tables.items()))
    for split, table in tables.items():
        if table != expected:
            ours, theirs = ({key: label.name for key, (_, label) in rows.items()} for rows in (expected, table))
            differing = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
            raise DataError(
                f"{where}: {split!r} has other categories than {first!r} (ids {', '.join(map(str, differing[:10])) or 'alike'})"
            )
    return tuple(label for _, label in expected.values())
