"""YOLO's text labels, ``class cx cy width height`` or ``class x1 y1 x2 y2 ...`` an object, in shares of the picture.

The texts lie in ``labels/`` where the pictures lie in ``images/``, or beside the pictures. Names stand in ``data.yaml``, which may also say
where each split lies, in ``classes.txt`` (labelImg), ``obj.names`` (darknet, CVAT) or ``_darknet.labels`` (Roboflow).
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from axialzoo.data.annotations import class_fault, validate_boxes
from axialzoo.data.dataset import SUFFIXES, Dataset, FileSplit, Sample
from axialzoo.data.decode import open_picture
from axialzoo.data.faults import BadLabelError, DataError, Fault, LabelPolicy
from axialzoo.data.file_tree import Files, read_text
from axialzoo.data.readers.masks import fill_polygon
from axialzoo.data.readers.objects import Outline, box_of_points, segments_of
from axialzoo.data.readers.pairs import NO_LABELS, paired, paired_folders
from axialzoo.data.readers.reader import BACKGROUND, Fit, Reader, duplicate_split, same_pictures, split_folders, split_of
from axialzoo.data.readers.yolo_yaml import SUFFIX, Yaml, read_yaml, split_pictures, yaml_file
from axialzoo.spec.labels import Label

LISTS = ("classes.txt", "obj.names", "labels/classes.txt", "_darknet.labels", "predefined_classes.txt", "data/obj.names")
MOST = 2.0  # a larger share is none
BEYOND = 0.1  # share by which a point of a polygon may lie outside
EXPECTED = "expected 'class cx cy width height'"

Pairs = dict[str, list[tuple[str, str | None]]]


class Row(NamedTuple):
    """An object of a text: its name in messages, its class, and a box (4,) or a polygon (n, 2) in shares of the picture."""

    where: str
    label: int
    values: np.ndarray


def open_yolo(files: Files, kind: str, policy: LabelPolicy) -> Dataset:
    """Open boxes, also of polygons; or segments. A picture without a text has no objects; ``about`` counts such pictures."""
    about: dict[str, Any] = {}
    notes: list[str] = []
    pairs, config = _pairs(files, notes, policy)
    labels = tuple(Label(name) for name in class_names(files, config))
    if notes:
        about["data.yaml"] = "; ".join(notes)
    listed = (*labels, BACKGROUND) if kind == "segments" else labels
    splits, rows_of = {}, {}
    about |= same_pictures({split: [picture for picture, _ in rows] for split, rows in pairs.items()})
    with policy.gather() as gathered:
        for split, rows in pairs.items():
            for _, text in rows:
                if text and text not in rows_of:
                    rows_of[text] = _rows(files, text, labels, bool(config and config.key_points), gathered)
            if without := sum(text is None for _, text in rows):
                about.setdefault("pictures_without_label_file", {})[split or "all"] = without
    for split, rows in pairs.items():
        items = [(name, rows_of[text] if text else []) for name, text in rows]
        splits[split] = FileSplit(items, lambda item: _sample(files, item[0], item[1], listed, kind, policy))
    return Dataset(duplicate_split(splits, about), listed, kind, about)


def _pairs(files: Files, notes: list[str], policy: LabelPolicy) -> tuple[Pairs, Yaml | None]:
    """Return (picture, text) of each split, where data.yaml says or, without it, where the folders' names say; and data.yaml."""
    name = yaml_file(files)
    config = read_yaml(files, name) if name else None
    if config is not None and (named := split_pictures(files, config, notes)):
        pairs = {split: [(picture, _text_of(files, picture)) for picture in pictures] for split, pictures in named.items()}
        pairs = {split: rows for split, rows in pairs.items() if any(text for _, text in rows)}
        if pairs:
            others = {split: rows for split, rows in _by_folders(files, policy).items() if split}
            return {**others, **pairs}, config
    pairs = _by_folders(files, policy)
    if not pairs:
        raise DataError(f"data: no pictures with labels in {files.where!r}; {'; '.join(notes) or 'expected images/ and labels/'}")
    return pairs, config


def _text_of(files: Files, picture: str) -> str | None:
    """Return the text of a picture, as Ultralytics finds it: the last ``images`` of its path becomes ``labels``; else beside it."""
    stem = picture.rpartition(".")[0]
    before, images, after = f"/{stem}".rpartition("/images/")
    candidates = [f"{before}/labels/{after}.txt".lstrip("/")] if images else []
    return next((text for text in (*candidates, f"{stem}.txt") if files.exists(text)), None)


def _by_folders(files: Files, policy: LabelPolicy) -> Pairs:
    folders = paired_folders(files, ("labels",), (".txt",))
    pairs: Pairs = {split: paired(files, *both, (".txt",), True, policy) for split, both in folders.items()}
    return pairs or _beside(files)


def _beside(files: Files) -> Pairs:
    """Return (picture, text) of folders that hold both: labelImg's, ``obj_train_data/`` of darknet and CVAT, Roboflow's ``train/``."""
    folders = split_folders(files.folders(), files.where)
    for folder in files.folders():
        base = folder.lower()
        if base.startswith("obj_") and base.endswith("_data"):
            folders[split_of(base)] = folder
    pairs: Pairs = {}
    for split, folder in (folders or {"": ""}).items():
        names = files.listing(folder)
        if not any(name.lower().endswith(".txt") and _is_labels(name) for name in names):
            continue
        pictures = [name for name in names if name.lower().endswith(SUFFIXES)]
        rows = [(name, _text_of(files, name)) for name in pictures]
        if any(text for _, text in rows):
            pairs[split] = rows
    return pairs


