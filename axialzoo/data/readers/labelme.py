"""LabelMe's JSON, one a picture, beside it or in a folder of its own: boxes, or segments of the outlines.

Polygons, rectangles, circles and masks are objects; shapes of one label and one ``group_id`` are one object. A picture that lies nowhere is
read from the JSON's ``imageData``.
"""

from __future__ import annotations

import base64
import binascii
import json
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from axialzoo.data.annotations import validate_boxes
from axialzoo.data.dataset import SUFFIXES, Dataset, FileSplit, Sample
from axialzoo.data.decode import decode_map, decode_picture, open_picture
from axialzoo.data.faults import DataError, Fault, LabelPolicy
from axialzoo.data.file_tree import Files, named, read_text, relocated
from axialzoo.data.readers.masks import fill_polygon
from axialzoo.data.readers.objects import Outline, box_of_points, segments_of
from axialzoo.data.readers.pairs import IMAGES
from axialzoo.data.readers.reader import BACKGROUND, Fit, Reader, duplicate_split, expect_object, split_folders
from axialzoo.spec.labels import Label

FOLDERS = ("annotations", "labels", "json", "jsons", "label")  # of JSON files, in lower case
CIRCLE = 64  # points
FIRST = 5  # JSON files that are looked at to recognise a folder
RESERVED = ("_background_", "__ignore__")  # in LabelMe's own labels.txt, no classes


class Shape(NamedTuple):
    """An object's part: its name in messages, its label, its outline (n, 2) in pixels, its group and its mask as a file."""

    where: str
    label: str
    points: np.ndarray
    group: Any
    mask: bytes = b""


class Labelled(NamedTuple):
    """A JSON: its picture, the size that it says, and its shapes."""

    json_name: str
    picture: str | None
    size: tuple[int, int] | None
    shapes: list[Shape]


def open_labelme(files: Files, kind: str, policy: LabelPolicy) -> Dataset:
    """Open LabelMe's JSON files."""
    about: dict[str, Any] = {}
    labelled: dict[str, list[Labelled]] = {}
    pictures: set[str] = set()
    with policy.gather() as gathered:
        for split, (folder, places) in _folders(files).items():
            pictures |= {name for place in places for name in files.listing(place) if name.lower().endswith(SUFFIXES)}
            labelled[split] = [_labelled(files, name, places, gathered) for name in _jsons(files, folder)]
    if unlabelled := sorted(pictures - {row.picture for rows in labelled.values() for row in rows}):
        shown = ", ".join(unlabelled[:5]) + (" ..." if len(unlabelled) > 5 else "")
        about["pictures_without_label_file"] = f"{len(unlabelled)} left out, since nobody labelled them: {shown}"
    names = _listed_names(files) or sorted({shape.label for rows in labelled.values() for row in rows for shape in row.shapes})
    if not names:
        raise DataError(f"data: expected shapes in the JSON files of {files.where!r}, found none")
    labels = tuple(Label(name) for name in names)
    listed = (*labels, BACKGROUND) if kind == "segments" else labels
    splits = {split: FileSplit(rows, lambda row: _sample(files, row, names, listed, kind, policy)) for split, rows in labelled.items()}
    return Dataset(duplicate_split(splits, about), listed, kind, about)


def _folders(files: Files) -> dict[str, tuple[str, list[str]]]:
    """Return the folder of JSON files of each split, and the folders that may hold its pictures."""
    splits: dict[str, tuple[str, list[str]]] = {}
    for split, folder in {**split_folders(files.folders(), files.where), "": ""}.items():
        below = {name.rpartition("/")[2].lower(): name for name in files.folders(folder)}
        images = [below[name] for name in IMAGES if name in below]
        for place in (folder, *(below[name] for name in (*FOLDERS, *IMAGES) if name in below)):
            if split not in splits and not (split == "" and splits) and _jsons(files, place, FIRST):
                splits[split] = (place, list(dict.fromkeys([place, *images, folder])))
    return splits


def _jsons(files: Files, folder: str, most: int | None = None) -> list[str]:
    """Return the JSON files of a folder that have shapes, among the first `most`."""
    names = [name for name in files.listing(folder) if name.lower().endswith(".json")]
    return [name for name in names[:most] if b'"shapes"' in files.read(name)]


