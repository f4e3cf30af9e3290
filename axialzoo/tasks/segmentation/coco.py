"""COCO's panoptic format: a PNG of ids for each picture, and one JSON that describes the segments."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Segmentation
from axialzoo.tasks.segmentation.compact import areas, relabel

LARGEST = 256**3 - 1


def ids_to_rgb(ids: np.ndarray) -> np.ndarray:
    """Return colours (H, W, 3) uint8 from ids (H, W): id = R + 256 G + 65536 B."""
    if ids.size and (ids.min() < 0 or ids.max() > LARGEST):
        raise ValueError(f"ids: expected from 0 to {LARGEST}, found {ids.min()} to {ids.max()}")
    return np.stack([ids & 255, ids >> 8 & 255, ids >> 16 & 255], -1).astype(np.uint8)


def rgb_to_ids(rgb: np.ndarray) -> np.ndarray:
    """Return ids (H, W) int32 from colours (H, W, 3) uint8; the inverse of `ids_to_rgb`."""
    if rgb.ndim != 3 or rgb.shape[-1] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"rgb: expected (H, W, 3) uint8, found {rgb.dtype} of shape {rgb.shape}")
    red, green, blue = np.moveaxis(rgb.astype(np.int32), -1, 0)
    return red + 256 * green + 65536 * blue


def write_panoptic(
    folder: str | os.PathLike[str],
    segments: Mapping[str, Segmentation],
    labels: tuple[Label, ...],
    category_ids: Sequence[int] | None = None,
) -> Path:
    """Write ``NAME.png`` for each picture into ``folder/panoptic/``, and ``folder/panoptic.json``, as COCO's evaluation reads them.

    Args:
        folder: Created if it does not exist.
        segments: By the picture's name, which is also its ``image_id``.
        labels: One per class.
        category_ids: The data set's own number of each class; None for 0, 1, 2 ...

    Returns:
        The path of the JSON. Each file is written to a temporary file, then renamed.
    """
    categories = list(range(len(labels))) if category_ids is None else list(category_ids)
    if len(categories) != len(labels):
        raise ValueError(f"category_ids: expected {len(labels)}, one per label, found {len(categories)}")
    folder = Path(folder)
    (folder / "panoptic").mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for name, segmentation in segments.items():
        file, image = f"{name}.png", Image.fromarray(ids_to_rgb(segmentation.segmentation))
        height, width = segmentation.segmentation.shape
        _replace(folder / "panoptic" / file, lambda path, image=image: image.save(path, "PNG"))
        images.append({"id": name, "height": height, "width": width})
        annotations.append({"image_id": name, "file_name": file, "segments_info": _segments_info(segmentation, categories)})
    described = [{"id": id, "name": label.name, "isthing": int(label.thing)} for id, label in zip(categories, labels)]
    content = json.dumps({"images": images, "annotations": annotations, "categories": described}, allow_nan=False)
    _replace(folder / "panoptic.json", lambda path: path.write_text(content, encoding="utf-8"))
    return folder / "panoptic.json"


def _segments_info(segments: Segmentation, categories: list[int]) -> list[dict[str, Any]]:
    rows = []
    pixels = areas(segments, relabel(segments))[1:]
    for segment, box, area in zip(segments.segments_info, segments.boxes, pixels):
        if area:
            left, top, right, bottom = (int(value) for value in box)
            info = {"id": int(segment["id"]), "category_id": categories[segment["label_id"]], "area": int(area)}
            score = {"score": float(segment["score"])} if "score" in segment else {}
            rows.append({**info, "bbox": [left, top, right - left, bottom - top], "iscrowd": int(segment.get("iscrowd", 0)), **score})
    return rows


def read_panoptic(
    file: str | os.PathLike[str], folder: str | os.PathLike[str]
) -> tuple[dict[str, Segmentation], tuple[Label, ...], list[int]]:
    """Read the segments of COCO's panoptic JSON and the folder of its PNG files.

    Returns:
        By the PNG's name without its suffix; one label per category in the file's order; and the data set's own number of each.

    Raises:
        ValueError: naming the picture whose PNG and JSON do not agree, or whose category is unknown.
    """
    content = json.loads(Path(file).read_text(encoding="utf-8"))
    categories = content["categories"]
    labels = tuple(Label(category["name"], bool(category["isthing"])) for category in categories)
    place = {category["id"]: index for index, category in enumerate(categories)}
    segmentations = {}
    for annotation in content["annotations"]:
        with Image.open(Path(folder) / annotation["file_name"], formats=("PNG",)) as image:
            ids = rgb_to_ids(np.asarray(image.convert("RGB")))
        unknown = sorted({info["category_id"] for info in annotation["segments_info"]} - place.keys())
        if unknown:
            raise ValueError(f"{annotation['file_name']}: expected categories that {file} lists, found {unknown}")
        segments = Segmentation(ids, [_info(info, place) for info in annotation["segments_info"]], labels)
        try:
            relabel(segments)
        except ValueError as error:
            raise ValueError(f"{annotation['file_name']}: {error}") from None
        segmentations[Path(annotation["file_name"]).stem] = segments
    return segmentations, labels, [category["id"] for category in categories]


def _info(info: dict[str, Any], place: dict[int, int]) -> dict[str, Any]:
    crowd = {"iscrowd": 1} if info.get("iscrowd") else {}
    return {"id": info["id"], "label_id": place[info["category_id"]], "score": info.get("score", 1.0), "area": info["area"], **crowd}


def _replace(path: Path, write) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
