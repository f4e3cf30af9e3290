"""Writing files whole or not at all, and never over something that nobody asked to be replaced. Everything that writes does it here."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # told without a name by the system


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path in the same folder, renamed to `path` when the block ends and removed when it fails.

    So `path` is never half a file, and where the block fails, what was there before stays. Folders above are made.

    Raises:
        OSError: naming `path`, where it cannot be written.

    Example:
        >>> with atomic_write("/tmp/axialzoo-example.txt") as beside:
        ...     _ = beside.write_text("whole")
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
    except (OSError, RuntimeError) as error:
        named = _told(error, path, temporary)
        if named is error:
            raise
        raise named from error
    finally:
        if path.parent.is_dir():
            temporary.unlink(missing_ok=True)
        if not path.exists():
            _remove_empty(new_folders)


@contextmanager
def folder_written_beside(path: str | os.PathLike) -> Iterator[Path]:
    """As :func:`atomic_write` of a folder, which the block makes; one that was there before is removed once the new one is whole."""
    path = Path(path)
    beside, before = (path.parent / f".{secrets.token_hex(6)}.{path.name}" for _ in range(2))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield beside
        if os.path.lexists(path):
            os.replace(path, before)
        os.replace(beside, path)
    finally:
        for left in (beside, before):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def printable(text: str) -> str:
    """Return `text` with every byte of a name that is no UTF-8 escaped, as in ``caf\\xe9.png``, so that it can be printed and written."""
    return re.sub("[\udc80-\udcff]", lambda match: f"\\x{ord(match[0]) - 0xDC00:02x}", text)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes `text` as UTF-8, whole or not at all."""
    with atomic_write(path) as beside:
        beside.write_text(text, encoding="utf-8")


def check_output(path: str | os.PathLike, *, inputs: Iterable[str | os.PathLike] = (), overwrite: bool = False) -> Path:
    """`path`, once it is sure that writing it destroys nothing; before anything is computed.

    Args:
        path: A file or folder to write.
        inputs: What is read meanwhile: `path` is none of these, nor in one of them.
        overwrite: Whether `path` may be replaced where it exists.

    Raises:
        ValueError: for an empty path, and for one that is an input.
        FileExistsError: where something is there already and `overwrite` is not said.
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


def _told(error: OSError | RuntimeError, path: Path, beside: Path) -> Exception:
    """The error as it is told: of `path`, never of the temporary file, nor of a line of a framework's source."""
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, OSError) and (beside.name in str(cause) or cause.errno in FULL)):
        cause = cause.__context__
    if isinstance(cause, OSError) and cause.errno is not None:
        return type(cause)(cause.errno, f"cannot be written: {os.strerror(cause.errno)}", str(path))
    text = str(error)
    if "inline_container" in text:
        return OSError(f"{path}: cannot be written whole; is there room, and may the folder be written to?")
    if beside.name in text:
        return type(error)(text.replace(str(beside), str(path)).replace(beside.name, path.name))
    return error


def _remove_empty(folders: list[Path]) -> None:
    """Of folders that were made for a file that was not written, innermost first."""
    for folder in folders:
        if not folder.is_dir() or any(folder.iterdir()):
            return
        folder.rmdir()
