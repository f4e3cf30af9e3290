"""Tar shards read at any place: an index of where each member lies, then bytes by offset. Nothing is unpacked.

A shard is a plain tar of up to some thousand files; several files of one name before its first dot make a sample, as webdataset has it
(``0001.jpg``, ``0001.cls``). The index is read from the headers alone, so that pictures are not touched until they are asked for, and any
order is as good as the file's own. Headers have checksums, contents have none: damage to a header or a cut file shows in the index,
damage to a picture when it is decoded.
"""

from __future__ import annotations

import os
import tarfile
from typing import Any, NamedTuple, cast

from axialzoo.data.dataset import DataError

BLOCK = 512  # bytes; headers and contents begin at multiples of it
COMPRESSED = {b"\x1f\x8b": "gzip", b"BZ": "bzip2", b"\xfd7": "xz", b"\x28\xb5": "zstandard"}


class Member(NamedTuple):
    """A file in a tar: its contents are the `size` bytes from `offset` on."""

    name: str
    offset: int
    size: int


def index_tar(path: str | os.PathLike[str]) -> list[Member]:
    """Return the plain files of a tar in its order.

    Raises:
        DataError: naming the shard: compressed, cut, damaged, or not a tar.
    """
    members, damage = scan_tar(path)
    if damage:
        raise DataError(damage)
    return members


def scan_tar(path: str | os.PathLike[str]) -> tuple[list[Member], str]:
    """Return the plain files of a tar up to where it is damaged, and the damage there, naming the shard; an empty text for none."""
    members: list[Member] = []
    try:
        with open(path, "rb") as file:
            packed = COMPRESSED.get(file.read(2))
            if packed:
                return [], f"{path}: compressed by {packed}; expected a plain tar, whose pictures can be read at any place; unpack it first"
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:") as archive:
                headers = cast(Any, archive).members
                while (member := archive.next()) is not None:
                    headers.clear()  # or it keeps every one
                    if member.isreg():
                        if member.offset_data + member.size > os.fstat(file.fileno()).st_size:
                            return members, f"{path}: cut in {member.name!r}; expected a whole tar: fetch or write it again"
                        members.append(Member(member.name, member.offset_data, member.size))
                file.seek(archive.offset)
            end = file.read(BLOCK)  # tarfile takes a damaged header or the end of a cut file for the archive's end, a block of zeros
            if len(end) < BLOCK or end.strip(b"\0"):
                return members, f"{path}: damaged or cut after {_last(members)}; expected a whole tar: fetch or write it again"
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        return members, f"{path}: not a tar, or a damaged one, after {_last(members)} ({error}); fetch or write it again"
    except OSError as error:
        return members, f"{path}: cannot be read ({error.strerror})"
    return members, ""


def read_member(path: str | os.PathLike[str], offset: int, size: int) -> bytes:
    """Return `size` bytes of a file from `offset` on; safe to call from several threads.

    Raises:
        DataError: naming the file, where it is gone or shorter than it was.
    """
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            content = file.read(size)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) < size:
        raise DataError(f"{path}: ends at {offset + len(content):,} bytes, where {offset + size:,} were expected; fetch or write it again")
    return content


def _last(members: list[Member]) -> str:
    return repr(members[-1].name) if members else "its beginning"
