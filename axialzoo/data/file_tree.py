"""Files of a data set as a tree that is only read: a folder, or zips put together. Names are ``a/b.png``, relative to its root."""

from __future__ import annotations

import io
import os
import threading
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from axialzoo.data.dataset import DataError

MOST_BYTES = 1 << 30  # of a file that is read at once; zips can claim any size
LEAST_BYTES, MOST_RATIO = (
    16 << 20,
    200,
)  # which any member of a zip may have, and unpacked to packed: tables of one value reach some hundred


def safe_name(name: object, where: str) -> str:
    """Return `name` (from a JSON or a zip, which anyone may have written) if it stays inside the tree.

    Raises:
        DataError: for absolute names, ``..``, backslashes, drives and whatever is not text.
    """
    parts = name.split("/") if isinstance(name, str) else []
    if not isinstance(name, str) or not name or any(char in name for char in "\\\0:") or name.startswith("/") or ".." in parts:
        raise DataError(f"{where}: expected a file name inside the data's folder (as images/1.jpg), found {name!r}")
    return "/".join(part for part in parts if part not in ("", "."))


def relocated(files: Files, name: str, places: Iterable[str]) -> str | None:
    """Return the file that a path of another machine means: its longest end that lies in one of the folders `places`.

    Args:
        name: Such as ``C:\\data\\images\\1.jpg`` or ``../images/1.jpg``; the result never leaves the tree.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..") and ":" not in part and "\0" not in part]
    places = list(places)
    for at in range(len(parts)):
        for place in places:
            if files.exists(path := "/".join([*filter(None, [place]), *parts[at:]])):
                return path
    return None


class Files(Protocol):
    """A tree of files that is only read."""

    where: str  # for messages

    def path(self, name: str) -> str:
        """Return the name of a file in messages."""
        ...

    def exists(self, name: str) -> bool:
        """Return whether a file of this name exists."""
        ...

    def listing(self, folder: str = "") -> list[str]:
        """Return the names of the files directly in `folder` (full names, sorted); none where there is no such folder."""
        ...

    def folders(self, folder: str = "") -> list[str]:
        """Return the names of the folders directly in `folder`."""
        ...

    def read(self, name: str) -> bytes:
        """Return the whole file.

        Raises:
            DataError: missing, unreadable, or more than a gibibyte.
        """
        ...


def _leads_back(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a link to a folder that holds it, which would be read for ever, or to itself."""
    if not entry.is_symlink():
        return False
    here, target = os.path.realpath(os.path.dirname(entry.path)), os.path.realpath(entry.path)
    return os.path.commonpath([here, target]) == target or os.path.islink(target)


class Folder:
    """A folder on disk."""

    def __init__(self, root: str | os.PathLike[str]):
        self.root = Path(root)
        self.where = str(root)
        self._read: dict[str, tuple[list[str], list[str]]] = {}

    def path(self, name: str) -> str:
        return str(self.root / name)

    def exists(self, name: str) -> bool:
        return (self.root / name).is_file()

    def listing(self, folder: str = "") -> list[str]:
        return list(self._entries(folder)[0])

    def folders(self, folder: str = "") -> list[str]:
        return list(self._entries(folder)[1])

    def _entries(self, folder: str) -> tuple[list[str], list[str]]:
        """Return names of the files and of the folders; each folder is read once."""
        if folder not in self._read:
            at, names = self.root / folder, ([], [])
            if at.is_dir():
                with os.scandir(at) as entries:
                    for entry in entries:
                        if not entry.name.startswith(".") and not _leads_back(entry):
                            names[os.path.isdir(entry.path)].append(f"{folder}/{entry.name}" if folder else entry.name)
            self._read[folder] = (sorted(names[0]), sorted(names[1]))
        return self._read[folder]

    def read(self, name: str) -> bytes:
        path = self.root / name
        try:
            if path.stat().st_size > MOST_BYTES:
                raise DataError(f"{path}: expected at most {MOST_BYTES:,} bytes, found {path.stat().st_size:,}")
            return path.read_bytes()
        except FileNotFoundError:
            raise DataError(f"{path}: no such file") from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None


