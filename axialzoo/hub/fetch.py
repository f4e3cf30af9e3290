"""A checkpoint from the Hub: fetched, checked, and fetched once more where it arrived damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from axialzoo.checkpoint import Checkpoint, CheckpointError, Config, UnsupportedVersionError, load_checkpoint, read_small
from axialzoo.checkpoint.config import MAX_BYTES
from axialzoo.hub.address import Address
from axialzoo.hub.cache import check_unmoved, drop
from axialzoo.hub.download import FILES, Absent, download
from axialzoo.hub.manifest import MANIFEST, check_manifest, read_manifest
from axialzoo.spec import SpecError

T = TypeVar("T")


def fetch(address: Address, *, verify: bool = True) -> Checkpoint:
    """Fetch the checkpoint at an address on the Hub. A damaged copy is dropped from the cache and fetched once more.

    Raises:
        CheckpointError: where the Hub does not have it, where it is damaged twice, and for a tag that has moved.
    """
    config = _retry_once(address, FILES[:1], lambda: download(address, FILES[0]), _described)
    commit = config.parent.name  # both files of one commit, whatever the branch does meanwhile

    def both() -> Path:
        return [download(address, name, commit).parent for name in FILES][-1]

    checkpoint = _retry_once(address, FILES, both, lambda folder: load_checkpoint(folder, verify=verify))
    check_unmoved(address, checkpoint.config.digest)
    return checkpoint


def fetch_card_files(address: Address, folder: Path) -> None:
    """Fetch the files published beside the checkpoint in `folder`, from the same commit, and check all against the manifest.

    Raises:
        CheckpointError: as for :func:`fetch`. A repository without a manifest has nothing more.
    """
    commit = folder.name
    try:
        _retry_once(address, (MANIFEST,), lambda: download(address, MANIFEST, commit), read_manifest)
    except Absent:
        return
    names = read_manifest(folder / MANIFEST)

    def every() -> Path:
        return [download(address, name, commit) for name in (*names, MANIFEST)][-1].parent

    _retry_once(address, (*names, MANIFEST), every, check_manifest)


def _described(config: Path) -> Path:
    Config.from_json(read_small(config, MAX_BYTES), str(config))
    return config


def _retry_once(address: Address, names: Iterable[str], get: Callable[[], Path], check: Callable[[Path], T]) -> T:
    """Return `check` of `get()`. If it refuses, drop the files from the cache and fetch them once more."""
    for attempt in (1, 2):
        path = get()
        try:
            return check(path)
        except UnsupportedVersionError:
            raise  # whole, and of another version: another copy is the same
        except (CheckpointError, SpecError) as error:
            drop(path if path.is_dir() else path.parent, names)
            if attempt == 2:
                raise CheckpointError(
                    f"{address}: was fetched twice and refused twice; nothing of it is kept in the cache: {error}; what lies on the Hub "
                    "is damaged, or something on the way damages it: tell its owner, or name another revision"
                ) from error
    raise AssertionError(address)
