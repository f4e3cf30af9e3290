"""Image folders: ``train/CLASS/*.jpg`` with ``val/`` or ``test/`` beside it, or classes directly in the folder."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import PurePosixPath
from typing import Any

from axialzoo.data.dataset import SUFFIXES, DataError, Dataset, FileSplit, Sample
from axialzoo.data.decode import open_picture
from axialzoo.data.faults import LabelPolicy
from axialzoo.data.file_tree import Files
from axialzoo.data.readers.reader import Fit, Reader, duplicate_split, split_folders, split_of
from axialzoo.spec.labels import Label

RESERVED = {  # names of folders of other formats, in lower case, which are no classes
    "images", "image", "imgs", "img", "labels", "label", "masks", "mask", "annotations", "annotation", "jpegimages", "imagesets",
    "segmentationclass", "segmentationobject", "leftimg8bit", "gtfine", "gt", "instances", "panoptic", "data",
    "obj", "voc", "vocdevkit", "raw", "json", "xml", "macosx", "set", "dataset", "split", "splits", "v",
}  # fmt: skip


def open_image_folder(files: Files, kind: str, policy: LabelPolicy) -> Dataset:
    """Open a folder with a folder of pictures for each class."""
    folders = _splits(files)
    about: dict[str, Any] = {"name": PurePosixPath(files.where).name}
    if folders and (others := sorted(set(files.folders()) - set(folders.values()))):
        about["passed_over"] = f"folders that are no split: {', '.join(others)}"
    if not folders:
        folders = {"train": "", "test": ""}
        duplicate_split({"": None}, about)
    first = next(iter(folders.values()))
    classes = tuple(sorted(_base(name) for name in files.folders(first)))
    splits = {}
    for split, folder in folders.items():
        unknown = sorted({_base(name) for name in files.folders(folder)} - set(classes))
        if unknown:
            raise DataError(f"data: {files.path(folder)!r} has classes that {files.path(first)!r} has not: {', '.join(unknown)}")
        items = [(name, label) for label, cls in enumerate(classes) for name in pictures(files, f"{folder}/{cls}".lstrip("/"))]
        if not items:
            raise DataError(f"data: no picture in {files.path(folder)!r}; looked for {', '.join(SUFFIXES)}")
        if folder == first:
            empty = sorted(set(range(len(classes))) - {label for _, label in items})
            if empty:
                raise DataError(f"data: no picture of class {classes[empty[0]]!r} in {files.path(folder)!r}; expected one folder a class")
        splits[split] = FileSplit(items, lambda item: Sample(files.path(item[0]), open_picture(files, item[0]), item[1]))
    if others := _other_files(files, [f"{folder}/{name}".lstrip("/") for folder in set(folders.values()) for name in classes]):
        about["other_files"] = f"passed over in the folders of classes: {others}"
    return Dataset(splits, tuple(Label(name) for name in classes), "classes", about)


def _other_files(files: Files, folders: list[str]) -> str:
    """Return the number of files of each ending that is no picture's."""
    names = [name.rpartition("/")[2].lower() for folder in folders for name in files.listing(folder)]
    endings = Counter(name[name.rfind(".") :] if "." in name else "no ending" for name in names if not name.endswith(SUFFIXES))
    return ", ".join(f"{count} of {ending}" for ending, count in endings.most_common(6))


def pictures(files: Files, folder: str) -> list[str]:
    """Return the names of all pictures below `folder`, sorted as paths are."""
    names = pictures_in(files, folder)
    for below in files.folders(folder):
        names += pictures(files, below)
    return sorted(names, key=lambda name: name.split("/"))


def pictures_in(files: Files, folder: str) -> list[str]:
    """Return the names of the pictures directly in `folder`."""
    return [name for name in files.listing(folder) if name.lower().endswith(SUFFIXES)]


def _splits(files: Files) -> dict[str, str]:
    """Return the folder of each split; none where a folder called ``train`` is a class among others, as a vehicle."""
    folders = split_folders(files.folders(), files.where)
    if folders and not any(files.folders(folder) for folder in folders.values()) and len(folders) < len(files.folders()):
        return {}
    return folders


def _is_reserved(name: str) -> bool:
    """Return whether a folder's name is made of words of formats and splits alone, such as ``images``, ``v1.2`` or ``train_labels``."""
    words = [word for word in re.split(r"[^a-z]+", name.lower()) if word]
    return any(word in RESERVED for word in words) and all(word in RESERVED or split_of(word) for word in words)


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def fit(files: Files) -> Fit:
    """Score a folder: pictures lie directly in folders whose names are no split and no part of another format."""
    folders = _splits(files)
    roots = list(folders.values()) or [""]
    classes = [name for root in roots for name in files.folders(root)]
    if not classes:
        loose = [name for root in folders.values() for name in pictures_in(files, root)]
        return Fit(0.2, f"{len(loose)} pictures directly in {', '.join(folders.values())}", "one folder a class in it") if loose else Fit()
    seen = f"folders {', '.join(sorted({_base(name) for name in classes})[:6])}"
    if reserved := sorted({_base(name) for name in classes if _is_reserved(_base(name))}):
        return Fit(0.1, seen, f"folders named after classes, not {reserved[0]!r}")
    full = [name for name in classes if pictures_in(files, name)]
    if not full:
        return Fit(0.2, seen, "pictures directly in the folder of each class")
    if inside := [name for name in classes if split_folders(files.folders(name), files.where)]:
        return Fit(0.2, seen, f"the splits outside and the classes inside ({files.folders(inside[0])[0]!r} is the other way round)")
    others = [name for name in classes if any(not other.lower().endswith(SUFFIXES) for other in files.listing(name))]
    if not folders and len({_base(name) for name in classes}) < 2:
        return Fit(0.3, seen, "at least two folders of pictures, one a class")
    if len(others) == len(classes) and len({_base(name) for name in classes}) < 2:
        return Fit(0.3, seen, "folders that hold pictures alone")
    return Fit(0.6, seen)


READER = Reader(
    "an image folder",
    "one folder a class (train/cat/1.jpg, or cat/1.jpg)",
    ("classes",),
    fit,
    open_image_folder,
)