class Zips:
    """Zips as one tree, without unpacking.

    Args:
        parts: (folder of the tree, zip): ``("train", "a.zip")`` puts what the zip holds under ``train/``.

    Raises:
        DataError: for a damaged zip, a name that leaves the tree, or two files of one name.
    """

    def __init__(self, parts: list[tuple[str, Path]]):
        self.where = " + ".join(str(path) for _, path in parts)
        self._at: dict[str, tuple[Path, str]] = {}  # name in the tree -> zip, name in the zip
        self._inside: dict[str, tuple[set[str], set[str]]] = {"": (set(), set())}  # folder -> its files, its folders
        self._open: dict[tuple[int, Path], zipfile.ZipFile] = {}
        self._lock = threading.Lock()
        for folder, path in parts:
            for member in self._zip(path).namelist():
                if not member.endswith("/"):
                    self._add("/".join(filter(None, (folder, safe_name(member, str(path))))), path, member)

    def _add(self, name: str, path: Path, member: str) -> None:
        if name in self._at:
            raise DataError(f"{path}: {name!r} occurs twice")
        self._at[name] = (path, member)
        folder = name.rpartition("/")[0]
        self._inside.setdefault(folder, (set(), set()))[0].add(name)
        while folder:
            above = folder.rpartition("/")[0]
            self._inside.setdefault(above, (set(), set()))[1].add(folder)
            folder = above

    def _zip(self, path: Path) -> zipfile.ZipFile:
        key = (os.getpid(), path)  # a forked process would share the file's position
        with self._lock:
            if key not in self._open:
                try:
                    self._open[key] = zipfile.ZipFile(path)
                except Exception as error:  # zipfile raises many kinds on damaged archives
                    raise DataError(f"{path}: not a zip that can be read ({error})") from None
            return self._open[key]

    def path(self, name: str) -> str:
        return f"{self._at[name][0]}:{self._at[name][1]}" if name in self._at else f"{self.where}:{name}"

    def exists(self, name: str) -> bool:
        return name in self._at

    def listing(self, folder: str = "") -> list[str]:
        return sorted(self._inside.get(folder, ((), ()))[0])

    def folders(self, folder: str = "") -> list[str]:
        return sorted(self._inside.get(folder, ((), ()))[1])

    def read(self, name: str) -> bytes:
        if name not in self._at:
            raise DataError(f"{self.path(name)}: no such file")
        path, member = self._at[name]
        archive = self._zip(path)
        size, packed = archive.getinfo(member).file_size, archive.getinfo(member).compress_size
        if size > MOST_BYTES:
            raise DataError(f"{self.path(name)}: expected at most {MOST_BYTES:,} bytes, found {size:,}")
        if packed > path.stat().st_size or size > max(LEAST_BYTES, MOST_RATIO * packed):
            raise DataError(
                f"{self.path(name)}: expected a member no larger than its zip allows, found {size:,} bytes packed as {packed:,}"
            )
        try:
            return archive.read(member)
        except Exception as error:  # zipfile and the decoders raise many kinds on damaged members
            raise DataError(f"{self.path(name)}: damaged in the zip ({error})") from None


class Overlay:
    """A tree with some files of another one at its root, such as zips and a table that lies beside them.

    Args:
        files: The tree.
        beside: The other one.
        names: Files of `beside` that the tree gets too, where they exist.
    """

    def __init__(self, files: Files, beside: Files, names: tuple[str, ...]):
        self.files, self.beside, self.names = files, beside, names
        self.where = files.where

    def _tree(self, name: str) -> Files:
        return self.beside if name in self.names else self.files

    def path(self, name: str) -> str:
        return self._tree(name).path(name)

    def exists(self, name: str) -> bool:
        return self._tree(name).exists(name)

    def listing(self, folder: str = "") -> list[str]:
        added = [] if folder else [name for name in self.names if self.beside.exists(name)]
        return sorted({*self.files.listing(folder), *added})

    def folders(self, folder: str = "") -> list[str]:
        return self.files.folders(folder)

    def read(self, name: str) -> bytes:
        return self._tree(name).read(name)


def named_stream(files: Files, name: str) -> io.BytesIO:
    """Return the file in memory; its ``name`` is that of messages."""
    return named(files.read(name), files.path(name))


def named(content: bytes, name: str) -> io.BytesIO:
    """Return bytes as a file with a ``name``."""
    stream = io.BytesIO(content)
    stream.name = name
    return stream


def read_text(files: Files, name: str) -> str:
    """Return a text in UTF-8, without the byte order mark that editors of Windows put before it.

    Raises:
        DataError: naming the first byte that is none.
    """
    try:
        return files.read(name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{files.path(name)}: expected UTF-8, found byte {error.object[error.start]:#04x} at {error.start}") from None
