"""Unpacks untrusted tar archives: every header and checksum is checked before anything is written."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from pathlib import Path
from typing import IO, BinaryIO, cast

from axialzoo.checkpoint.checkpoint_error import CheckpointError
from axialzoo.checkpoint.safe_open import check_regular

MAX_MEMBERS = 1000
MAX_BYTES = 32 << 30  # of all members together, unpacked
MAX_RATIO = 20  # unpacked to packed; weights hardly compress
LEAST_BYTES = 64 << 20  # which any archive may unpack to
MAX_READ = 1 << 20  # bytes at once: more is a header that claims to be huge
GZIP = b"\x1f\x8b"


def unpack_tar(path, folder) -> list[Path]:
    """Write the regular files of a tar archive, compressed by gzip or not, to the empty `folder`.

    Returns:
        Where they are, in the archive's order. Owners, modes and times are not kept.

    Raises:
        CheckpointError: before anything is written, for names that lead elsewhere or clash, links, devices and sparse
            files, too many or too large members, and damage.
    """
    path, folder = Path(path), Path(folder)
    size = check_regular(path)
    limit = min(MAX_BYTES, max(LEAST_BYTES, MAX_RATIO * size))
    try:
        with open(path, "rb") as packed:
            plain = gzip.GzipFile(fileobj=packed) if packed.read(2) == GZIP else packed
            packed.seek(0)
            bounded = _Bounded(path, plain, limit)
            with tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r:") as archive:  # it reads and seeks, which is enough
                files = _checked(path, archive, limit)
                bounded.drain()
                return [_write(archive, member, folder.joinpath(*parts)) for member, parts in files]
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, RecursionError, ValueError, OverflowError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path}: not a tar archive, or a damaged one: {error}; fetch it again") from None


class _Bounded:
    """File that returns at most `limit` bytes, and little at a time."""

    def __init__(self, path: Path, file: BinaryIO | gzip.GzipFile, limit: int):
        self.path, self.file, self.limit = path, file, limit
        self.tell = file.tell

    def read(self, size: int) -> bytes:
        if size > MAX_READ or self.file.tell() > self.limit:
            raise CheckpointError(f"{self.path}: unpacks to more than it can hold (limit {self.limit} bytes); nothing was written")
        return self.file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(min(offset, self.limit + 1), whence)

    def drain(self) -> None:
        """Read to the end, where gzip keeps its checksum."""
        while self.read(MAX_READ):
            pass


def _checked(path: Path, archive: tarfile.TarFile, limit: int) -> list[tuple[tarfile.TarInfo, tuple[str, ...]]]:
    """Return the regular files and the parts of their names."""
    files: dict[tuple[str, ...], tuple[tarfile.TarInfo, tuple[str, ...]]] = {}
    folders: set[tuple[str, ...]] = set()
    total = 0
    for count, member in enumerate(archive, 1):
        name, parts = member.name, tuple(part for part in member.name.split("/") if part not in ("", "."))
        total += member.size
        reason = _fault(member, parts)
        if not reason and (count > MAX_MEMBERS or total > limit):
            reason = f"with it there are {count} members of {total} bytes; at most {MAX_MEMBERS} of {limit} are unpacked"
        key = tuple(part.casefold() for part in parts)
        if not reason and (key in files or (member.isreg() and key in folders)):
            reason = "another member has the same name"
        above = {key[:depth] for depth in range(1, len(key) + member.isdir())}
        if not reason and above & files.keys():
            reason = "another member is a file of the name of its folder"
        if reason:
            raise CheckpointError(f"{path}: member {name[:120]!r}: {reason}; nothing was written")
        folders |= above
        if member.isreg():
            files[key] = (member, parts)
    return list(files.values())


def _fault(member: tarfile.TarInfo, parts: tuple[str, ...]) -> str:
    name = member.name
    if name.startswith("/") or ".." in parts or "\\" in name or name[1:2] == ":" or (not parts and not member.isdir()):
        return "expected a name inside the archive's own folder"
    if not name.isprintable() or any(len(part.encode(errors="replace")) > 200 for part in parts):
        return "expected a short name of printable characters"
    if member.issparse() or not (member.isreg() or member.isdir()) or member.size < 0:
        return "expected a plain file or folder, found a link, device or sparse file"
    return ""


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> Path:
    source = archive.extractfile(member)
    assert source is not None, member
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, open(target, "xb") as file:
        shutil.copyfileobj(source, file)
    return target
