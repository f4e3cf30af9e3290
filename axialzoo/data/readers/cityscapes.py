"""Cityscapes as it is unpacked: ``leftImg8bit/SPLIT/CITY/*_leftImg8bit.png`` and ``gtFine/SPLIT/CITY/*_gtFine_instanceIds.png``.

Source of the ids and colours: cityscapesScripts, ``helpers/labels.py``; of the maps: ``helpers/csInstance.py``.
"""

from __future__ import annotations

import numpy as np

from axialzoo.data.annotations import validate_segments
from axialzoo.data.dataset import DataError, Dataset, FileSplit, Sample
from axialzoo.data.decode import open_map, open_picture
from axialzoo.data.faults import STRICT, LabelPolicy
from axialzoo.data.file_tree import Files
from axialzoo.data.readers.reader import SPLITS, Fit, Reader
from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Segmentation

CLASSES = {  # id in the maps: the class, in the order of the 19 training ids
    7: Label("road", False, (128, 64, 128)), 8: Label("sidewalk", False, (244, 35, 232)), 11: Label("building", False, (70, 70, 70)),
    12: Label("wall", False, (102, 102, 156)), 13: Label("fence", False, (190, 153, 153)), 17: Label("pole", False, (153, 153, 153)),
    19: Label("traffic light", False, (250, 170, 30)), 20: Label("traffic sign", False, (220, 220, 0)),
    21: Label("vegetation", False, (107, 142, 35)), 22: Label("terrain", False, (152, 251, 152)), 23: Label("sky", False, (70, 130, 180)),
    24: Label("person", True, (220, 20, 60)), 25: Label("rider", True, (255, 0, 0)), 26: Label("car", True, (0, 0, 142)),
    27: Label("truck", True, (0, 0, 70)), 28: Label("bus", True, (0, 60, 100)), 31: Label("train", True, (0, 80, 100)),
    32: Label("motorcycle", True, (0, 0, 230)), 33: Label("bicycle", True, (119, 11, 32)),
}  # fmt: skip
LABELS = tuple(CLASSES.values())
NUMBERS = {key: number for number, key in enumerate(CLASSES)}
LAST = 33  # ids from 0 that are no training class are void
PICTURE, MAP = "_leftImg8bit.png", "_gtFine_instanceIds.png"


def open_cityscapes(files: Files, kind: str, policy: LabelPolicy) -> Dataset:
    """Open Cityscapes in its own folders."""
    splits = {}
    for split in SPLITS:
        items = []
        for folder in files.folders(f"leftImg8bit/{split}"):
            city = folder.rpartition("/")[2]
            for name in files.listing(folder):
                if not name.endswith(PICTURE):
                    continue
                annotation = f"gtFine/{split}/{city}/" + name.rpartition("/")[2].replace(PICTURE, MAP)
                if not files.exists(annotation):
                    raise DataError(f"data: {files.path(name)!r} has no map {files.path(annotation)!r}")
                items.append((name, annotation))
        if items:
            splits[split] = FileSplit(items, lambda item: _sample(files, item[0], item[1], policy))
    return Dataset(splits, LABELS, "segments", {"name": "Cityscapes", "licence": "research and teaching; see cityscapes-dataset.com"})


def _sample(files: Files, name: str, annotation: str, policy: LabelPolicy) -> Sample:
    picture = open_picture(files, name)
    ids, bits = open_map(files, annotation, picture.size)
    if bits != 16:
        raise DataError(f"{files.path(annotation)}: expected a map of 16 bits, since instances have numbers from 1000, found {bits} bits")
    return Sample(files.path(name), picture, instance_ids_annotation(ids, files.path(annotation), policy))


def instance_ids_annotation(ids: np.ndarray, where: str, policy: LabelPolicy = STRICT) -> Segmentation:
    """Return the segments of a map of instance ids.

    Below 1000 a number is a class: of stuff its segment, of things a group that could not be told apart, a crowd; from 1000 on it
    is 1000 times a thing's class plus the instance.
    """
    info, void = [], []
    for number in np.unique(ids).tolist():
        key = number if number < 1000 else number // 1000
        if key > LAST:
            raise DataError(f"{where}: expected class ids from 0 to {LAST}, found {key} (value {number})")
        if key not in CLASSES:
            void.append(number)
        elif number >= 1000 and not CLASSES[key].thing:
            raise DataError(f"{where}: value {number} is an instance of {CLASSES[key].name!r}, which has none")
        else:
            info.append({"id": number, "label_id": NUMBERS[key], "iscrowd": int(number < 1000 and CLASSES[key].thing)})
    return validate_segments(np.where(np.isin(ids, void), 0, ids), info, LABELS, where, policy)


def fit(files: Files) -> Fit:
    """Score how well a folder fits Cityscapes."""
    there = [name for name in ("leftImg8bit", "gtFine") if files.folders(name)]
    if len(there) == 1:
        missing = ({"leftImg8bit", "gtFine"} - set(there)).pop()
        return Fit(0.2, f"the folder {there[0]}", f"{missing} beside it")
    return Fit(1.0 if there else 0.0)


READER = Reader(
    "Cityscapes",
    "leftImg8bit/SPLIT/CITY/ and gtFine/SPLIT/CITY/",
    ("segments",),
    fit,
    open_cityscapes,
)