def _labelled(files: Files, name: str, places: list[str], policy: LabelPolicy) -> Labelled:
    """Return the shapes of a JSON; `places` are folders of pictures.

    Raises:
        DataError: for a JSON without picture.
    """
    where = files.path(name)
    try:
        content = expect_object(json.loads(read_text(files, name)), ("shapes",), where)
    except (ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{where}: not valid JSON: {error}") from None
    stem = name.rpartition("/")[2].rpartition(".")[0]
    same = [path for place in places for path in files.listing(place) if _is_picture(path, stem)]
    picture = same[0] if same else relocated(files, str(content.get("imagePath") or ""), places)
    if picture is None and not content.get("imageData"):
        raise DataError(f"{where}: no picture called {stem!r} or {content.get('imagePath')!r}, and no imageData")
    sides = [content.get("imageWidth"), content.get("imageHeight")]
    width, height = (side if isinstance(side, int) and side > 0 else 0 for side in sides)
    shapes = []
    for at, shape in enumerate(content["shapes"] if isinstance(content["shapes"], list) else []):
        parsed = _shape(shape, f"{where}: shape {at + 1}")
        if isinstance(parsed, Fault):
            policy.handle([parsed])
        else:
            shapes.append(parsed)
    return Labelled(name, picture, (width, height) if width and height else None, shapes)


def _is_picture(path: str, stem: str) -> bool:
    base = path.rpartition("/")[2]
    return base.lower().endswith(SUFFIXES) and base.rpartition(".")[0] == stem


def _shape(shape: Any, where: str) -> Shape | Fault:
    """Return an object's outline, or the reason why it has none."""
    if not isinstance(shape, dict) or not isinstance(shape.get("label"), str) or not shape["label"]:
        return Fault("shape without label", f"{where}: expected a label, found {str(shape)[:60]!r}")
    where, kind = f"{where} ({shape['label']})", shape.get("shape_type") or "polygon"
    try:
        points = np.asarray(shape.get("points"), np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        points = np.empty((0, 2))
    if not len(points) or not np.isfinite(points).all():
        return Fault("shape without points", f"{where}: expected points [x, y], found {str(shape.get('points'))[:60]!r}")
    mask = b""
    if kind in ("rectangle", "mask") and len(points) >= 2:
        (left, top), (right, bottom) = points.min(0), points.max(0)
        points = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
        if kind == "mask":
            try:
                mask = base64.b64decode(shape.get("mask") or "", validate=True)
            except (binascii.Error, ValueError, TypeError):
                return Fault("mask that cannot be read", f"{where}: expected a mask as base64, found {str(shape.get('mask'))[:40]!r}")
    elif kind == "circle" and len(points) == 2:
        angle = np.arange(CIRCLE) * 2 * np.pi / CIRCLE
        points = points[0] + np.hypot(*(points[1] - points[0])) * np.stack([np.cos(angle), np.sin(angle)], 1)
    elif kind not in ("polygon", "oriented_rectangle") or len(points) < 3:
        return Fault(
            f"{kind} without area", f"{where}: expected a polygon, rectangle, circle or mask, found a {kind} of {len(points)} points"
        )
    return Shape(where, shape["label"], points, shape.get("group_id"), mask)


def _objects(shapes: list[Shape]) -> list[list[Shape]]:
    """Return the shapes of each object: those of one label and one group are one."""
    objects: dict[Any, list[Shape]] = {}
    for at, shape in enumerate(shapes):
        objects.setdefault((shape.label, str(shape.group)) if shape.group is not None else at, []).append(shape)
    return list(objects.values())


def _sample(files: Files, row: Labelled, names: list[str], labels: tuple[Label, ...], kind: str, policy: LabelPolicy) -> Sample:
    picture, where = _picture(files, row), files.path(row.json_name)
    numbers = {name: number for number, name in enumerate(names)}
    objects = _objects(row.shapes)
    indices = [numbers.get(shapes[0].label, -1) for shapes in objects]
    if kind == "boxes":
        boxes = [box_of_points(np.concatenate([shape.points for shape in shapes]), picture.size) for shapes in objects]
        annotation = validate_boxes(boxes, indices, labels, picture.size, [shapes[0].where for shapes in objects], policy=policy)
    else:
        known = [(shapes, index) for shapes, index in zip(objects, indices) if index >= 0]
        unknown = sorted({shapes[0].label for shapes, index in zip(objects, indices) if index < 0})
        policy.handle([Fault("class that the list does not have", f"{where}: {name!r} is not in labels.txt") for name in unknown])
        outlines = [Outline(shapes[0].where, index, partial(_mask, shapes)) for shapes, index in known]
        annotation = segments_of(picture.size, outlines, labels, where, policy)
    return Sample(files.path(row.picture or row.json_name), picture, annotation)


def _picture(files: Files, row: Labelled) -> Image.Image:
    if row.picture is not None:
        return open_picture(files, row.picture, row.size)
    where = f"{files.path(row.json_name)}, its imageData"
    try:
        content = base64.b64decode(json.loads(read_text(files, row.json_name))["imageData"], validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise DataError(f"{where}: expected a picture as base64") from None
    return decode_picture(named(content, where))


def _mask(shapes: list[Shape], height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    for shape in shapes:
        if not shape.mask:
            mask |= fill_polygon(shape.points, height, width)
            continue
        values = decode_map(named(shape.mask, f"{shape.where}, its mask"))[0] > 0
        left, top = np.round(shape.points[0]).astype(int)
        rows, columns = max(min(height - top, len(values)), 0), max(min(width - left, values.shape[1]), 0)
        if left < 0 or top < 0:
            raise DataError(f"{shape.where}: expected a mask inside its picture, found its corner at {left}, {top}")
        mask[top : top + rows, left : left + columns] |= values[:rows, :columns]
    return mask


def _listed_names(files: Files) -> list[str]:
    """Return the classes of LabelMe's ``labels.txt``; nothing without that file."""
    if not files.exists("labels.txt"):
        return []
    lines = [line.strip() for line in read_text(files, "labels.txt").splitlines()]
    return list(dict.fromkeys(line for line in lines if line and line not in RESERVED))


def fit(files: Files) -> Fit:
    """Score how well a folder fits LabelMe."""
    return Fit(1.0 if _folders(files) else 0.0)


READER = Reader(
    "LabelMe",
    "a JSON with shapes beside each picture, or in annotations/ (also in train/, valid/, test/)",
    ("boxes", "segments"),
    fit,
    open_labelme,
)
