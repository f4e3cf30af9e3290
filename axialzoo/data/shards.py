"""Samples in shards as a split: where each lies is known, so that any order is as good as theirs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from axialzoo.data.dataset import DataError, Sample
from axialzoo.data.decode import decode_picture
from axialzoo.data.file_tree import named
from axialzoo.data.parquet import Table
from axialzoo.data.tars import BLOCK, index_tar, read_member

PICTURES = ("jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff", "ppm", "avif")
TRUTHS = ("cls", "json")  # what a sample has beside its picture, in order of preference
MAP = "map.png"  # and where it is cut into segments: the number of the segment of each pixel


class SampleFiles(NamedTuple):
    """The other files of a sample in a shard.

    Attributes:
        suffix: ``"cls"`` or ``"json"``.
        content: Of that file.
        map: The picture file of a map of segments; empty where there is none.
    """

    suffix: str
    content: bytes
    map: bytes


class TarSplit:
    """Samples of tar shards, by number: those of the first shard, of the second, and so on.

    Args:
        shards: Paths of tars in webdataset's layout: ``KEY.jpg`` (or another kind of picture) with ``KEY.cls`` or ``KEY.json``, and
            of segments with ``KEY.map.png``.
        annotation: From what lies beside a picture, its size and what messages call it to a sample's annotation.
        where: Of each sample a row of numbers as `_samples` makes it; None: the shards are looked through.

    Raises:
        DataError: naming the shard: damaged, or with a sample that is not whole.
    """

    def __init__(
        self, shards: Sequence[str], annotation: Callable[[SampleFiles, tuple[int, int], str], Any], where: np.ndarray | None = None
    ):
        self.shards, self.annotation = list(shards), annotation
        self.where = np.concatenate([_samples(path, at) for at, path in enumerate(self.shards)]) if where is None else where

    def __len__(self) -> int:
        return len(self.where)

    def __getitem__(self, index: int) -> Sample:
        shard, at, size = self.where[index].tolist()[:3]
        path = self.shards[shard]
        name = f"{path}:{self._key(path, at)}"
        picture = decode_picture(named(read_member(path, at, size), name))
        return Sample(name, picture, self.annotation(self.beside(index), picture.size, name))

    def beside(self, index: int, with_map: bool = True) -> SampleFiles:
        """Return the other files of a sample."""
        shard, _, _, at, size, kind, map_at, map_size = self.where[index].tolist()
        path = self.shards[shard]
        return SampleFiles(TRUTHS[kind], read_member(path, at, size), read_member(path, map_at, map_size) if with_map and map_size else b"")

    def subset(self, indices: Sequence[int] | np.ndarray) -> TarSplit:
        return TarSplit(self.shards, self.annotation, self.where[np.asarray(indices, np.int64)])

    def _key(self, path: str, at: int) -> str:
        """Return the name in the header before a picture, for messages; a long one is cut there to 100 characters."""
        return read_member(path, at - BLOCK, 100).split(b"\0")[0].decode(errors="replace")


def _samples(path: str, shard: int) -> np.ndarray:
    """Return the samples of a tar, (n, 8) int64.

    The columns are the shard's number; offset and size of the picture; offset, size and kind of the annotation; offset and size of the map.
    """
    samples: dict[str, dict[str, tuple[int, int]]] = {}
    for member in index_tar(path):
        folder, slash, name = member.name.rpartition("/")
        key, _, suffix = name.partition(".")
        kind = "picture" if suffix.lower() in PICTURES else suffix.lower()
        sample = samples.setdefault(folder + slash + key, {})
        if kind in sample:
            raise DataError(f"{path}: two files of sample {folder + slash + key!r} are its {kind}; expected one")
        sample[kind] = (member.offset, member.size)
    rows = []
    for key, sample in samples.items():
        kinds = [kind for kind in TRUTHS if kind in sample]
        if "picture" not in sample or not kinds:
            missing = "a picture (jpg, png, ...)" if "picture" not in sample else ".cls or .json"
            raise DataError(f"{path}: sample {key!r}: expected {missing}, found {', '.join(sorted(sample))} alone")
        rows.append((shard, *sample["picture"], *sample[kinds[0]], TRUTHS.index(kinds[0]), *sample.get(MAP, (0, 0))))
    if not rows:
        raise DataError(f"{path}: holds no samples")
    return np.array(rows, np.int64)


class ParquetSplit:
    """Samples of Parquet files, by number. To read a row its group is read up to it: write groups of some ten rows.

    Args:
        tables: The files, opened.
        columns: Of the annotations.
        annotation: As of :class:`TarSplit`, from the values of those columns by name.
        rows: Of each sample (table, row); None: all.
    """

    def __init__(
        self,
        tables: Sequence[Table],
        columns: tuple[str, ...],
        annotation: Callable[[dict[str, Any], tuple[int, int], str], Any],
        rows: np.ndarray | None = None,
    ):
        self.tables, self.columns, self.annotation = list(tables), columns, annotation
        every = [np.stack([np.full(table.rows, at), np.arange(table.rows)], 1) for at, table in enumerate(self.tables)]
        self.rows = np.concatenate(every) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        at, row = self.rows[index].tolist()
        table = self.tables[at]
        name = f"{table.path}:{row}"
        (values,) = table.read(row, row + 1, (table.column, *self.columns))
        if not values[table.column]:
            raise DataError(f"{name}: no picture in column {table.column!r}")
        picture = decode_picture(named(values[table.column], name))
        return Sample(name, picture, self.annotation(values, picture.size, name))

    def subset(self, indices: Sequence[int] | np.ndarray) -> ParquetSplit:
        return ParquetSplit(self.tables, self.columns, self.annotation, self.rows[np.asarray(indices, np.int64)])


def json_value(content: bytes, name: str) -> Any:
    """Return the value of a sample's JSON.

    Raises:
        DataError: naming the sample.
    """
    try:
        return json.loads(content)
    except ValueError as error:
        raise DataError(f"{name}: not valid JSON: {error}") from None
