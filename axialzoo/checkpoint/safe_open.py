"""Opening files safely."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from axialzoo.checkpoint.checkpoint_error import CheckpointError


def check_regular(path: Path, advice: str = "check the path") -> int:
    """Return the size in bytes of the regular file at `path`, symbolic links followed.

    Raises:
        CheckpointError: where nothing is there, the link leads nowhere, or it is a folder, pipe or device.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        broken = ", a symbolic link that leads nowhere" if os.path.islink(path) else ""
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CheckpointError(f"{path}: expected a file, found none{broken} ({reason}); {advice}") from None
    if not stat.S_ISREG(status.st_mode):
        kind = "folder" if stat.S_ISDIR(status.st_mode) else "pipe, socket or device"
        raise CheckpointError(f"{path}: expected a regular file, found a {kind}; {advice}")
    return status.st_size


def read_small(path: Path, most: int, advice: str = "check the path") -> bytes:
    """Return the bytes of a file of at most `most` bytes."""
    size = check_regular(path, advice)
    if size > most:
        raise CheckpointError(f"{path}: expected at most {most} bytes, found {size}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
