"""Folders of maps as PNG or TIFF: ``images/`` and ``labels/`` (or ``masks/``) with the same names, or ``1.tif`` beside ``1_masks.tif``.

``labels.json`` (or ``classes.json``) is a list of classes, number 0 first: the maps are of classes and 255 is void. Or it is an object::

    {"maps": "instances", "labels": ["background", "nucleus"]}
    {"maps": "classes", "labels": [{"name": "sky", "colour": [128, 128, 128]}, "road"], "void": 11}

Maps of black and white are of two classes, black first. Without the file the maps are of instances: 0 is background, every other number
an object. Maps that look like classes, or black and white, are refused then.

``kinds.csv`` may say the kind of each picture and the group that a split must not part: see :mod:`axialzoo.data.readers.kinds`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from axialzoo.data.annotations import WHITE, class_annotation, instance_annotation
from axialzoo.data.components import count_regions
from axialzoo.data.dataset import Dataset, FileSplit, Sample
from axialzoo.data.decode import open_map, open_picture
from axialzoo.data.faults import STRICT, DataError, LabelPolicy
from axialzoo.data.file_tree import Files
from axialzoo.data.readers.kinds import NAME as KINDS_CSV
from axialzoo.data.readers.kinds import column_of, parted_groups, read_kinds
from axialzoo.data.readers.map_labels import MapFormat, read_map_format
from axialzoo.data.readers.pairs import LABELS, paired, paired_folders, pairs_in_folder
from axialzoo.data.readers.reader import Fit, Reader, duplicate_split, split_folders

SUFFIXES = (".png", ".tif", ".tiff", ".bmp")
SAMPLED = 8  # maps that are looked at before the folder is opened
MOST_CLASSES = 64  # a map with a higher number is none of classes
EXAMPLE = 'expected a labels.json beside the folders, such as ["background", "road"]'

Pairs = dict[str, list[tuple[str, str]]]


def open_label_maps(files: Files, kind: str, policy: LabelPolicy) -> Dataset:
    """Open pictures with label maps."""
    pairs = _map_pairs(files, policy)
    every = [pair for rows in pairs.values() for pair in rows]
    sampled = [every[at][1] for at in np.unique(np.linspace(0, len(every) - 1, SAMPLED).astype(int)).tolist()]
    return open_pairs(files, _recognised(files, sampled, read_map_format(files)), policy, pairs)


def _map_pairs(files: Files, policy: LabelPolicy = STRICT) -> Pairs:
    """Return (picture, map) of each split; ``""`` for a folder without splits."""
    folders = paired_folders(files, LABELS, SUFFIXES)
    if folders:
        pairs = {split: paired(files, *both, SUFFIXES, policy=policy) for split, both in folders.items()}
        return {split: [(picture, label) for picture, label in rows if label] for split, rows in pairs.items()}
    splits = split_folders(files.folders(), files.where)
    pairs = {split: pairs_in_folder(files, folder, SUFFIXES) for split, folder in splits.items()}
    pairs = {split: rows for split, rows in pairs.items() if rows}
    return pairs or ({"": rows} if (rows := pairs_in_folder(files, "", SUFFIXES)) else {})


def open_pairs(files: Files, maps: MapFormat, policy: LabelPolicy, pairs: Pairs | None = None) -> Dataset:
    """Return the data set of pictures and maps.

    Args:
        pairs: (picture, map) of each split; by default those that lie in `files`.
    """
    about: dict[str, Any] = {"maps": "instances" if maps.instances else "classes"}
    if maps.white is not None:
        about["maps"] = f"black and white: 0 is {maps.labels[0].name!r}, {maps.white} is {maps.labels[1].name!r}"

    def open_item(item: tuple[str, str]) -> Sample:
        picture = open_picture(files, item[0])
        values, bits = open_map(files, item[1], picture.size)
        where = files.path(item[1])
        if maps.instances:
            assert len(maps.labels) == 2
            annotation = instance_annotation(values, bits, (maps.labels[0], maps.labels[1]), where)
        else:
            values = np.where(values == maps.white, 1, values) if maps.white is not None else values
            annotation = class_annotation(values, maps.void, maps.labels, where, policy)
        return Sample(files.path(item[0]), picture, annotation)

    splits, table = {}, read_kinds(files)
    for split, rows in (_map_pairs(files) if pairs is None else pairs).items():
        kinds, groups = (column_of(table, name, [picture for picture, _ in rows], KINDS_CSV) for name in ("kind", "group"))
        splits[split] = FileSplit(rows, open_item, kinds, groups)
    if (parted := parted_groups({name: split.groups for name, split in splits.items()}))["groups"]:
        about["groups"] = f"{parted['groups']} groups lie in several splits ({parted['pictures']} pictures): their scores are optimistic"
    return Dataset(duplicate_split(splits, about), maps.labels, "segments", about, generic_labels=not maps.named)


def _recognised(files: Files, sampled: list[str], maps: MapFormat) -> MapFormat:
    """Return the format of the maps after a look at some of them.

    Raises:
        DataError: for maps of instances that are rather of classes, or black and white.
    """
    if maps.named and (maps.instances or len(maps.labels) != 2 or maps.void_given):
        return maps
    read = [open_map(files, name) for name in sampled]
    numbers = sorted(set().union(*(np.unique(values).tolist() for values, _ in read)))
    where, bits = files.path(sampled[0]), read[0][1]
    black_and_white = len(numbers) == 2 and numbers[0] == 0 and (bits, numbers[1]) in WHITE
    if maps.named:  # two classes
        return maps.black_and_white(numbers[1]) if black_and_white and numbers[1] > 1 else maps
    if black_and_white:
        raise DataError(
            f"{where}: found 0 and {numbers[1]} alone in {len(read)} maps of {bits} bits, black-and-white masks, whose objects would be "
            f"one; {EXAMPLE}, for two classes; or maps with a number for each object"
        )
    two = len(numbers) == 2 and numbers[0] == 0  # one number for whatever is no background, in all maps
    if numbers[-1] > MOST_CLASSES and not two:
        return maps
    regions = [count_regions(values) for values, _ in read]
    objects, pieces = sum(map(len, regions)), sum(sum(counts.values()) for counts in regions)
    if pieces > (1 if two else 2) * objects:
        kinds = f"black-and-white masks of 0 and {numbers[1]}" if two else "maps of classes"
        raise DataError(
            f"{where}: found {pieces} separate regions of {objects} numbers in {len(read)} maps (numbers "
            f"{', '.join(map(str, numbers[:10]))}), which look like {kinds}; {EXAMPLE}, with a name for each number; "
            "or, where they are instances, "
            '{"maps": "instances", "labels": ["background", "object"]}'
        )
    return maps


def fit(files: Files) -> Fit:
    """Score how well a folder fits pictures with label maps."""
    if paired_folders(files, LABELS, SUFFIXES):
        return Fit(1.0)
    if any(rows for rows in _map_pairs(files, LabelPolicy("skip")).values()):
        return Fit(0.9)
    maps = [name for name in files.folders() if name.lower() in LABELS]
    return Fit(0.1, f"a folder {maps[0]}", "a folder images/ beside it, maps as PNG or TIFF in it") if maps else Fit()


READER = Reader(
    "folders of PNG maps",
    "images/ and labels/*.png or masks/*.tif of the same names (or train/images, images/train ...), or 1.tif beside 1_masks.tif; "
    "optionally labels.json and kinds.csv",
    ("segments",),
    fit,
    open_label_maps,
)
