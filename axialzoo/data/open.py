"""Recognition of a folder's format, and opening it."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from axialzoo.data.dataset import KINDS, SUFFIXES, DataError, Dataset
from axialzoo.data.faults import LabelPolicy
from axialzoo.data.file_tree import Files, Folder
from axialzoo.data.masks_to_boxes import boxes_of
from axialzoo.data.readers import (
    archives,
    cifar10,
    cityscapes,
    coco_instances,
    coco_maps,
    image_folder,
    label_maps,
    labelme,
    mapillary,
    shards,
    voc,
    voc_masks,
    yolo,
    yolo_yaml,
)
from axialzoo.data.readers.reader import SURE, Fit, Reader

READERS: tuple[Reader, ...] = (
    cifar10.READER,
    *archives.READERS,
    coco_instances.READER,
    coco_maps.READER,
    cityscapes.READER,
    mapillary.READER,
    yolo.READER,
    voc.READER,
    voc_masks.READER,
    labelme.READER,
    label_maps.READER,
    shards.READER,
    image_folder.READER,
)
FOREIGN = {  # endings of files of formats that no reader knows, and what to do
    ".nii": "NIfTI volumes: save slices as PNG or TIFF, with a map for each",
    ".nii.gz": "NIfTI volumes: save slices as PNG or TIFF, with a map for each",
    ".dcm": "DICOM: save the pictures as PNG or TIFF of 16 bits",
    ".npy": "NumPy files (Cellpose's _seg.npy are pickles, which are never loaded): save masks as PNG or TIFF",
    ".qpproj": "a QuPath project: export the annotations as label images (TIFF) or as COCO",
    ".tfrecord": "TFRecord files: export as COCO, YOLO or Pascal VOC",
}


def open_data(folder: str | os.PathLike[str], kind: str | None = None, on_bad_label: str = "error") -> Dataset:
    """Open the data set in `folder`.

    Every reader scores how well the folder fits its format; the best opens it if it is sure.

    Args:
        folder: A folder, none of whose files is changed; or a ``data.yaml`` of Ultralytics, whose ``path`` may lie elsewhere.
        kind: Kind of annotation, ``"classes"``, ``"boxes"`` or ``"segments"``, where the folder serves several: COCO's
            objects have boxes and masks, and segments that are things have boxes. None: the folder's own.
        on_bad_label: ``"error"`` refuses bad labels and lists all of them; ``"skip"`` leaves them out and counts them in
            ``policy.skipped``.

    Raises:
        DataError: naming what lies there and what each format needs; where several readers know the folder; where it has no such
            annotation.
        BadLabelError: listing bad labels.

    Example:
        >>> from axialzoo.data import open_data
        >>> open_data("docs/photos")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        axialzoo.data.faults.DataError: data: nothing known in 'docs/photos'; looked for...
    """
    if kind is not None and kind not in KINDS:
        raise DataError(f"data: expected kind {', '.join(KINDS)} or None, found {kind!r}")
    policy = LabelPolicy(on_bad_label)
    if str(folder).lower().endswith((".yaml", ".yml")) and os.path.isfile(folder):
        return _opened(yolo.READER, yolo_yaml.tree_of(Path(folder)), kind, policy)
    if not os.path.isdir(folder):
        raise DataError(f"data: {str(folder)!r} is not a folder{_advice(str(folder))}")
    files = Folder(folder)
    scored = [(_fit(reader, files), reader) for reader in READERS]
    able = [pair for pair in scored if pair[0].score >= SURE and _gives(pair[1], kind)]
    best = max(fit.score for fit, _ in able or scored)
    if best < SURE:
        raise DataError(_unknown(files, kind, scored))
    return _opened(_choose([reader for fit, reader in able or scored if fit.score == best], kind, files.where), files, kind, policy)


def _gives(reader: Reader, kind: str | None) -> bool:
    """Tell whether a reader gives annotations of this kind."""
    return kind is None or kind in reader.kinds or (kind == "boxes" and "segments" in reader.kinds)


def _fit(reader: Reader, files: Files) -> Fit:
    """Return the score of a reader; one that fails on a folder is not sure of it."""
    try:
        return reader.fit(files)
    except DataError as error:
        return Fit(0.2, str(error))


def _advice(name: str) -> str:
    """Return what to do about a name that is no folder."""
    if address := re.match(r"(https?):/+(.+)", name):
        return f" but an address; fetch it first (curl -LO '{address[1]}://{address[2]}'), unpack it, and give the folder"
    if name == "-":
        return " but standard input, which holds no data set; give a folder"
    if name.lower().endswith((".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")) and os.path.isfile(name):
        return " but an archive; unpack it, and give the folder"
    if os.path.isfile(name):
        return f" but a file; give the folder that holds it ({os.path.dirname(name) or '.'})"
    return " but a pattern; give the folder itself" if any(char in name for char in "*?") else "; there is nothing of this name"


def _opened(reader: Reader, files: Files, kind: str | None, policy: LabelPolicy) -> Dataset:
    """Return the data set of a reader, with annotations of a kind."""
    if kind is None or kind in reader.kinds:
        data = reader.open(files, kind or reader.kinds[0], policy)
    elif kind == "boxes" and "segments" in reader.kinds:
        data = boxes_of(reader.open(files, "segments", policy))
    else:
        raise DataError(f"data: {files.where!r} holds {reader.name} with {' or '.join(reader.kinds)}; {kind} cannot be had of it")
    return replace(data, reader=reader.name, policy=policy)


def _choose(best: list[Reader], kind: str | None, folder: str) -> Reader:
    """Return the only reader, or the only one whose own annotations are of this kind."""
    fitting = [reader for reader in best if reader.kinds[0] == kind] if len(best) > 1 and kind else best
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(f"{reader.name} ({reader.kinds[0]})" for reader in fitting or best)
    raise DataError(f"data: {folder!r} holds several data sets: {names}; say which kind is wanted, or keep one of them there")


def _unknown(files: Folder, kind: str | None, scored: list[tuple[Fit, Reader]]) -> str:
    """Return the message about a folder that no reader is sure of: what lies there, and what each format needs."""
    lines = [f"data: nothing known in {files.where!r}; looked for"]
    for fit, reader in sorted(scored, key=lambda pair: -pair[0].score):
        if _gives(reader, kind):
            lines.append(f"  {reader.name}: {reader.looks_for}")
            lines += [f"    found {fit.seen}" + (f"; needs {fit.needs}" if fit.needs else "")] if fit.seen else []
    lines.append(f"there lies: {survey(files)}")
    for name in files.folders()[:20]:
        below = Folder(files.root / name)
        sure = [reader.name for reader in READERS if _fit(reader, below).score >= SURE]
        if sure:
            lines.append(f"one folder deeper, {files.path(name)!r} looks like {' or '.join(sure)}; give that folder")
    return "\n".join(lines)


def survey(files: Files) -> str:
    """Return in one line the files and folders of a folder, and advice about files of formats that no reader knows."""
    parts, advice = [], []
    for folder in ("", *files.folders()[:8]):
        endings = Counter(_ending(name) for name in files.listing(folder))
        below = len(files.folders(folder)) if folder else 0
        counts = [f"{count} {ending or 'without ending'}" for ending, count in endings.most_common(4)]
        counts += [f"{below} folders"] if below else []
        if counts or folder:
            parts.append((f"{folder}/ " if folder else "") + f"({', '.join(counts) or 'empty'})")
        advice += [FOREIGN[ending] for ending in endings if ending in FOREIGN]
    more = len(files.folders()) - 8
    parts += [f"and {more} more folders"] if more > 0 else []
    if len(parts) == 1 and parts[0].startswith("(") and all(ending in SUFFIXES for ending in {_ending(n) for n in files.listing()}):
        advice.append("pictures without labels, which `axialzoo predict` takes")
    return "; ".join([", ".join(parts) or "nothing", *dict.fromkeys(advice)])


def _ending(name: str) -> str:
    base = name.rpartition("/")[2].lower()
    return ".nii.gz" if base.endswith(".nii.gz") else base[base.rfind(".") :] if "." in base else ""
