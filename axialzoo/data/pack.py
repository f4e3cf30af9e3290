"""Any data set as tar shards, which are copied, stored and streamed better than a million files."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

from axialzoo.data.base import Data, DataError, Sample
from axialzoo.files import write_text, written_beside
from axialzoo.tasks.results import Boxes

PER_SHARD = 1000  # samples


def write_shards(
    data: Data,
    folder: str | os.PathLike,
    per_shard: int = PER_SHARD,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Writes data of classes or boxes as ``SPLIT-000000.tar`` ... and ``labels.txt``, as :mod:`axialzoo.data.readers.shards` reads them.

    Pictures are written as PNG, so that what is read is what was read. Samples keep their order: a run on the shards is the run on `data`.

    Args:
        per_shard: Samples of a shard.
        progress: Called with how many samples are done, and how many there are.

    Raises:
        DataError: for data of segments.
        FileExistsError: where shards or labels are there already.
    """
    there = sorted(path.name for path in (*Path(folder).glob("*.tar"), *Path(folder).glob("labels.txt")))
    if there:
        raise FileExistsError(f"{folder}: holds {there[0]} already, which is not replaced; choose another folder")
    if data.kind == "segments":
        raise DataError("shards: expected data of classes or boxes, found segments, which shards do not hold")
    total, done, made = sum(map(len, data.splits.values())), 0, []
    for name, split in data.splits.items():
        for number, first in enumerate(range(0, len(split), per_shard)):
            path = Path(folder) / f"{name}-{number:06}.tar"
            with written_beside(path) as beside, tarfile.open(beside, "w") as archive:
                for index in range(first, min(first + per_shard, len(split))):
                    for suffix, content in _files(split[index], data):
                        member = tarfile.TarInfo(f"{index:09}.{suffix}")
                        member.size = len(content)
                        archive.addfile(member, io.BytesIO(content))
                    done += 1
                    if progress:
                        progress(done, total)
            made.append(path)
    write_text(Path(folder) / "labels.txt", "".join(f"{one}\n" for one in data.classes))
    return made


def _files(sample: Sample, data: Data) -> list[tuple[str, bytes]]:
    """Suffix and content of each file of a sample."""
    stream = io.BytesIO()
    sample.picture.save(stream, "png", compress_level=1)
    picture, truth = ("png", stream.getvalue()), sample.truth
    if isinstance(truth, Boxes):
        crowd = [False] * len(truth) if truth.crowd is None else truth.crowd.tolist()
        rows = [
            {"label": data.classes[index], "box": box, **({"iscrowd": 1} if is_crowd else {})}
            for index, box, is_crowd in zip(truth.indices.tolist(), truth.boxes.tolist(), crowd)
        ]
        return [picture, ("json", json.dumps({"boxes": rows}).encode())]
    return [picture, ("cls", str(truth).encode())]
