"""COCO's JSON of objects: boxes, or, where asked, segments cut from their masks."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from axialzoo.data.annotations import validate_boxes
from axialzoo.data.dataset import Dataset, FileSplit, Sample
from axialzoo.data.decode import open_picture
from axialzoo.data.faults import DataError, Fault, LabelPolicy
from axialzoo.data.file_tree import Files
from axialzoo.data.readers.coco_json import Coco, exported_files, json_files, one_list, open_coco, picture_names
from axialzoo.data.readers.masks import decode_mask
from axialzoo.data.readers.objects import Outline, box_of_points, segments_of
from axialzoo.data.readers.reader import BACKGROUND, Fit, Reader, duplicate_split, expect_object
from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Detections

OVERLAP = 0.5  # of a box and its outline's, below which one of them is wrong
PATTERNS = ("*.json", "instances_*.json", "annotations/*.json", "annotations/instances_*.json")


def open_instances(files: Files, kind: str, policy: LabelPolicy) -> Dataset:
    """Open boxes; or segments: each object's mask, the smaller above the larger, and all else one of the last class, background."""
    names = exported_files(files, json_files(files, PATTERNS))
    parsed = {split: open_coco(files, name, policy) for split, name in names.items()}
    labels = one_list({split: coco.categories for split, coco in parsed.items()}, files.where)
    about: dict[str, Any] = {}
    if umbrella := _umbrella(parsed):
        about["left_out"] = f"category {labels[0].name!r}, the supercategory of all others, which has no object"
        labels = labels[1:]
        for split, coco in parsed.items():
            rows = {key: (number - 1, label) for key, (number, label) in coco.categories.items() if key != umbrella[0]}
            parsed[split] = coco._replace(categories=rows)
    if kind == "segments":
        labels = (*labels, BACKGROUND)
    items: dict[str, list] = {}
    with policy.gather() as gathered:
        for split, coco in parsed.items():
            items[split] = _items(files, split, names[split], coco, labels, kind, gathered)

    def open_item(item: tuple[str, tuple[int, int], Any, str]) -> Sample:
        name, size, annotation, where = item
        picture = open_picture(files, name, size)
        annotation = annotation if isinstance(annotation, Detections) else segments_of(size, annotation, labels, where, policy)
        return Sample(files.path(name), picture, annotation)

    splits = {split: FileSplit(rows, open_item) for split, rows in items.items()}
    return Dataset(duplicate_split(splits, about), labels, kind, about)


def _umbrella(parsed: dict[str, Coco]) -> list[int]:
    """Return the category of number 0 if it is the supercategory of all others and no object in any split has it."""
    used = {row.get("category_id") for coco in parsed.values() for row in coco.annotations if isinstance(row, dict)}
    first = next(iter(parsed.values()))
    return [key for key, (number, _) in first.categories.items() if number == 0 and key in first.umbrellas and key not in used]


def _items(
    files: Files, split: str, json_name: str, coco: Coco, labels: tuple[Label, ...], kind: str, policy: LabelPolicy
) -> list[tuple[str, tuple[int, int], Any, str]]:
    """Return (picture, its size, boxes or outlines, its name in messages) of each image of a JSON."""
    by_image = _by_image(coco, files.path(json_name), policy)
    at = picture_names(files, split, coco.images, json_name, policy)
    items = []
    for key, image in coco.images.items():
        if image["file_name"] not in at:
            continue
        rows, where = by_image[key], f"{files.path(json_name)}: image {key} ({image['file_name']})"
        size = (image["width"], image["height"])
        if kind == "boxes":
            items.append((at[image["file_name"]], size, _boxes(rows, coco.categories, labels, size, where, policy), where))
            continue
        outlines = []
        for row in rows:
            name = f"{where}: annotation {row['id']}"
            if row.get("segmentation"):
                mask = partial(_mask, row["segmentation"], where=name)
                outlines.append(Outline(name, coco.categories[row["category_id"]][0], mask, bool(row.get("iscrowd"))))
            else:
                policy.handle([Fault("box without outline", f"{name} has no segmentation; boxes alone cannot give segments")])
        items.append((at[image["file_name"]], size, outlines, where))
    return items


def _mask(segmentation: object, height: int, width: int, where: str):
    return decode_mask(segmentation, height, width, where)


