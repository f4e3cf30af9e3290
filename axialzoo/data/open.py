"""A folder as a data set, recognised by what lies there."""

from __future__ import annotations

import os

from axialzoo.data.dataset import KINDS, DataError, Dataset
from axialzoo.data.file_tree import Folder
from axialzoo.data.masks_to_boxes import boxes_of
from axialzoo.data.readers import archives, cifar10, cityscapes, coco_instances, coco_maps, image_folder, label_maps, shards, yolo
from axialzoo.data.readers.reader import Reader

READERS: tuple[Reader, ...] = (
    cifar10.READER,
    *archives.READERS,
    coco_instances.READER,
    coco_maps.READER,
    cityscapes.READER,
    yolo.READER,
    label_maps.READER,
    shards.READER,
)
LAST = image_folder.READER  # any folder of folders looks like one


def open_data(folder: str | os.PathLike, kind: str | None = None) -> Dataset:
    """The data set in `folder`.

    Args:
        folder: What lies there says which reader opens it; none of its files is changed.
        kind: The truth that is wanted, ``"classes"``, ``"boxes"`` or ``"segments"``, where the folder serves several: COCO's
            objects have boxes and masks, and segments that are things have boxes. None: the folder's own.

    Raises:
        DataError: naming everything that was looked for; where several readers know the folder; where it has no such truth.

    Example:
        >>> from axialzoo.data import open_data
        >>> open_data("docs/photos")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        axialzoo.data.dataset.DataError: data: nothing known in 'docs/photos'; looked for...
    """
    if kind is not None and kind not in KINDS:
        raise DataError(f"data: expected kind {', '.join(KINDS)} or None, found {kind!r}")
    if not os.path.isdir(folder):
        raise DataError(f"data: {str(folder)!r} is not a folder")
    files = Folder(folder)
    found = [reader for reader in READERS if reader.found(files)] or [reader for reader in (LAST,) if reader.found(files)]
    if not found:
        looked = "".join(f"\n  {reader.name}: {reader.looks_for}" for reader in (*READERS, LAST))
        raise DataError(f"data: nothing known in {str(folder)!r}; looked for{looked}")
    reader = _choose(found, kind, str(folder))
    if kind is None or kind in reader.kinds:
        return reader.open(files, kind or reader.kinds[0])
    if kind == "boxes" and "segments" in reader.kinds:
        return boxes_of(reader.open(files, "segments"))
    raise DataError(f"data: {str(folder)!r} holds {reader.name} with {' or '.join(reader.kinds)}; {kind} cannot be had of it")


def _choose(found: list[Reader], kind: str | None, folder: str) -> Reader:
    """The only reader, or the only one whose own truth is of this kind."""
    own = [reader for reader in found if reader.kinds[0] == kind] if len(found) > 1 and kind else found
    if len(own) == 1:
        return own[0]
    names = ", ".join(f"{reader.name} ({reader.kinds[0]})" for reader in own or found)
    raise DataError(f"data: {folder!r} holds several data sets: {names}; say which kind is wanted, or keep one of them there")
