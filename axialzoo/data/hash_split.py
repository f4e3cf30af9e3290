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
    """Return the split less about `share` of its samples, and those samples: in each class those whose names have the smallest SHA-256.

    It depends on the names alone, so that a later command finds the same samples. Groups stay whole where the data name them.

    Args:
        split: At least two samples.
        share: Share of the samples to hold out, above 0 and below 1.
    """
    groups = list(getattr(split, "groups", ()))
    units = np.array(groups or sample_keys(split))
    items = getattr(split, "items", ())
    classes = [item[1] if isinstance(item, tuple) and len(item) > 1 and isinstance(item[1], int) and not groups else 0 for item in items]
    strata = np.array(classes or [0] * len(split))
    held_out = np.zeros(len(split), bool)
    for stratum in np.unique(strata):
        members = np.unique(units[strata == stratum])
        order = sorted(members, key=lambda name: hashlib.sha256(str(name).encode("utf-8", "surrogateescape")).digest())
        count = max(round(share * len(order)), 1) if len(order) > 1 else 0
        held_out |= np.isin(units, order[:count]) & (strata == stratum)
    if not held_out.any():  # a single sample of each class, or a single group
        held_out = np.arange(len(split)) >= len(split) - max(round(share * len(split)), 1)
    return split.subset(np.flatnonzero(~held_out)), split.subset(np.flatnonzero(held_out))


def names_digest(split: Split) -> str:
    """Return a digest of the names of a split's samples, by which a later command recognises it."""
    kinds = kinds_of(split)
    return hashlib.sha256("\n".join([*sample_keys(split), *kinds]).encode("utf-8", "surrogateescape")).hexdigest()[:16]
