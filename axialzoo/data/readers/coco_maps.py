"""COCO's panoptic format: a JSON of segments and a folder of PNG maps of their ids."""

from __future__ import annotations

from typing import Any

from axialzoo.data.annotations import validate_segments
from axialzoo.data.dataset import DataError, Dataset, FileSplit, Sample
from axialzoo.data.decode import open_map, open_picture
from axialzoo.data.faults import LabelPolicy
from axialzoo.data.file_tree import Files, safe_name
from axialzoo.data.readers.coco_json import json_files, one_list, open_coco, picture_names
from axialzoo.data.readers.reader import Reader, expect_object, fits, index_by_id

PATTERNS = ("panoptic_*.json", "annotations/panoptic_*.json")


def open_maps(files: Files, kind: str, policy: LabelPolicy, partial: bool = False) -> Dataset:
    """Open the data set; the maps lie in a folder called as the JSON is, without its suffix.

    Args:
        partial: Leave out annotations whose picture is not there, and say so in ``about``; otherwise they are refused.
    """
    tables, items, absent, labels = {}, {}, {}, ()
    for split, name in json_files(files, PATTERNS).items():
        images, tables[split], annotations, _ = open_coco(files, name)
        labels = one_list(tables, files.where)
        at = picture_names(files, split, images, name, policy, partial)
        rows = _annotations(annotations, images, tables[split], files.path(name))
        folder = name.removesuffix(".json")
        items[split] = []
        for key, row in rows.items():
            if images[key]["file_name"] not in at:
                continue
            png = f"{folder}/{row['file_name']}"
            if not files.exists(png):
                raise DataError(f"{files.path(name)}: annotation of image {key}: no map {files.path(png)!r}")
            items[split].append((at[images[key]["file_name"]], png, images[key], row["segments_info"]))
        if len(rows) > len(items[split]):
            absent[split] = len(rows) - len(items[split])

    def open_item(item: tuple[str, str, dict[str, Any], list[dict[str, Any]]]) -> Sample:
        name, png, image, info = item
        picture = open_picture(files, name, (image["width"], image["height"]))
        ids, bits = open_map(files, png, picture.size)
        if bits != 24:
            raise DataError(f"{files.path(png)}: expected an RGB map of ids R + 256 G + 65536 B, found {bits} bits")
        return Sample(files.path(name), picture, validate_segments(ids, info, labels, files.path(png), policy))

    about = {"annotations_without_picture": absent} if absent else {}
    return Dataset({split: FileSplit(rows, open_item) for split, rows in items.items()}, labels, "segments", about)


def _annotations(annotations: list, images: dict, categories: dict, where: str) -> dict[int, dict[str, Any]]:
    """Return annotations by image id, their segments with ``label_id``."""
    by_image: dict[int, dict[str, Any]] = {}
    for at, row in enumerate(annotations):
        row = expect_object(row, ("image_id", "file_name", "segments_info"), f"{where}: annotations[{at}]")
        key = row["image_id"]
        if not isinstance(key, int) or key not in images:
            raise DataError(f"{where}: annotations[{at}]: image_id {key!r} is not among the file's {len(images)} images")
        if key in by_image:
            raise DataError(f"{where}: two annotations of image {key}")
        info = []
        for number, segment in index_by_id(
            row["segments_info"], ("category_id",), "segment", f"{where}: annotation of image {key}"
        ).items():
            if not isinstance(segment["category_id"], int) or segment["category_id"] not in categories:
                raise DataError(
                    f"{where}: image {key}, segment {number}: category_id {segment['category_id']!r} "
                    f"is not among the file's {len(categories)}"
                )
            info.append({"id": number, "label_id": categories[segment["category_id"]][0], "iscrowd": segment.get("iscrowd", 0)})
        by_image[key] = {"file_name": safe_name(row["file_name"], f"{where}: annotation of image {key}"), "segments_info": info}
    missing = [key for key in images if key not in by_image]
    if missing:
        raise DataError(f"{where}: {len(missing)} images have no annotation, first {missing[0]}")
    return by_image


READER = Reader(
    "COCO panoptic",
    "panoptic_train.json or annotations/panoptic_train*.json (val, test alike) with a folder of PNG maps of the same name",
    ("segments",),
    lambda files: fits(json_files(files, PATTERNS)),
    open_maps,
)
