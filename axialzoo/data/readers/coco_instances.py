"""COCO's JSON of objects: boxes, or, where asked, segments cut from their masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from axialzoo.data.dataset import DataError, Dataset, FileSplit, Sample
from axialzoo.data.decode import open_picture
from axialzoo.data.file_tree import Files
from axialzoo.data.readers.coco_json import json_files, one_list, open_coco, picture_names
from axialzoo.data.readers.masks import decode_mask
from axialzoo.data.readers.reader import BACKGROUND, Reader, index_by_id
from axialzoo.data.truth import validate_boxes, validate_segments
from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Detections, Segmentation

PATTERNS = ("*.json", "instances_*.json", "annotations/*.json", "annotations/instances_*.json")


def open_instances(files: Files, kind: str) -> Dataset:
    """Boxes; or segments: each object's mask, the smaller above the larger, and what is left one of the last class, background."""
    tables, items, labels = {}, {}, ()
    for split, name in json_files(files, PATTERNS).items():
        images, tables[split], annotations = open_coco(files, name)
        labels = one_list(tables, files.where)
        if kind == "segments":
            labels = (*labels, BACKGROUND)
        by_image = _by_image(annotations, images, tables[split], files.path(name))
        at = picture_names(files, split, (image["file_name"] for image in images.values()), files.path(name), partial=False)
        items[split] = []
        for key, image in images.items():
            found, where = by_image[key], f"{files.path(name)}: image {key} ({image['file_name']})"
            boxes = _boxes(found, tables[split], labels, (image["width"], image["height"]), where)
            missing = [one["id"] for one in found if kind == "segments" and not one.get("segmentation")]
            if missing:
                raise DataError(f"{where}: annotation {missing[0]} has no segmentation; boxes alone cannot give segments")
            items[split].append((at[image["file_name"]], image, boxes if kind == "boxes" else (found, tables[split], labels, where)))

    def open_item(item: tuple[str, dict[str, Any], Any]) -> Sample:
        name, image, known = item
        picture = open_picture(files, name, (image["width"], image["height"]))
        truth = known if isinstance(known, Detections) else _segments(picture.size, *known)
        return Sample(files.path(name), picture, truth)

    return Dataset({split: FileSplit(rows, open_item) for split, rows in items.items()}, labels, kind)


def _by_image(annotations: list, images: dict, categories: dict, where: str) -> dict[int, list[dict[str, Any]]]:
    """Annotations of each image; an annotation of no image, no category or a used id is refused."""
    found: dict[int, list[dict[str, Any]]] = {key: [] for key in images}
    for key, row in index_by_id(annotations, ("image_id", "category_id", "bbox"), "annotation", where).items():
        for field, known in (("image_id", images), ("category_id", categories)):
            if not isinstance(row[field], int) or row[field] not in known:
                raise DataError(f"{where}: annotation {key}: {field} {row[field]!r} is not among the file's {len(known)}")
        if row.get("iscrowd", 0) not in (0, 1):
            raise DataError(f"{where}: annotation {key}: expected iscrowd 0 or 1, found {row['iscrowd']!r}")
        found[row["image_id"]].append(row)
    return found


def _boxes(found: list[dict[str, Any]], categories: dict, labels: tuple[Label, ...], size: tuple[int, int], where: str) -> Detections:
    rows = []
    for one in found:
        box = one["bbox"]
        if not isinstance(box, list) or len(box) != 4 or not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in box):
            raise DataError(f"{where}: annotation {one['id']}: expected bbox [left, top, width, height], found {box!r}")
        rows.append((box[0], box[1], box[0] + box[2], box[1] + box[3]))
    names = [f"{where}: annotation {one['id']}" for one in found]
    crowd = [bool(one.get("iscrowd")) for one in found]
    return validate_boxes(rows, [categories[one["category_id"]][0] for one in found], labels, size, names, crowd)


def _segments(size: tuple[int, int], found: list[dict[str, Any]], categories: dict, labels: tuple[Label, ...], where: str) -> Segmentation:
    width, height = size
    masks = [decode_mask(one["segmentation"], height, width, f"{where}: annotation {one['id']}") for one in found]
    ids = np.full((height, width), len(found) + 1, np.int32)  # background
    for at in sorted(
        range(len(found)), key=lambda at: (not found[at].get("iscrowd"), -int(masks[at].sum()))
    ):  # crowds below, then the large
        ids[masks[at]] = at + 1
    left = set(np.unique(ids).tolist())  # small objects may be hidden wholly, or have no pixel
    info = [
        {"id": at + 1, "label_id": categories[one["category_id"]][0], "iscrowd": one.get("iscrowd", 0)}
        for at, one in enumerate(found)
        if at + 1 in left
    ]
    if len(found) + 1 in left:
        info.append({"id": len(found) + 1, "label_id": len(labels) - 1})
    return validate_segments(ids, info, labels, where)


def _is_instances(files: Files) -> bool:
    return bool(json_files(files, PATTERNS))


READER = Reader(
    "COCO instances",
    "train.json, instances_train.json or annotations/instances_train*.json (val, test alike), pictures beside, in images/ or train/",
    ("boxes", "segments"),
    _is_instances,
    open_instances,
)
