"""Mapillary Vistas as it is unpacked: ``training/images/*.jpg``, ``training/v1.2/instances/*.png`` and ``config_v1.2.json``.

A value of the maps is 256 times the class plus the number of the instance. Source: Mapillary Vistas' own ``demo.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from axialzoo.data.annotations import validate_segments
from axialzoo.data.dataset import Dataset, FileSplit, Sample
from axialzoo.data.decode import open_json, open_map, open_picture
from axialzoo.data.faults import DataError, LabelPolicy
from axialzoo.data.file_tree import Files
from axialzoo.data.readers.pairs import paired
from axialzoo.data.readers.reader import Fit, Reader, label_from_json, split_folders
from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Segmentation

CONFIGS = ("config_v1.2.json", "config_v2.0.json", "config.json")
VERSIONS = {"config_v1.2.json": ("v1.2",), "config_v2.0.json": ("v2.0",), "config.json": ("",)}


def open_mapillary(files: Files, kind: str, policy: LabelPolicy) -> Dataset:
    """Open Mapillary Vistas."""
    config = next(name for name in CONFIGS if files.exists(name))
    labels, used = read_classes(open_json(files, config), files.path(config))
    splits = {}
    for split, folders in _folders(files, config).items():
        pairs = paired(files, *folders, (".png",))
        splits[split] = FileSplit(pairs, lambda item: _sample(files, item[0], item[1], labels, used, policy))
    return Dataset(splits, labels, "segments", {"name": "Mapillary Vistas", "licence": "CC BY-NC-SA 4.0"})


def _folders(files: Files, config: str) -> dict[str, tuple[str, str]]:
    """Return the folders of pictures and of maps of each split that has both."""
    folders = {}
    for split, folder in split_folders(files.folders(), files.where).items():
        for version in VERSIONS[config]:
            maps = "/".join(filter(None, (folder, version, "instances")))
            if files.listing(maps) and files.listing(f"{folder}/images"):
                folders[split] = (f"{folder}/images", maps)
    return folders


def read_classes(config: Any, where: str) -> tuple[tuple[Label, ...], dict[int, int]]:
    """Return the classes of a config that are evaluated, and the class of each number in the maps.

    Raises:
        DataError: for a config without such labels.
    """
    rows = config.get("labels") if isinstance(config, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and {"name", "readable", "instances"} <= set(row) for row in rows):
        raise DataError(f"{where}: expected labels with name, readable and instances, found {str(rows)[:60]!r}")
    used = [number for number, row in enumerate(rows) if row.get("evaluate", True)]
    values = [{"name": row["name"], "thing": bool(row["instances"]), "colour": row.get("color")} for row in rows]
    labels = tuple(label_from_json(values[number], f"{where}: labels[{number}]", True) for number in used)
    return labels, {number: at for at, number in enumerate(used)}


def _sample(files: Files, name: str, maps: str, labels: tuple[Label, ...], used: dict[int, int], policy: LabelPolicy) -> Sample:
    picture = open_picture(files, name)
    ids, bits = open_map(files, maps, picture.size)
    if bits != 16:
        raise DataError(f"{files.path(maps)}: expected a map of 16 bits, 256 times the class plus the instance, found {bits} bits")
    return Sample(files.path(name), picture, instance_annotation(ids, labels, used, files.path(maps), policy))


def instance_annotation(ids: np.ndarray, labels: tuple[Label, ...], used: dict[int, int], where: str, policy: LabelPolicy) -> Segmentation:
    """Return a segment for each instance of a thing and one for each class of stuff; classes that are not evaluated are void."""
    classes = ids // 256
    numbers = np.array([used.get(number, -1) for number in range(int(classes.max(initial=0)) + 1)])
    things = np.array([label.thing for label in labels] + [False])  # the last for void
    label = numbers[classes]
    merged = np.where(label < 0, 0, (label + 1) * 256 + np.where(things[label], ids % 256, 0))
    info = [{"id": int(value), "label_id": int(value) // 256 - 1} for value in np.unique(merged) if value]
    return validate_segments(merged, info, labels, where, policy)


def fit(files: Files) -> Fit:
    """Score how well a folder fits Mapillary Vistas."""
    config = next((name for name in CONFIGS if files.exists(name)), None)
    if config and _folders(files, config):
        return Fit(1.0)
    splits = split_folders(files.folders(), files.where)
    below = {name.rpartition("/")[2] for folder in splits.values() for name in files.folders(folder)}
    if not config and below & {"v1.2", "v2.0"}:
        return Fit(0.3, f"folders {', '.join(sorted(below))}", "config_v1.2.json beside training/")
    return Fit()


READER = Reader(
    "Mapillary Vistas",
    "training/images/, training/v1.2/instances/ and config_v1.2.json (validation/ alike)",
    ("segments",),
    fit,
    open_mapillary,
)
