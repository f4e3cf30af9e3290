"""CIFAR-10 as three zips of lossless pictures, each a column of 500 images, with ``labels.json`` and ``class_names.json``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from axialzoo.data.dataset import ArraySplit, DataError, Dataset
from axialzoo.data.decode import open_json, open_picture
from axialzoo.data.faults import LabelPolicy
from axialzoo.data.file_tree import Files, Folder, Zips
from axialzoo.data.readers.reader import Reader, fits
from axialzoo.spec.labels import Label

PARTS = {"train": ("cifar10_train_a.zip", "cifar10_train_b.zip"), "test": ("cifar10_test.zip",)}
ABOUT = {
    "name": "CIFAR-10",
    "source": "Alex Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
    "licence": "none published; free for research use with citation; images from the web, copyright not cleared",
}


def open_cifar10(files: Files, kind: str, policy: LabelPolicy) -> Dataset:
    """Open CIFAR-10 as zips of lossless pictures."""
    assert isinstance(files, Folder)  # the reader's fit says so
    splits, classes = {}, ()
    for name, parts in PARTS.items():
        read = [_part(files, part) for part in parts]
        classes = read[0][0]
        if any(other != classes for other, _, _ in read):
            raise DataError(f"data: {' and '.join(parts)} in {files.where!r} have different class names")
        labels = np.concatenate([labels for _, _, labels in read])
        splits[name] = ArraySplit(np.concatenate([pixels for _, pixels, _ in read]), labels, f"{files.where} {name}")
    return Dataset(splits, tuple(Label(name) for name in classes), "classes", dict(ABOUT))


def _part(folder: Folder, file: str) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    if not folder.exists(file):
        raise DataError(f"data: expected {file} in {folder.where!r}; found {[name for name in folder.listing() if name.endswith('.zip')]}")
    inside = Zips([("", Path(folder.path(file)))])
    classes, labels = open_json(inside, "class_names.json"), open_json(inside, "labels.json")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise DataError(f"{inside.path('class_names.json')}: expected a list of names, found {str(classes)[:60]!r}")
    columns = [open_picture(inside, name) for name in inside.listing() if name.endswith(".webp")]
    if not columns or any(column.width != 32 or column.height % 32 for column in columns):
        raise DataError(f"{inside.where}: expected columns of images of 32 x 32, found sizes {[column.size for column in columns][:5]}")
    pixels = np.concatenate([np.asarray(column).reshape(-1, 32, 32, 3) for column in columns])
    if not isinstance(labels, list) or len(labels) != len(pixels):
        count = len(labels) if isinstance(labels, list) else repr(labels)[:60]
        raise DataError(f"{inside.path('labels.json')}: expected a class for each of {len(pixels)} images, found {count}")
    for at, label in enumerate(labels):
        if not isinstance(label, int) or not 0 <= label < len(classes):
            raise DataError(f"{inside.path('labels.json')}: expected classes from 0 to {len(classes) - 1}, found {label!r} of image {at}")
    return tuple(classes), pixels, np.array(labels)


READER = Reader(
    "CIFAR-10",
    ", ".join((*PARTS["train"], *PARTS["test"])),
    ("classes",),
    lambda files: fits(isinstance(files, Folder) and files.exists("cifar10_test.zip")),
    open_cifar10,
)
