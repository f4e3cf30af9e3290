"""``SHA256SUMS``: the SHA-256 of every published file but the card (which people edit on the site), as ``sha256sum -c`` reads it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from axialzoo.checkpoint import CheckpointError, read_small
from axialzoo.checkpoint.safe_open import check_regular

MANIFEST = "SHA256SUMS"
MAX_BYTES = 1 << 20
LINE = re.compile(r"([0-9a-f]{64}) [ *](\S.*)")


def manifest(files: Mapping[str, bytes | Path]) -> str:
    """Return the text of the manifest of `files`, name in the repository to content or path.

    Example:
        >>> manifest({"labels.txt": b""})[:12]
        'e3b0c44298fc'
    """
    return "".join(f"{_sha256(content)}  {name}\n" for name, content in sorted(files.items()))


def read_manifest(path: Path) -> dict[str, str]:
    """Return name -> SHA-256 of a manifest.

    Raises:
        CheckpointError: for a line that is none, and for names outside of the folder.
    """
    digests = {}
    for number, line in enumerate(read_small(path, MAX_BYTES).decode("utf-8", "replace").splitlines(), 1):
        parts = LINE.fullmatch(line)
        if parts is None or parts[2].startswith("/") or ".." in parts[2].split("/") or "\\" in parts[2]:
            raise CheckpointError(
                f"{path}: line {number}: expected a SHA-256 and a name in this folder, found {line[:120]!r}; fetch it again"
            )
        digests[parts[2]] = parts[1]
    return digests


def check_manifest(folder: Path) -> list[str]:
    """Check that each file in the manifest of a folder exists and has its SHA-256, and return their names.

    Raises:
        CheckpointError: naming those that are missing or differ.
    """
    names = read_manifest(folder / MANIFEST)
    wrong = []
    for name, expected in names.items():
        if not (folder / name).exists():
            wrong.append(f"{name} is missing")
            continue
        check_regular(folder / name)
        digest = _sha256(folder / name)
        if digest != expected:
            wrong.append(f"{name} (expected {expected[:12]}..., found {digest[:12]}...)")
    if wrong:
        raise CheckpointError(
            f"{folder / MANIFEST}: files are not those that were published: {'; '.join(wrong)}; fetch or publish them again"
        )
    return list(names)


def _sha256(content: bytes | Path) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with open(content, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
