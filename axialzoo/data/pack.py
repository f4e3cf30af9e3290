"""Any data set as tar shards, which are copied, stored and streamed better than a million files."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from axialzoo.data.dataset import DataError, Dataset, Sample
from axialzoo.data.shards import MAP
from axialzoo.files import atomic_write_folder
from axialzoo.image.depth import depth_of
from axialzoo.tasks.results import Detections, Segmentation

PER_SHARD, LABELS = 1000, "labels.json"  # samples; the list of classes


def write_shards(
    data: Dataset,
    folder: str | os.PathLike[str],
    per_shard: int = PER_SHARD,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write any data as ``SPLIT-000000.tar`` ... and ``labels.json``, as :mod:`axialzoo.data.readers.shards` reads them.

    Pictures and maps are written as PNG, so that what is read is what was read. Samples keep their order: a run on the shards is the run
    on `data`.

    Args:
        data: As :func:`axialzoo.data.open_data` gives it.
        folder: Folder of the shards; created if it does not exist.
        per_shard: Samples of a shard.
        progress: Called with how many samples are done, and how many there are.

    Returns:
        The paths of the shards.

    Raises:
        FileExistsError: where shards or labels are there already.
    """
    there = sorted(path.name for path in (*Path(folder).glob("*.tar"), *Path(folder).glob("labels.*")))
    if there:
        raise FileExistsError(f"{folder}: holds {there[0]} already, which is not replaced; choose another folder")
    total, done, names = sum(map(len, data.splits.values())), 0, []
    folder = Path(folder)
    others = sorted(folder.iterdir()) if folder.is_dir() else []
    with atomic_write_folder(folder / f".{LABELS}" if others else folder) as beside:
        beside.mkdir()
        for name, split in data.splits.items():
            for number, first in enumerate(range(0, len(split), per_shard)):
                names.append(f"{name}-{number:06}.tar")
                with tarfile.open(beside / names[-1], "w") as archive:
                    for index in range(first, min(first + per_shard, len(split))):
                        for suffix, content in _files(split[index], data):
                            member = tarfile.TarInfo(f"{index:09}.{suffix}")
                            member.size = len(content)
                            archive.addfile(member, io.BytesIO(content))
                        done += 1
                        if progress:
                            progress(done, total)
        (beside / LABELS).write_text(json.dumps([asdict(label) for label in data.labels], indent=1) + "\n", encoding="utf-8")
    if others:  # they stay beside the shards
        for name in (*names, LABELS):
            os.replace(folder / f".{LABELS}" / name, folder / name)
        (folder / f".{LABELS}").rmdir()
    return [folder / name for name in names]


def _files(sample: Sample, data: Dataset) -> list[tuple[str, bytes]]:
    """Return suffix and content of each file of a sample."""
    picture, annotation = ("png", _png(_full_depth(sample))), sample.annotation
    if isinstance(annotation, Detections):
        crowd = [False] * len(annotation) if annotation.crowd is None else annotation.crowd.tolist()
        rows = [
            {"label": data.classes[index], "box": box, **({"iscrowd": 1} if is_crowd else {})}
            for index, box, is_crowd in zip(annotation.labels.tolist(), annotation.boxes.tolist(), crowd)
        ]
        return [picture, ("json", json.dumps({"boxes": rows}).encode())]
    if isinstance(annotation, Segmentation):
        info = [
            {"id": segment["id"], "label": data.classes[segment["label_id"]], **({"iscrowd": 1} if segment.get("iscrowd") else {})}
            for segment in annotation.segments_info
        ]
        return [picture, ("json", json.dumps({"segments": info}).encode()), (MAP, _png(_map_picture(annotation.segmentation)))]
    return [picture, ("cls", str(annotation).encode())]


def _full_depth(sample: Sample) -> Image.Image:
    """Return the picture as 16-bit grey where its file is, else as it is.

    Raises:
        DataError: for pixels that a PNG cannot hold.
    """
    depth = depth_of(sample.picture)
    if depth is None:
        return sample.picture
    if depth.values.ndim != 2 or not depth.ranged:
        raise DataError(
            f"{sample.name}: expected 8 bits a channel or 16-bit grey, found {depth.values.dtype}; save it as a 16-bit PNG or TIFF"
        )
    return Image.fromarray(depth.values.astype(np.uint16))


def _map_picture(ids: np.ndarray) -> Image.Image:
    """Return (H, W) int32 from 0 as a picture: grey of 8 bits, of 16, or R + 256 G + 65536 B, whichever is the first to hold them."""
    most = int(ids.max(initial=0))
    if most < 1 << 16:
        return Image.fromarray(ids.astype(np.uint8 if most < 1 << 8 else np.uint16))
    return Image.fromarray(np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8))


def _png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "png", compress_level=1)
    return stream.getvalue()
