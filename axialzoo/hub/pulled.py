"""Folder of pulled official weights, and the digest that each had when it was first imported."""

from __future__ import annotations

import json
import os
from pathlib import Path

from axialzoo.checkpoint import CheckpointError
from axialzoo.files import write_text


def home() -> Path:
    """Return the folder of pulled weights: ``AXIALZOO_HOME``, else ``axialzoo`` in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    return Path(os.environ.get("AXIALZOO_HOME") or os.path.join(cache, "axialzoo")).expanduser().absolute()


def pulled_dir(name: str) -> Path:
    """Return the folder that the weights called `name` have once they are pulled."""
    return home() / "pulled" / name


def first_digests() -> dict[str, dict[str, str]]:
    """Return name -> ``digest`` and ``address`` of the first import.

    Raises:
        CheckpointError: where the file is not what was written.
    """
    path = home() / "pulled.json"
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        records = None
    if not isinstance(records, dict) or not all(isinstance(row, dict) and isinstance(row.get("digest"), str) for row in records.values()):
        raise CheckpointError(f"{path}: expected the record of what was pulled, found something else; delete it to begin anew")
    return records


def record(name: str, digest: str, address: str) -> None:
    """Record the digest and the address of imported weights; an existing record stays."""
    known = first_digests()
    if name not in known:
        write_text(
            home() / "pulled.json", json.dumps({**known, name: {"digest": digest, "address": address}}, indent=2, sort_keys=True) + "\n"
        )


def check_first_digest(name: str, digest: str, where: str) -> None:
    """Check that weights called `name` are those that were imported first.

    Raises:
        CheckpointError: naming both digests.
    """
    expected = first_digests().get(name, {}).get("digest", digest)
    if digest != expected:
        raise CheckpointError(
            f"{where}: other weights than were imported first as {name}: expected digest {expected}, found {digest}; if they are right, "
            f"delete the entry in {home() / 'pulled.json'} and pull again"
        )
