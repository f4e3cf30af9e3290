"""The Hub's cache on this machine: drops damaged files, and remembers the digest of each tag's weights."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from axialzoo.checkpoint import CheckpointError
from axialzoo.files import write_text
from axialzoo.hub.address import COMMIT, Address
from axialzoo.hub.hub_errors import hub_errors


def drop(folder: Path, names: Iterable[str]) -> None:
    """Remove files of a snapshot from the cache, with their blobs, so that they are fetched anew."""
    for name in names:
        path, seen = folder / name, 0
        while os.path.lexists(path) and seen < 8:  # the name, its blob, and where blobs are shared the one in the store
            target = path.parent / os.readlink(path) if path.is_symlink() else None
            path.unlink()
            for part in path.parent.glob(f"{path.name}*.incomplete"):
                part.unlink(missing_ok=True)
            if target is None:
                break
            path, seen = target, seen + 1


def check_unmoved(address: Address, digest: str) -> None:
    """Check that a tag still means the weights that were first loaded under it here; branches may move.

    The digests lie in ``HF_HOME/axialzoo``, one file for each repository.

    Raises:
        CheckpointError: for a tag that has moved, naming both digests.
    """
    revision = address.revision
    if address.digest and not digest.startswith(address.digest):
        raise CheckpointError(
            f"{address}: expected weights of digest {address.digest}, as the address says, found {digest}; check the revision"
        )
    if revision is None or COMMIT.fullmatch(revision):
        return
    path = _record(address.repo)
    known = _read(path)
    before = known.get(revision)
    if before == digest:
        return
    if before is not None and not address.digest and _is_tag(address):
        raise CheckpointError(
            f"{address}: the tag has moved: it meant {before} when it was first loaded here, and means {digest} now; if that is "
            f"right, say so once with '{address}#{digest[:19]}', else name a commit"
        )
    with contextlib.suppress(OSError):  # a cache that may only be read remembers nothing
        write_text(path, json.dumps({**known, revision: digest}, indent=2, sort_keys=True) + "\n")


def _record(repo: str) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HOME) / "axialzoo" / f"{repo.replace('/', '--')}.json"


def _read(path: Path) -> dict[str, str]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or not ours any more
        return {}
    return {key: value for key, value in known.items() if isinstance(value, str)} if isinstance(known, dict) else {}


def _is_tag(address: Address) -> bool:
    from huggingface_hub import HfApi

    with hub_errors(str(address), "asking whether it is a tag or a branch", "try again"):
        return any(tag.name == address.revision for tag in HfApi().list_repo_refs(address.repo).tags)
