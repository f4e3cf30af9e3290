"""A split of pictures into training and validation by a hash of their names, for data that come without splits."""

from __future__ import annotations

import hashlib

import numpy as np

from axialzoo.data.dataset import Split, kinds_of

__all__ = ["names_digest", "sample_keys", "split_by_name"]


def sample_keys(split: Split) -> list[str]:
    """Return a text for each sample that does not depend on where the folder lies: its file, or its number where it has none."""
    items = getattr(split, "items", range(len(split)))
    firsts = [item[0] if isinstance(item, tuple) and item else item for item in items]
    return [first if isinstance(first, str) else str(index) for index, first in enumerate(firsts)]


def split_by_name(split: Split, share: float) -> tuple[Split, Split]:
    """Return the split less about `share` of its samples, and those samples.

    A sample belongs to the second part where the SHA-256 of its group, or else of its name, is small. So the same picture is always in
    the same part, however many others come or go. Where one part would be empty, the sample of the smallest hash is the second part.

    Args:
        split: At least two samples.
        share: Share of the samples to hold out, above 0 and below 1.
    """
    groups = list(getattr(split, "groups", ())) or sample_keys(split)
    hashes = np.array([int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big") for name in groups])
    held_out = hashes < int(share * 2**64)
    if held_out.all() or not held_out.any():
        held_out = hashes == hashes.min()
    if held_out.all():  # one group
        held_out = np.arange(len(split)) >= round(len(split) * (1 - share))
    return split.subset(np.flatnonzero(~held_out)), split.subset(np.flatnonzero(held_out))


def names_digest(split: Split) -> str:
    """Return a digest of the names of a split's samples, by which a later command recognises it."""
    kinds = kinds_of(split)
    return hashlib.sha256("\n".join([*sample_keys(split), *kinds]).encode("utf-8", "surrogateescape")).hexdigest()[:16]
