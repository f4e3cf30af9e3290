"""Writes files whole or not at all, and overwrites none unless asked to. All of axialzoo writes through this module."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # the system reports them without the file's name
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path in the same folder; rename it to `path` when the block ends, remove it when the block fails.

    So `path` is never half a file, and a file that was there before stays if the block fails. Missing folders are created.

    Raises:
        OSError: naming `path`, where it cannot be written.

    Example:
        >>> with atomic_write("/tmp/axialzoo-example.txt") as temporary:
        ...     _ = temporary.write_text("whole")
    """
    path = Path(path)
    if not path.name:
        raise ValueError(f"{str(path)!r}: expected the name of a file to write, found a folder or nothing")
    if path.is_dir():
        raise IsADirectoryError(f"{path}: expected a file to write, found a folder; choose another name")
    temporary = path.parent / f".{secrets.token_hex(6)}.{path.name}"  # keeps the suffix, which Keras and Pillow read
    new_folders = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except Exception as error:
        _raise_named(error, path, temporary)
    finally:
        if path.parent.is_dir():
            temporary.unlink(missing_ok=True)
        if not path.exists():
            _remove_empty(new_folders)


@contextmanager
def atomic_write_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Like :func:`atomic_write`, for a folder that the block creates. An older folder is removed once the new one is whole."""
    path = Path(path)
    temporary, before = (path.parent / f".{secrets.token_hex(6)}.{path.name}" for _ in range(2))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        if not os.path.lexists(path):
            os.replace(temporary, path)
        elif not _exchange(temporary, path):  # then for a moment there is neither
            os.replace(path, before)
            os.replace(temporary, path)
    except Exception as error:
        _raise_named(error, path, temporary)
    finally:
        for left in (temporary, before):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def replace_folder(new: Path, path: Path) -> None:
    """Put the folder `new` in the place of `path`, which goes on being whole, and remove what was there."""
    if os.path.lexists(path) and _exchange(new, path):
        shutil.rmtree(new)
        return
    shutil.rmtree(path, ignore_errors=True)
    os.replace(new, path)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two paths in one step; return False where the system cannot (it is no Linux, or a file system without it)."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return rename(AT_FDCWD, os.fsencode(first), AT_FDCWD, os.fsencode(second), RENAME_EXCHANGE) == 0


def printable(text: str) -> str:
    """Return `text` with every byte of a name that is no UTF-8 escaped, as in ``caf\\xe9.png``, so that it can be printed and written."""
    return re.sub("[\udc80-\udcff]", lambda match: f"\\x{ord(match[0]) - 0xDC00:02x}", text)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_output(path: str | os.PathLike[str], *, inputs: Iterable[str | os.PathLike[str]] = (), overwrite: bool = False) -> Path:
    """Validate the output path before anything is computed, and return it.

    Args:
        path: A file or folder to write.
        inputs: Files that are read meanwhile; `path` must not be one of them.
        overwrite: Whether an existing `path` may be replaced.

    Raises:
        ValueError: for an empty path, and for one that is an input.
        FileExistsError: where `path` exists and `overwrite` is False.
    """
    if not str(path):
        raise ValueError("output: expected a path to write, found an empty one; name a file or a folder")
    path = Path(path)
    for source in map(Path, inputs):
        if path.exists() and source.exists() and path.samefile(source):
            raise ValueError(f"{path}: is read as input; expected another path to write")
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(f"{path}: exists already and is not replaced; choose another path, or say so (--force, overwrite=True)")
    return path


def _raise_named(error: Exception, path: Path, temporary: Path) -> NoReturn:
    """Raise the error for the user, from the one that is being handled, or that one itself where it says enough."""
    named = _naming(error, path, temporary)
    if named is error:
        raise error
    raise named from error


def _naming(error: Exception, path: Path, temporary: Path) -> Exception:
    """Return the error for the user: it names `path`, never the temporary file, nor a line of a framework's source."""
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, OSError) and (temporary.name in str(cause) or cause.errno in FULL)):
        cause = cause.__context__
    if isinstance(cause, OSError) and cause.errno is not None:
        return type(cause)(cause.errno, f"cannot be written: {os.strerror(cause.errno)}", str(path))
    text = str(error)
    if "inline_container" in text:
        return OSError(f"{path}: cannot be written whole; is there room, and may the folder be written to?")
    if (full := os.strerror(errno.ENOSPC)) in text:  # TensorFlow has errors of its own
        return OSError(errno.ENOSPC, f"cannot be written: {full}", str(path))
    if isinstance(error, (OSError, RuntimeError)) and temporary.name in text:
        return type(error)(text.replace(str(temporary), str(path)).replace(temporary.name, path.name))
    return error


def _remove_empty(folders: list[Path]) -> None:
    """Remove empty folders, innermost first: they were created for a file that was not written."""
    for folder in folders:
        if not folder.is_dir() or any(folder.iterdir()):
            return
        folder.rmdir()


def missing_advice(name: str) -> str:
    """Return what to do about a name that is no file: an address, standard input, a pattern in quotes; else ""."""
    if address := re.match(r"(https?|ftp|s3|gs):/+(.+)", name):
        fetch = f"curl -LO '{address[1]}://{address[2]}'" if address[1] in ("http", "https", "ftp") else "with its own client"
        return f"; it is an address: fetch it first ({fetch}), and give the file"
    if name in ("-", "/dev/stdin"):
        return "; standard input is not read: give the name of a file"
    return "; nothing matches this pattern: leave out quotes, so that the shell expands it" if any(char in name for char in "*?") else ""
