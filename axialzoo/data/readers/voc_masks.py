"""Pascal VOC's masks: ``JPEGImages/``, ``SegmentationClass/*.png`` and, for single objects, ``SegmentationObject/*.png``.

``labelmap.txt`` as CVAT writes it has a line ``name:red,green,blue::`` for each class, background first. Without it the maps are those of
the VOC challenge: its 20 classes in palette order. The colour 224, 224, 192, or number 255, is void. ``ImageSets/Segmentation/train.txt``
(val, test alike) lists the pictures of a split.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from axialzoo.data.annotations import validate_segments
from axialzoo.data.dataset import SUFFIXES, Dataset, FileSplit, Sample
from axialzoo.data.decode import open_colours, open_picture
from axialzoo.data.faults import DataError, Fault, LabelPolicy
from axialzoo.data.file_tree import Files, read_text
from axialzoo.data.readers.reader import SPLITS, Fit, Reader, duplicate_split
from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Segmentation

CLASSES, OBJECTS, IMAGES = "SegmentationClass", "SegmentationObject", "JPEGImages"
VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog", "horse",
    "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
VOID = (224, 224, 192)


def palette_colour(number: int) -> tuple[int, int, int]:
    """Return the colour of a number in the palette of the VOC challenge, whose bits are dealt out to red, green and blue in turn."""
    channels = [sum((number >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(8)) for channel in range(3)]
    return channels[0], channels[1], channels[2]


def _code(colour: tuple[int, ...]) -> int:
    return colour[0] + 256 * colour[1] + 65536 * colour[2]


def read_classes(files: Files) -> dict[str, tuple[int, int, int]]:
    """Return the colour of each class, background first, by ``labelmap.txt`` or else of the VOC challenge.

    Raises:
        DataError: naming a line that is no class.
    """
    if not files.exists("labelmap.txt"):
        return {name: palette_colour(number) for number, name in enumerate(VOC)}
    classes: dict[str, tuple[int, int, int]] = {}
    for number, line in enumerate(read_text(files, "labelmap.txt").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        parts = rest.partition(":")[0].split(",")
        if len(parts) != 3 or not all(part.strip().isdigit() and int(part) < 256 for part in parts):
            raise DataError(f"{files.path('labelmap.txt')}: line {number}: expected name:red,green,blue::, found {line!r}")
        classes[name.strip()] = (int(parts[0]), int(parts[1]), int(parts[2]))
    background = next((name for name, colour in classes.items() if colour == (0, 0, 0)), None)
    if background is None:
        raise DataError(f"{files.path('labelmap.txt')}: expected a class of the colour 0,0,0, the background, found none")
    return {background: (0, 0, 0), **{name: colour for name, colour in classes.items() if colour not in ((0, 0, 0), VOID)}}


def open_voc_masks(files: Files, kind: str, policy: LabelPolicy) -> Dataset:
    """Open Pascal VOC's masks."""
    about: dict[str, Any] = {}
    pairs = _pairs(files, about)
    classes, objects = read_classes(files), any(name.endswith(OBJECTS) for name in files.folders())
    used = list(classes) if files.exists("labelmap.txt") else _used(files, [mask for rows in pairs.values() for _, mask in rows], classes)
    labels = tuple(Label(name, objects and at > 0, classes[name]) for at, name in enumerate(used))
    codes = {_code(classes[name]): number for number, name in enumerate(used)}
    about["maps"] = "objects" if objects else "classes"

    def open_item(item: tuple[str, str]) -> Sample:
        picture = open_picture(files, item[0])
        numbers = _numbers(open_colours(files, item[1], picture.size), codes, files.path(item[1]), policy)
        single = item[1].replace(CLASSES, OBJECTS)
        ids = open_colours(files, single, picture.size) if objects else None
        return Sample(files.path(item[0]), picture, _segments(numbers, ids, labels, files.path(single if objects else item[1])))

    splits = {split: FileSplit(rows, open_item) for split, rows in pairs.items()}
    return Dataset(duplicate_split(splits, about), labels, "segments", about)


