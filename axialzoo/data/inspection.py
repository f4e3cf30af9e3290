"""A report on a data set: what it holds, and what looks wrong in it."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from axialzoo.data.check import check
from axialzoo.data.components import count_regions
from axialzoo.data.dataset import ArraySplit, Dataset, Sample
from axialzoo.data.open import open_data
from axialzoo.image.depth import depth_of
from axialzoo.tasks.results import Detections, Segmentation

MAPS = 40  # of which the regions are counted
WHOLE = 0.95  # share of a picture from which a box is all of it


@dataclass
class _Counts:
    """Numbers collected over the samples of all splits."""

    places: dict[bytes, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))  # digest -> split and name
    sizes: list[tuple[int, int]] = field(default_factory=list)
    depths: Counter[str] = field(default_factory=Counter)
    per_picture: list[int] = field(default_factory=list)
    sides: list[float] = field(default_factory=list)  # square root of each object's area, in pixels
    whole: int = 0
    blank: list[str] = field(default_factory=list)
    void: list[str] = field(default_factory=list)
    objects: int = 0  # of the maps whose regions were counted
    regions: int = 0
    maps: int = 0


def inspect_data(
    folder: str | os.PathLike[str],
    kind: str | None = None,
    on_bad_label: str = "error",
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Any], Dataset]:
    """Open every sample of a folder and return a report, and the data set.

    Args:
        folder, kind, on_bad_label: As of :func:`axialzoo.data.open_data`.
        progress: Called with how many samples are done and how many there are.

    Returns:
        ``reader``, ``kind``, ``classes``; ``splits``: see :func:`axialzoo.data.check`; ``sizes``: ``smallest``, ``median``, ``largest``,
        each [width, height], by area; ``depth``: pictures by the kind of their pixels; ``labels``: of boxes and segments, ``per_picture``
        and ``side`` (square root of the area, in pixels), each with ``smallest``, ``median``, ``largest``; ``notes``: decisions of the
        reader; ``suspicions``: sentences about what looks wrong.

    Raises:
        DataError: where the folder cannot be read: see :func:`axialzoo.data.open_data` and :func:`axialzoo.data.check`.
    """
    data, counts = open_data(folder, kind, on_bad_label), _Counts()
    splits = check(data, progress, lambda split, sample: _add(counts, data, split, sample))
    for name, split in data.splits.items():
        if isinstance(split, ArraySplit):
            for index, pixels in enumerate(split.pixels):
                _add_picture(counts, name, f"{split.name} {index}", Image.fromarray(pixels), pixels.tobytes())
    report: dict[str, Any] = {
        "folder": str(folder),
        "reader": data.reader,
        "kind": data.kind,
        "classes": list(data.classes),
        "splits": splits,
        "sizes": _sizes(counts.sizes),
        "depth": dict(counts.depths),
        "labels": {},
        "notes": [
            f"{key}: {_text(value)}" for key, value in data.about.items() if key not in ("same_as", "name", "source", "skipped_labels")
        ],
        "suspicions": _suspicions(data, splits, counts),
    }
    if data.kind != "classes":
        report["labels"] = {"per_picture": _spread(counts.per_picture), "side": _spread(counts.sides)}
    return report, data


def _text(value: Any) -> str:
    return ", ".join(f"{key} {number}" for key, number in value.items()) if isinstance(value, dict) else str(value)


def _add(counts: _Counts, data: Dataset, split: str, sample: Sample) -> None:
    """Count a sample."""
    depth, annotation = depth_of(sample.picture), sample.annotation
    if split not in data.about.get("same_as", {}):  # otherwise its pictures are counted already
        _add_picture(counts, split, sample.name, sample.picture, (sample.picture if depth is None else depth.values).tobytes())
        if isinstance(annotation, Detections):
            _add_boxes(counts, annotation.boxes, sample.picture.size)
        elif isinstance(annotation, Segmentation):
            _add_segments(counts, annotation, sample)


def _add_picture(counts: _Counts, split: str, name: str, picture: Image.Image, content: bytes) -> None:
    counts.places[hashlib.sha256(content + str(picture.size).encode()).digest()].append((split, name))
    counts.sizes.append(picture.size)
    depth = depth_of(picture)
    counts.depths["8 bits" if depth is None else str(depth.values.dtype)] += 1
    if all(low == high for low, high in (channel.getextrema() for channel in picture.split())):
        counts.blank.append(name)


def _add_boxes(counts: _Counts, boxes: np.ndarray, size: tuple[int, int]) -> None:
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    counts.per_picture.append(len(boxes))
    counts.sides += np.sqrt(areas).tolist()
    counts.whole += int((areas >= WHOLE * size[0] * size[1]).sum())


def _add_segments(counts: _Counts, annotation: Segmentation, sample: Sample) -> None:
    objects = [segment for segment in annotation.segments_info if annotation.categories[segment["label_id"]].thing]
    counts.per_picture.append(len(objects) if any(label.thing for label in annotation.categories) else len(annotation))
    counts.sides += [float(np.sqrt(segment["area"])) for segment in objects or annotation.segments_info]
    if not annotation.segmentation.any():
        counts.void.append(sample.name)
    if objects and counts.maps < MAPS:
        counts.maps += 1
        ids = np.where(np.isin(annotation.segmentation, [segment["id"] for segment in objects]), annotation.segmentation, 0)
        regions = count_regions(ids)
        counts.objects += len(regions)
        counts.regions += sum(regions.values())


def _sizes(sizes: Sequence[tuple[int, int]]) -> dict[str, list[int]]:
    ordered = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    return {"smallest": list(ordered[0]), "median": list(ordered[len(ordered) // 2]), "largest": list(ordered[-1])}


def _spread(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    return {name: round(float(value), 1) for name, value in zip(("smallest", "median", "largest"), np.quantile(values, (0, 0.5, 1)))}


def _suspicions(data: Dataset, splits: dict[str, dict[str, Any]], counts: _Counts) -> list[str]:
    """Return a sentence for each thing that looks wrong."""
    sentences = [
        f"{name} and {other} are the same pictures: scores on them are of training pictures"
        for name, other in data.about.get("same_as", {}).items()
    ]
    sentences += _duplicates(counts)
    for name, split in splits.items():
        empty = [label for label, count in split["objects"].items() if not count and label != "background"]
        if empty and "same_as" not in split:
            shown = ", ".join(empty[:8]) + (" ..." if len(empty) > 8 else "")
            sentences.append(f"{name}: {len(empty)} of {len(data.labels)} classes have no sample: {shown}")
        if split.get("without") and data.kind == "boxes" and "same_as" not in split:
            sentences.append(f"{name}: {split['without']} of {split['pictures']} pictures have no object")
    for names, what in ((counts.void, "maps are void everywhere"), (counts.blank, "pictures are of one colour")):
        if names:
            sentences.append(f"{len(names)} {what}, such as {names[0]}")
    if counts.objects and counts.regions > 2 * counts.objects:
        sentences.append(
            f"objects are in pieces: {counts.regions} separate regions of {counts.objects} objects in {counts.maps} maps; one object that "
            "should be many? Maps of classes need labels.json"
        )
    if counts.whole and counts.whole > 0.2 * len(counts.sides):
        sentences.append(f"{counts.whole} of {len(counts.sides)} boxes cover their whole picture")
    return sentences


def _duplicates(counts: _Counts) -> list[str]:
    """Return sentences about pictures that occur in two splits, or twice in one."""
    across, within = [], 0
    for places in counts.places.values():
        if len({split for split, _ in places}) > 1:
            first = places[0]
            across.append((first, next(place for place in places if place[0] != first[0])))
        elif len(places) > 1:
            within += len(places) - 1
    sentences = []
    if across:
        (one_split, one_name), (other_split, other_name) = across[0]
        pairs = ", ".join(sorted({f"{first[0]} and {second[0]}" for first, second in across}))
        sentences.append(
            f"{len(across)} pictures are in two splits ({pairs}), such as {one_name} ({one_split}) and {other_name} ({other_split}): "
            "scores are optimistic"
        )
    if within:
        sentences.append(f"{within} pictures occur twice in their split")
    return sentences
