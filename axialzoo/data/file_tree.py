"""Files of a data set as a tree that is only read: a folder, or zips put together. Names are ``a/b.png``, relative to its root."""

from __future__ import annotations

import io
import os
import threading
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from axialzoo.data.dataset import DataError

MOST_BYTES = 1 << 30  # of a file that is read at once; zips can claim any size


def safe_name(name: object, where: str) -> str:
    """`name` (from a JSON or a zip, which anyone may have written) if it stays inside the tree.

    Raises:
        DataError: for absolute names, ``..``, backslashes, drives and whatever is not text.
    """
    parts = name.split("/") if isinstance(name, str) else []
    if not isinstance(name, str) or not name or any(char in name for char in "\\\0:") or name.startswith("/") or ".." in parts:
        raise DataError(f"{where}: expected a file name inside the data's folder (as images/1.jpg), found {name!r}")
    return "/".join(part for part in parts if part not in ("", "."))


class Files(Protocol):
    """What both kinds of tree can do."""

    where: str  # for messages

    def path(self, name: str) -> str:
        """How messages call a file."""
        ...

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name."""
        ...

    def listing(self, folder: str = "") -> list[str]:
        """Names of the files directly in `folder` (full names, sorted); none where there is no such folder."""
        ...

    def folders(self, folder: str = "") -> list[str]:
        """Names of the folders directly in `folder`."""
        ...

    def read(self, name: str) -> bytes:
        """The whole file.

        Raises:
            DataError: missing, unreadable, or more than a gibibyte.
        """
        ...


class Folder:
    """A folder on disk."""

    def __init__(self, root: str | os.PathLike):
        self.root = Path(root)
        self.where = str(root)

    def path(self, name: str) -> str:
        return str(self.root / name)

    def exists(self, name: str) -> bool:
        return (self.root / name).is_file()

    def listing(self, folder: str = "") -> list[str]:
        return sorted(name for name, is_folder in self._entries(folder) if not is_folder)

    def folders(self, folder: str = "") -> list[str]:
        return sorted(name for name, is_folder in self._entries(folder) if is_folder)

    def _entries(self, folder: str) -> Iterator[tuple[str, bool]]:
        at = self.root / folder
        if at.is_dir():
            with os.scandir(at) as entries:
                for entry in entries:
                    if not entry.name.startswith("."):
                        yield f"{folder}/{entry.name}" if folder else entry.name, entry.is_dir()

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
                except (OSError, zipfile.BadZipFile) as error:
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
        if archive.getinfo(member).file_size > MOST_BYTES:
            raise DataError(f"{self.path(name)}: expected at most {MOST_BYTES:,} bytes, found {archive.getinfo(member).file_size:,}")
        try:
            return archive.read(member)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
            raise DataError(f"{self.path(name)}: damaged in the zip ({error})") from None


class Overlay:
    """A tree with some files of another one at its root, such as zips and a table that lies beside them.

    Args:
        files: The tree.
        beside: The other one.
        names: Files of `beside` that the tree has too, where they exist.
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
    """The file in memory, under the name that messages call it by."""
    return named(files.read(name), files.path(name))


def named(content: bytes, name: str) -> io.BytesIO:
    """Bytes as a file that messages call by a name."""
    stream = io.BytesIO(content)
    stream.name = name
    return stream