def _used(files: Files, masks: list[str], classes: dict[str, tuple[int, int, int]]) -> list[str]:
    """Return the classes that occur, background first: those of the challenge are many."""
    codes = {int(code) for mask in masks for code in np.unique(open_colours(files, mask))}
    return [name for at, (name, colour) in enumerate(classes.items()) if not at or _code(colour) in codes]


def _numbers(colours: np.ndarray, codes: dict[int, int], where: str, policy: LabelPolicy) -> np.ndarray:
    """Return the class of each pixel from its colour, (H, W) int32; -1 for void."""
    numbers = np.full(colours.shape, -1, np.int32)
    for code in np.unique(colours).tolist():
        if code in codes:
            numbers[colours == code] = codes[code]
        elif code != _code(VOID):
            colour = f"{code & 255}, {code >> 8 & 255}, {code >> 16}"
            policy.handle([Fault("colour that is no class", f"{where}: the colour {colour} is no class of labelmap.txt or of Pascal VOC")])
    return numbers


def _segments(numbers: np.ndarray, ids: np.ndarray | None, labels: tuple[Label, ...], where: str) -> Segmentation:
    """Return a segment for the background and for each object; without `ids` for each class."""
    if ids is None:
        info = [{"id": int(number) + 1, "label_id": int(number)} for number in np.unique(numbers) if number >= 0]
        return validate_segments(numbers + 1, info, labels, where)
    segments, info = np.where(numbers == 0, 1, 0), []
    if segments.any():
        info.append({"id": 1, "label_id": 0})
    for code in np.unique(ids).tolist():
        pixels = (ids == code) & (numbers > 0)
        if code not in (0, _code(VOID)) and pixels.any():
            info.append({"id": len(info) + 2, "label_id": int(np.bincount(numbers[pixels]).argmax())})
            segments[pixels] = len(info) + 1
    return validate_segments(segments, info, labels, where)


def _pairs(files: Files, about: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Return (picture, mask) of each split; masks without picture are refused, pictures without mask left out."""
    pictures = {_stem(name): name for name in files.listing(IMAGES) if name.lower().endswith(SUFFIXES)}
    masks = {_stem(name): name for name in files.listing(CLASSES) if name.lower().endswith(".png")}
    if missing := sorted(masks.keys() - pictures.keys()):
        raise DataError(
            f"data: {files.path(masks[missing[0]])!r} has no picture in {files.path(IMAGES)!r} ({len(missing)} such masks); CVAT "
            "writes the pictures too with 'Save images'"
        )
    if without := len(pictures.keys() - masks.keys()):
        about["pictures_without_mask"] = f"{without} left out, since nobody labelled them"
    rows = {stem: (pictures[stem], masks[stem]) for stem in sorted(masks)}
    splits = {}
    for split in SPLITS:
        name = f"ImageSets/Segmentation/{split}.txt"
        if files.exists(name):
            stems = [line.split()[0] for line in read_text(files, name).splitlines() if line.strip()]
            splits[split] = [rows[stem] for stem in stems if stem in rows]
    return {split: items for split, items in splits.items() if items} or {"": list(rows.values())}


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0]


def fit(files: Files) -> Fit:
    """Score how well a folder fits Pascal VOC's masks."""
    masks = [name for name in files.listing(CLASSES) if name.lower().endswith(".png")] if CLASSES in files.folders() else []
    if not masks:
        return Fit()
    seen = f"{len(masks)} masks in {CLASSES}"
    return Fit(0.9, seen) if IMAGES in files.folders() else Fit(0.3, seen, f"the pictures in {IMAGES}/ ('Save images' in CVAT)")


READER = Reader(
    "Pascal VOC's masks",
    "JPEGImages/ and SegmentationClass/*.png (SegmentationObject/ too for single objects), with CVAT's labelmap.txt or VOC's classes",
    ("segments",),
    fit,
    open_voc_masks,
)
