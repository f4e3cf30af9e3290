"""Folders ``images/`` and ``labels/`` whose files pair by name, optionally by split: either order of ``train`` and ``images``."""

from __future__ import annotations

from axialzoo.data.dataset import SUFFIXES, DataError
from axialzoo.data.file_tree import Files
from axialzoo.data.readers.reader import SPELLINGS


def paired_folders(files: Files) -> dict[str, tuple[str, str]]:
    """Of each split its folders of pictures and of labels; ``""`` for a folder without splits."""
    found: dict[str, tuple[str, str]] = {}
    here = {name.rpartition("/")[2] for folder in ("", "images") for name in files.folders(folder)}
    for split, spellings in SPELLINGS.items():
        for name in sorted(name for name in here if name.lower() in spellings):
            for images, labels in ((f"{name}/images", f"{name}/labels"), (f"images/{name}", f"labels/{name}")):
                if files.listing(images) and files.listing(labels):
                    if split in found:
                        raise DataError(f"data: {files.where!r} has two folders for {split!r}: {found[split][0]} and {images}; remove one")
                    found[split] = (images, labels)
    if not found and files.listing("images") and files.listing("labels"):
        found[""] = ("images", "labels")
    return found


def stems(files: Files, folder: str, suffixes: tuple[str, ...]) -> dict[str, str]:
    """Files of these suffixes in `folder`, by name without suffix.

    Raises:
        DataError: for two of one name.
    """
    found: dict[str, str] = {}
    for name in files.listing(folder):
        if name.lower().endswith(suffixes):
            stem = name.rpartition("/")[2].rpartition(".")[0]
            if stem in found:
                raise DataError(
                    f"data: {files.path(found[stem])!r} and {files.path(name)!r} have one name; their labels cannot be told apart"
                )
            found[stem] = name
    return found


def paired(files: Files, images: str, labels: str, suffixes: tuple[str, ...], optional: bool = False) -> list[tuple[str, str | None]]:
    """(picture, label) files by name.

    Args:
        suffixes: Of the labels.
        optional: Whether a picture may have no label: it is given with None.

    Raises:
        DataError: naming a label without picture, or a picture without label.
    """
    pictures, truths = stems(files, images, SUFFIXES), stems(files, labels, suffixes)
    if alone := sorted(truths.keys() - pictures.keys()):
        raise DataError(f"data: {files.path(truths[alone[0]])!r} has no picture in {files.path(images)!r} ({len(alone)} such files)")
    if not optional and (alone := sorted(pictures.keys() - truths.keys())):
        expected = f"{files.path(labels)}/{alone[0]}{suffixes[0]}"
        raise DataError(f"data: {files.path(pictures[alone[0]])!r} has no label {expected!r} ({len(alone)} such files)")
    if not pictures or not truths:
        raise DataError(
            f"data: no pairs of pictures in {files.path(images)!r} and labels ({', '.join(suffixes)}) in {files.path(labels)!r}"
        )
    return [(pictures[stem], truths.get(stem)) for stem in sorted(pictures)]