def _rows(files: Files, name: str, labels: tuple[Label, ...], key_points: bool, policy: LabelPolicy) -> list[Row]:
    """Return the objects of a text; boxes are checked when the size of the picture is known."""
    rows = []
    for number, line in enumerate(read_text(files, name).splitlines(), 1):
        if not line.strip():
            continue
        where, words = f"{files.path(name)}: line {number}", line.split()
        try:
            label, values = int(words[0].removesuffix(".0")), [float(word) for word in words[1:]]
        except ValueError:
            label, values = -1, []
        if key_points and len(values) > 4:
            values = values[:4]
        if fault := _line_fault(label, values, labels, where, line):
            policy.handle([fault])
            continue
        rows.append(Row(where, label, np.array(values) if len(values) == 4 else np.array(values).reshape(-1, 2)))
    return rows


def _line_fault(label: int, values: list[float], labels: tuple[Label, ...], where: str, line: str) -> Fault | None:
    """Return the reason why a line is no box and no polygon."""
    shown = f"found {line[:80]!r}"
    if len(values) == 5:
        return Fault("line with a confidence", f"{where}: {EXPECTED}, {shown} (is the last number a confidence? labels have none)")
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        points = "; key points need kpt_shape in data.yaml" if len(values) > 6 else ""
        return Fault(
            "line that is no box and no polygon", f"{where}: {EXPECTED}, {shown} (a polygon is 'class x1 y1 x2 y2 x3 y3 ...'{points})"
        )
    if not 0 <= label < len(labels):
        return class_fault(label, labels, where)
    if max(values) > MOST:
        expected = "expected shares of the picture's width and height, from 0 to 1"
        return Fault("line in pixels", f"{where}: {expected}, {shown} (pixels?)")
    if len(values) > 4 and not -BEYOND <= min(values) <= max(values) <= 1 + BEYOND:
        expected = "expected points inside the picture, from 0 to 1"
        return Fault("polygon outside its picture", f"{where}: {expected}, {shown}; key points need kpt_shape in data.yaml")
    return None


def _sample(files: Files, name: str, rows: list[Row], labels: tuple[Label, ...], kind: str, policy: LabelPolicy) -> Sample:
    picture = open_picture(files, name)
    size = np.array(picture.size)
    if kind == "segments":
        outlines = [Outline(row.where, row.label, partial(_mask, row)) for row in rows]
        return Sample(files.path(name), picture, segments_of(picture.size, outlines, labels, files.path(name), policy))
    boxes = []
    for row in rows:
        if row.values.ndim == 2:
            boxes.append(box_of_points(row.values * size, picture.size))
        else:
            centre, half = row.values[:2] * size, row.values[2:] * size / 2
            boxes.append((*(centre - half), *(centre + half)))
    annotation = validate_boxes(boxes, [row.label for row in rows], labels, picture.size, [row.where for row in rows], policy=policy)
    return Sample(files.path(name), picture, annotation)


def _mask(row: Row, height: int, width: int) -> np.ndarray:
    if row.values.ndim == 1:
        message = f"{row.where}: a box; expected a polygon, since boxes alone cannot give segments"
        raise BadLabelError([Fault("box without outline", message)])
    if not np.isfinite(row.values).all():
        raise DataError(f"{row.where}: expected a polygon of finite numbers")
    return fill_polygon(row.values * (width, height), height, width)


def class_names(files: Files, config: Yaml | None = None) -> list[str]:
    """Return ``names`` of data.yaml, or the lines of a list of names.

    Raises:
        DataError: for no name, or one that occurs twice.
    """
    name = config.name if config else _list_name(files)
    if name is None:
        raise DataError(f"data: no class names in {files.where!r}; expected data.yaml with names, or classes.txt with a name a line")
    lines = config.names if config else [line.strip() for line in read_text(files, name).splitlines()]
    names = [line for line in lines if line]
    if not names:
        raise DataError(f"{files.path(name)}: no class names")
    if len(set(names)) < len(names):
        raise DataError(f"{files.path(name)}: the class {next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return names


def _list_name(files: Files) -> str | None:
    """Return the list of names, at the root, in a folder of labels or in that of a split."""
    folders = [
        folder for split in split_folders(files.folders(), files.where).values() for folder in (split, f"{split}/labels", f"labels/{split}")
    ]
    places = [*LISTS, *(f"{folder}/{name}" for folder in folders for name in ("_darknet.labels", "classes.txt"))]
    return next((name for name in places if files.exists(name)), None)


def fit(files: Files) -> Fit:
    """Score a folder: names of classes and texts of objects."""
    problem = "pictures in images/ and texts of the same names in labels/"
    try:
        names = yaml_file(files) or _list_name(files)
        with_text = any(_is_labels(text) for rows in _by_folders(files, LabelPolicy("skip")).values() for _, text in rows)
        if names and not with_text and names.lower().endswith(SUFFIX):
            with_text = bool(_pairs(files, [], LabelPolicy("skip"))[0])
    except DataError as error:
        names, with_text, problem = "data.yaml", False, str(error)
    if names and with_text:
        return Fit(1.0)
    if with_text:
        return Fit(0.4, "pictures with .txt files", "the class names: data.yaml with names, or classes.txt with a name a line")
    return Fit(0.2, str(names), problem) if names else Fit()


def _is_labels(text: str | None) -> bool:
    return text is not None and text.rpartition("/")[2].lower() not in NO_LABELS


READER = Reader(
    "YOLO",
    "data.yaml, classes.txt or obj.names; images/ and labels/*.txt (or train/images, images/train ...), or texts beside the pictures",
    ("boxes", "segments"),
    fit,
    open_yolo,
)
