"""The input pictures, cut into chunks. A worker predicts one chunk at a time and writes it as one file of results."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from axialzoo.data.dataset import DataError
from axialzoo.data.parquet import Table
from axialzoo.data.shards import MAP
from axialzoo.data.tars import Member, read_member, scan_tar
from axialzoo.files import missing_advice
from axialzoo.runtime.predict import SUFFIXES, ImagePrediction, open_picture

TAR, PARQUET = ".tar", ".parquet"


@dataclass(frozen=True)
class Chunk:
    """Consecutive pictures of the input.

    Attributes:
        number: Index of the chunk, from 0.
        shard: The tar or Parquet file of the pictures; empty where each is a file of its own.
        paths: The files.
        start, stop: Range of pictures in the shard; `stop` is excluded.
    """

    number: int
    shard: str = ""
    paths: tuple[str, ...] = ()
    start: int = 0
    stop: int = 0

    def __len__(self) -> int:
        return self.stop - self.start if self.shard else len(self.paths)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Chunk:
        return cls(**{**data, "paths": tuple(data["paths"])})


def chunks_of(paths: Sequence[str | os.PathLike[str]], size: int) -> list[Chunk]:
    """Split the input into chunks of at most `size` pictures, in order.

    Args:
        paths: Pictures, tar shards, Parquet files, and folders of these. A folder is read in the order of names, with its subfolders. A
            shard that cannot be read counts as one picture, and its row holds the error.

    Raises:
        DataError: for a missing file, or an input without pictures.
    """
    chunks: list[Chunk] = []
    loose: list[str] = []

    def close() -> None:
        if loose:
            chunks.append(Chunk(len(chunks), paths=tuple(loose)))
            loose.clear()

    for path in (file for path_argument in paths for file in _files(Path(path_argument))):
        if path.suffix.lower() not in (TAR, PARQUET):
            loose.append(str(path))
            if len(loose) == size:
                close()
            continue
        close()
        count = _count(str(path))
        chunks += [
            Chunk(len(chunks) + offset, str(path), (), first, min(first + size, count))
            for offset, first in enumerate(range(0, count, size))
        ]
    close()
    if not chunks:
        looked = ", ".join((*SUFFIXES, TAR, PARQUET))
        raise DataError(f"{', '.join(map(str, paths))}: expected pictures, tar shards or Parquet files, found none; looked for {looked}")
    return chunks


def pictures_of(chunk: Chunk, page: int | None = None, channel: int | None = None) -> Iterator[ImagePrediction]:
    """Open the pictures of a chunk one by one; a picture that cannot be read has an error.

    Args:
        page, channel: Of each picture, from 1: see :func:`axialzoo.image.load_image`.
    """
    if not chunk.shard:
        yield from (open_picture(Path(path), None, page, channel) for path in chunk.paths)
    elif chunk.shard.lower().endswith(TAR):
        members, damage = _pictures_in_tar(chunk.shard)
        for member in members[chunk.start : chunk.stop]:
            name = f"{chunk.shard}:{member.name}"
            try:
                yield _from_bytes(name, read_member(chunk.shard, member.offset, member.size), page, channel)
            except DataError as error:
                yield ImagePrediction(Path(name), error=str(error))
        if damage and chunk.stop > len(members):
            yield ImagePrediction(Path(chunk.shard), error=damage)
    else:
        yield from _in_table(chunk, page, channel)


def _in_table(chunk: Chunk, page: int | None, channel: int | None) -> Iterator[ImagePrediction]:
    number = chunk.start
    try:
        table = _table(chunk.shard)
        for row in table.read(chunk.start, chunk.stop):
            name, content = f"{chunk.shard}:{number}", row[table.column]
            number += 1
            missing = ImagePrediction(Path(name), error=f"{name}: no picture in column {table.column!r}")
            yield _from_bytes(name, content, page, channel) if content else missing
    except DataError as error:  # the rest of the chunk cannot be read either
        alone = chunk.stop - chunk.start == 1 and number == 0
        for rest in range(number, chunk.stop):
            yield ImagePrediction(Path(chunk.shard if alone else f"{chunk.shard}:{rest}"), error=str(error))


def _from_bytes(name: str, content: bytes, page: int | None, channel: int | None) -> ImagePrediction:
    stream = io.BytesIO(content)
    stream.name = name
    return open_picture(Path(name), stream, page, channel)


def _files(path: Path) -> Iterable[Path]:
    if not path.is_dir():
        if not path.exists():
            raise DataError(f"{path}: no such file or folder{missing_advice(str(path))}")
        return [path]
    return _below(path)


def _below(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        inside = sorted((entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith((".", "_")))
    for name, is_folder in inside:
        if is_folder:
            yield from _below(folder / name)
        elif name.lower().endswith((*SUFFIXES, TAR, PARQUET)):
            yield folder / name


def _count(shard: str) -> int:
    """Return the number of pictures in a shard, plus one where it is damaged."""
    if shard.lower().endswith(TAR):
        members, damage = _pictures_in_tar(shard)
        return len(members) + bool(damage)
    try:
        return _table(shard).rows
    except DataError:
        return 1


@lru_cache(maxsize=1)
def _pictures_in_tar(shard: str) -> tuple[list[Member], str]:
    """Return the pictures of a tar shard and its damage. The cache holds one shard, because its chunks follow one another."""
    members, damage = scan_tar(shard)
    keys, maps = {member.name.rpartition(".")[0] for member in members}, f".{MAP}"
    pictures = [member for member in members if member.name.lower().endswith(SUFFIXES)]
    return [member for member in pictures if not (member.name.endswith(maps) and member.name.removesuffix(maps) in keys)], damage


@lru_cache(maxsize=1)
def _table(shard: str) -> Table:
    return Table(shard)
