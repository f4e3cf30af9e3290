"""Samples in shards as a split: where each lies is known, so that any order is as good as theirs."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from axialzoo.data.base import DataError, Sample
from axialzoo.data.decode import decode_picture
from axialzoo.data.parquet import Table
from axialzoo.data.tars import BLOCK, index_tar, read_member

PICTURES = ("jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff", "ppm", "avif")
TRUTHS = ("cls", "json")  # what a sample has beside its picture, in order of preference


class TarSplit:
    """Samples of tar shards, by number: those of the first shard, of the second, and so on.

    Args:
        shards: Paths of tars in webdataset's layout: ``KEY.jpg`` (or another kind of picture) with ``KEY.cls`` or ``KEY.json``.
        truth: From the content of the latter, its suffix, the picture's size and what messages call it to a sample's truth.
        where: Of each sample (shard, offset and size of the picture, offset and size of the truth); None: the shards are looked through.

    Raises:
        DataError: naming the shard: damaged, or with a sample that is not whole.
    """

    def __init__(self, shards: Sequence[str], truth: Callable[[bytes, str, tuple[int, int], str], Any], where: np.ndarray | None = None):
        self.shards, self.truth = list(shards), truth
        self.where = np.concatenate([_samples(path, at) for at, path in enumerate(self.shards)]) if where is None else where

    def __len__(self) -> int:
        return len(self.where)

    def __getitem__(self, index: int) -> Sample:
        shard, at, size, _, _, _ = self.where[index].tolist()
        path = self.shards[shard]
        name = f"{path}:{self._key(path, at)}"
        stream = io.BytesIO(read_member(path, at, size))
        stream.name = name
        picture = decode_picture(stream)
        return Sample(name, picture, self.truth(self.content(index), self.suffix(index), picture.size, name))

    def content(self, index: int) -> bytes:
        """What stands beside the picture of a sample."""
        shard, _, _, at, size, _ = self.where[index].tolist()
        return read_member(self.shards[shard], at, size)

    def suffix(self, index: int) -> str:
        """``"cls"`` or ``"json"``."""
        return TRUTHS[int(self.where[index][5])]

    def subset(self, indices: Sequence[int] | np.ndarray) -> TarSplit:
        return TarSplit(self.shards, self.truth, self.where[np.asarray(indices, np.int64)])

    def _key(self, path: str, at: int) -> str:
        """The name in the header before a picture, for messages; a long one is cut there to 100 characters."""
        return read_member(path, at - BLOCK, 100).split(b"\0")[0].decode(errors="replace")


def _samples(path: str, shard: int) -> np.ndarray:
    """(n, 6) int64: of each sample in a tar the shard's number, the picture's offset and size, its truth's, and the truth's kind."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for member in index_tar(path):
        folder, slash, name = member.name.rpartition("/")
        key, _, suffix = name.partition(".")
        kind = "picture" if suffix.lower() in PICTURES else suffix.lower()
        sample = found.setdefault(folder + slash + key, {})
        if kind in sample:
            raise DataError(f"{path}: two files of sample {folder + slash + key!r} are its {kind}; expected one")
        sample[kind] = (member.offset, member.size)
    rows = []
    for key, sample in found.items():
        kinds = [kind for kind in TRUTHS if kind in sample]
        if "picture" not in sample or not kinds:
            missing = "a picture (jpg, png, ...)" if "picture" not in sample else ".cls or .json"
            raise DataError(f"{path}: sample {key!r}: expected {missing}, found {', '.join(sorted(sample))} alone")
        rows.append((shard, *sample["picture"], *sample[kinds[0]], TRUTHS.index(kinds[0])))
    if not rows:
        raise DataError(f"{path}: holds no samples")
    return np.array(rows, np.int64)


class TableSplit:
    """Samples of Parquet files, by number. To read a row its group is read up to it: write groups of some ten rows.

    Args:
        tables: The files, opened.
        column: Of the truths.
        truth: As of :class:`TarSplit`, from a value of that column.
        rows: Of each sample (table, row); None: all.
    """

    def __init__(
        self, tables: Sequence[Table], column: str, truth: Callable[[Any, tuple[int, int], str], Any], rows: np.ndarray | None = None
    ):
        self.tables, self.column, self.truth = list(tables), column, truth
        every = [np.stack([np.full(one.rows, at), np.arange(one.rows)], 1) for at, one in enumerate(self.tables)]
        self.rows = np.concatenate(every) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        at, row = self.rows[index].tolist()
        table = self.tables[at]
        name = f"{table.path}:{row}"
        (found,) = table.read(row, row + 1, (table.column, self.column))
        if not found[table.column]:
            raise DataError(f"{name}: no picture in column {table.column!r}")
        stream = io.BytesIO(found[table.column])
        stream.name = name
        picture = decode_picture(stream)
        return Sample(name, picture, self.truth(found[self.column], picture.size, name))

    def subset(self, indices: Sequence[int] | np.ndarray) -> TableSplit:
        return TableSplit(self.tables, self.column, self.truth, self.rows[np.asarray(indices, np.int64)])


def json_value(content: bytes, name: str) -> Any:
    """The value of a sample's JSON.

    Raises:
        DataError: naming the sample.
    """
    try:
        return json.loads(content)
    except ValueError as error:
        raise DataError(f"{name}: not valid JSON: {error}") from None
