"""Files from the Hugging Face Hub, fetched once and cached.

``HF_ENDPOINT``, ``HF_HOME``, ``HF_HUB_OFFLINE`` and ``HF_TOKEN`` mean what they always mean. Downloads that were cut go on where
they stopped.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from axialzoo.checkpoint import CheckpointError
from axialzoo.checkpoint.folder import CONFIG, WEIGHTS
from axialzoo.hub.address import Address
from axialzoo.hub.cache import drop
from axialzoo.hub.hub_errors import hub_errors

FILES = (CONFIG, WEIGHTS)
ADVICE = "try again: what has arrived is kept"


class Absent(CheckpointError):
    """The repository is there, and the file is not."""


def download(address: Address, name: str, commit: str | None = None) -> Path:
    """Download the file `name` of a repository, unless it is cached, and return its path in the cache.

    Args:
        address: The repository and its revision.
        name: The file.
        commit: The commit that the revision resolved to, so that several files come from one commit.

    Raises:
        Absent: where the file is not there.
        CheckpointError: where the repository or the revision is not there, or the Hub cannot be reached and nothing is cached.
    """
    for _ in range(2):
        path, fresh = _get(address, name, commit)
        if not fresh or is_its_blob(path):
            return path
        drop(path.parent, [path.name])
    raise CheckpointError(
        f"{address}: {name} arrived twice with another SHA than the Hub gives for it, and is not kept: something on the way damages it, or "
        "answers with an older file; try again, or go past what lies between, such as a mirror that HF_ENDPOINT names"
    )


def is_its_blob(path: Path) -> bool:
    """Tell whether a file of the cache has the content that the Hub names: its blob is named after its SHA-256 or, if small, git's SHA-1.

    Without this check, an outdated file from a proxy's cache, whole in itself, would pass for a new one.
    """
    blob = path.resolve()
    if re.fullmatch("[0-9a-f]{64}", blob.name):
        with open(blob, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == blob.name
    if re.fullmatch("[0-9a-f]{40}", blob.name):
        data = blob.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == blob.name
    return True


def _get(address: Address, name: str, commit: str | None) -> tuple[Path, bool]:
    """Return the path of a file, and whether it was downloaded just now."""
    from huggingface_hub import errors, hf_hub_download, try_to_load_from_cache

    revision = commit or address.revision
    with hub_errors(str(address), f"fetching {name}", ADVICE):
        cached = try_to_load_from_cache(address.repo, name, revision=revision)
        try:
            path = hf_hub_download(address.repo, name, revision=revision)
        except errors.RemoteEntryNotFoundError:
            files = f" ({' and '.join(FILES)} make a checkpoint)" if name in FILES else ""
            raise Absent(f"{address}: the repository has no {name}; not a checkpoint of axialzoo{files}") from None
        return Path(path), path != cached