def _by_image(coco: Coco, where: str, policy: LabelPolicy) -> dict[int, list[dict[str, Any]]]:
    """Return the annotations of each image; those of no image or no category are bad labels, and ids that occur twice are named."""
    by_image: dict[int, list[dict[str, Any]]] = {key: [] for key in coco.images}
    seen: set[Any] = set()
    for at, row in enumerate(coco.annotations):
        row = expect_object(row, ("id", "image_id", "category_id", "bbox"), f"{where}: annotations[{at}]")
        key, faults = row["id"], []
        if not isinstance(key, int):
            raise DataError(f"{where}: annotations[{at}]: expected a whole number as id, found {key!r}")
        if key in seen:
            policy.handle([Fault("annotation id that occurs twice", f"{where}: annotation id {key} occurs twice")])
        seen.add(key)
        for field, known in (("image_id", coco.images), ("category_id", coco.categories)):
            if not isinstance(row[field], int) or row[field] not in known:
                message = f"{where}: annotation {key}: {field} {row[field]!r} is not among the file's {len(known)}"
                faults.append(Fault(f"annotation of an unknown {field.removesuffix('_id')}", message))
        if row.get("iscrowd", 0) not in (0, 1):
            faults.append(Fault("iscrowd not 0 or 1", f"{where}: annotation {key}: expected iscrowd 0 or 1, found {row['iscrowd']!r}"))
        policy.handle(faults)
        if not faults:
            by_image[row["image_id"]].append(row)
    return by_image


def _boxes(
    rows: list[dict[str, Any]], categories: dict, labels: tuple[Label, ...], size: tuple[int, int], where: str, policy: LabelPolicy
) -> Detections:
    """Return the boxes of an image; of a bad box with a good outline, skipped, that of the outline stays."""
    corners, good = [], []
    for row in rows:
        box, name = row["bbox"], f"{where}: annotation {row['id']}"
        if not isinstance(box, list) or len(box) != 4 or not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in box):
            message = f"{name}: expected bbox [left, top, width, height], found {box!r}"
            policy.handle([Fault("box that is not four numbers", message)])
            continue
        corner = (box[0], box[1], box[0] + box[2], box[1] + box[3])
        outline = _outline_box(row, size)
        if outline is not None and not _fit(corner, outline):
            number = categories[row["category_id"]][0]
            if len(validate_boxes([corner], [number], labels, size, name, policy=policy)):  # else another fault was told
                values = ", ".join(f"{value:g}" for value in outline)
                message = f"{name}: expected the box of its outline, left, top, right, bottom {values}, found bbox {box!r}"
                policy.handle([Fault("box that does not fit its outline", message)])
            corner = outline
        corners.append(corner)
        good.append(row)
    names = [f"{where}: annotation {row['id']}" for row in good]
    crowd = [bool(row.get("iscrowd")) for row in good]
    return validate_boxes(corners, [categories[row["category_id"]][0] for row in good], labels, size, names, crowd, policy)


def _outline_box(row: dict[str, Any], size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """Return the box of an annotation's polygons; None without polygons or with bad ones."""
    polygons = row.get("segmentation")
    if row.get("iscrowd") or not isinstance(polygons, list) or not polygons:
        return None
    try:
        points = np.concatenate([np.asarray(polygon, np.float64).reshape(-1, 2) for polygon in polygons])
    except (TypeError, ValueError):
        return None
    box = box_of_points(points, size) if len(points) > 2 and np.isfinite(points).all() else (0.0, 0.0, 0.0, 0.0)
    return box if box[2] > box[0] and box[3] > box[1] else None


def _fit(box: tuple[float, ...], outline: tuple[float, ...]) -> bool:
    """Return whether two boxes overlap by half of their union."""
    common = max(min(box[2], outline[2]) - max(box[0], outline[0]), 0) * max(min(box[3], outline[3]) - max(box[1], outline[1]), 0)
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in (box, outline)]
    return common >= OVERLAP * (sum(areas) - common)


def fit(files: Files) -> Fit:
    """Score how well a folder fits COCO's boxes and polygons."""
    named = json_files(files, PATTERNS)
    if named or exported_files(files, named):
        return Fit(1.0)
    others = [name for name in (*files.listing(), *files.listing("annotations")) if name.lower().endswith(".json")]
    return Fit(0.1, f"{', '.join(others[:3])}", "a JSON with images, annotations and categories") if others else Fit()


READER = Reader(
    "COCO instances",
    "train.json, instances_train.json or annotations/instances_train*.json (val, test alike), train/_annotations.coco.json, "
    "annotations/instances_default.json, result.json or any JSON of COCO; pictures beside, in images/ or train/",
    ("boxes", "segments"),
    fit,
    open_instances,
)
