"""Folders of PNG maps: ``images/`` and ``labels/`` with the same names. Maps of instances, or of classes where a JSON says so.

``labels.json`` (or ``classes.json``) is a list of classes, number 0 first: the maps are of classes and 255 is void. Or it is an object::

    {"maps": "instances", "labels": ["background", "nucleus"]}
    {"maps": "classes", "labels": [{"name": "sky", "colour": [128, 128, 128]}, "road"], "void": 11}

Without it the maps are of instances: 0 is background, every other number an object.

``kinds.csv`` may say the kind of each picture and the group that a split must not part: see :mod:`axialzoo.data.readers.kinds`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from axialzoo.data.dataset import DataError, Dataset, FileSplit, Sample
from axialzoo.data.decode import open_json, open_map, open_picture
from axialzoo.data.file_tree import Files
from axialzoo.data.readers.kinds import NAME as KINDS_CSV
from axialzoo.data.readers.kinds import column_of, parted_groups, read_kinds
from axialzoo.data.readers.pairs import paired, paired_folders
from axialzoo.data.readers.reader import BACKGROUND, Reader, duplicate_split, label_from_json
from axialzoo.data.truth import class_truth, instance_truth
from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Segmentation

NAMES = ("labels.json", "classes.json")
SUFFIXES = (".png", ".tif", ".tiff", ".bmp")


def open_label_maps(files: Files, kind: str) -> Dataset:
    """Open pictures with label maps."""
    instances, labels, void = map_labels(files)
    return open_pairs(files, instances, labels, void)


def open_pairs(files: Files, instances: bool, labels: tuple[Label, ...], void: int | None) -> Dataset:
    """Maps of instances (labels: background and the object) or of classes."""
    about: dict[str, Any] = {"maps": "instances" if instances else "classes"}
    truth: Callable[..., Segmentation] = _instances if instances else partial(_classes, void=void)

    def open_item(item: tuple[str, str]) -> Sample:
        picture = open_picture(files, item[0])
        values, bits = open_map(files, item[1], picture.size)
        return Sample(files.path(item[0]), picture, truth(values, bits, labels=labels, where=files.path(item[1])))

    splits, table = {}, read_kinds(files)
    for split, folders in paired_folders(files).items():
        pairs = paired(files, *folders, SUFFIXES)
        kinds, groups = (column_of(table, name, [picture for picture, _ in pairs], KINDS_CSV) for name in ("kind", "group"))
        splits[split] = FileSplit(pairs, open_item, kinds, groups)
    if (parted := parted_groups({name: split.groups for name, split in splits.items()}))["groups"]:
        about["groups"] = f"{parted['groups']} groups lie in several splits ({parted['pictures']} pictures): their scores are optimistic"
    return Dataset(duplicate_split(splits, about), labels, "segments", about)


def _instances(values, bits: int, labels: tuple[Label, Label], where: str) -> Segmentation:
    return instance_truth(values, bits, labels, where)


def _classes(values, bits: int, labels: tuple[Label, ...], where: str, void: int | None) -> Segmentation:
    return class_truth(values, void, labels, where)


def map_labels(files: Files) -> tuple[bool, tuple[Label, ...], int | None]:
    """Whether the maps are of instances, the classes, and the number that is void."""
    name = next((name for name in NAMES if files.exists(name)), None)
    if name is None:
        folder = PurePosixPath(files.where).name
        return True, (BACKGROUND, Label("object" if folder in ("", "background") else folder)), None
    said, where = open_json(files, name), files.path(name)
    said = {"labels": said} if isinstance(said, list) else said
    if not isinstance(said, dict) or not isinstance(said.get("labels"), list) or set(said) - {"maps", "labels", "void"}:
        raise DataError(f'{where}: expected a list of classes or {{"maps": ..., "labels": [...], "void": ...}}, found {str(said)[:60]!r}')
    maps, void = said.get("maps", "classes"), said.get("void", 255)
    if maps not in ("instances", "classes"):
        raise DataError(f'{where}: expected "maps": "instances" or "classes", found {maps!r}')
    if void is not None and not isinstance(void, int):
        raise DataError(f'{where}: expected "void" as a number of the maps or null, found {void!r}')
    instances = maps == "instances"
    labels = tuple(label_from_json(one, f"{where}: labels[{at}]", instances and at == 1) for at, one in enumerate(said["labels"]))
    if len({label.name for label in labels}) < len(labels) or not labels:
        raise DataError(f"{where}: expected different class names, at least one, found {[label.name for label in labels]}")
    if instances and (len(labels) != 2 or labels[0].thing or not labels[1].thing):
        raise DataError(
            f"{where}: maps of instances have two classes, the background and the object, found {[label.name for label in labels]}"
        )
    if not instances and any(label.thing for label in labels):
        name = next(label.name for label in labels if label.thing)
        raise DataError(f'{where}: a map of classes cannot tell two of class {name!r} apart; leave "thing" out')
    if not instances and void is not None and 0 <= void < len(labels):
        raise DataError(f"{where}: void is {void}, which is the class {labels[void].name!r} too")
    return instances, labels, void


def _is_label_maps(files: Files) -> bool:
    folders = paired_folders(files).values()
    return any(name.lower().endswith(SUFFIXES) for _, labels in folders for name in files.listing(labels))


READER = Reader(
    "folders of PNG maps",
    "images/ and labels/*.png of the same names (or train/images, images/train ...), optionally labels.json and kinds.csv",
    ("segments",),
    _is_label_maps,
    open_label_maps,
)
