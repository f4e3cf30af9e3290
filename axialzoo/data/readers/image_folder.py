"""Image folders: ``train/CLASS/*.jpg`` with ``val/`` or ``test/`` beside it, or classes directly in the folder."""

from __future__ import annotations

from pathlib import PurePosixPath

from axialzoo.data.dataset import SUFFIXES, DataError, Dataset, FileSplit, Sample
from axialzoo.data.decode import open_picture
from axialzoo.data.file_tree import Files
from axialzoo.data.readers.reader import Reader, split_folders
from axialzoo.spec.labels import Label


def open_image_folder(files: Files, kind: str) -> Dataset:
    """Open a folder with a folder of pictures for each class."""
    folders, about = split_folders(files.folders(), files.where), {"name": PurePosixPath(files.where).name}
    if folders and (others := sorted(set(files.folders()) - set(folders.values()))):
        about["passed_over"] = f"folders that are no split: {', '.join(others)}"
    if not folders:
        folders = {"train": "", "test": ""}
        about["splits"] = "none in the folder: train and test are the same pictures"
    first = next(iter(folders.values()))
    classes = tuple(sorted(_base(name) for name in files.folders(first)))
    if not classes:
        raise DataError(f"data: expected one folder a class in {files.path(first)!r} (as train/cat/1.jpg), found none")
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
    return Dataset(splits, tuple(Label(name) for name in classes), "classes", about)


def pictures(files: Files, folder: str) -> list[str]:
    """Names of all pictures below `folder`, sorted as paths are."""
    found = [name for name in files.listing(folder) if name.lower().endswith(SUFFIXES)]
    for below in files.folders(folder):
        found += pictures(files, below)
    return sorted(found, key=lambda name: name.split("/"))


def _base(name: str) -> str:
    return name.rpartition("/")[2]


READER = Reader(
    "an image folder",
    "one folder a class (train/cat/1.jpg, or cat/1.jpg)",
    ("classes",),
    lambda files: bool(files.folders()),
    open_image_folder,
)
