"""Merges classes and groups of pixels to segments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np

Merge = Literal["native", "tensorflow"]


class Merged(NamedTuple):
    """Segments, numbered from 1: objects by their group, then stuff by its class.

    Attributes:
        map: (H, W) int32, the segment of each pixel, 0 for void.
        classes: (n,) int64, the class of each segment.
        groups: (n,) int64, the group of each; -1 of stuff.
        areas: (n,) int64, in pixels.
    """

    map: np.ndarray
    classes: np.ndarray
    groups: np.ndarray
    areas: np.ndarray


def is_thing(classes: np.ndarray, things: Iterable[int], num_classes: int) -> np.ndarray:
    """Return (H, W) bool: the pixels whose class (-1 for none) is one of `things`."""
    table = np.zeros(num_classes + 1, bool)  # the last is that of -1
    table[sorted(things)] = True
    return table[classes]


def merge_maps(
    classes: np.ndarray,
    groups: np.ndarray,
    thing: np.ndarray,
    num_classes: int,
    *,
    merge: Merge = "native",
    stuff_area: int = 0,
    instance_area: int = 0,
) -> Merged:
    """Merge each group of thing pixels to an object of the class that most of its pixels have, and each stuff class to one segment.

    deeplab2 has two versions of this, which differ in two points:

    ============================== ======================================== =====================
    ..                             ``"native"``: its C++ and CUDA op, with  ``"tensorflow"``: its
                                   which the published numbers were made    backup in TensorFlow
    thing pixels without a center  one object (group 0) of all of them      void
    stuff is kept if               ``area > stuff_area`` or no limit        ``area >= stuff_area``
    ============================== ======================================== =====================

    Args:
        classes: (H, W) int32, -1 for none (void).
        groups: (H, W) int32: from 1, and 0 where there was no center; only read where a pixel is of a thing.
        thing: (H, W) bool, as `is_thing` says.
        num_classes: How many there are.
        merge: Which version.
        stuff_area: Pixels that stuff needs.
        instance_area: Pixels that an object needs (`>=`); what is smaller is void.

    Source: DeeperLab (arXiv:1902.05093), section 3.3: majority vote; of equally frequent classes the lower.
    """
    if merge not in ("native", "tensorflow"):
        raise ValueError(f"merge: expected 'native' or 'tensorflow', found {merge!r}")
    votes = _votes(classes, groups, thing, num_classes)  # (groups, C)
    if merge == "tensorflow":
        votes[0] = 0
    sizes = votes.sum(1)
    group = np.flatnonzero((sizes > 0) & (sizes >= instance_area))
    stuff_sizes = np.bincount(classes[~thing] + 1, minlength=num_classes + 1)[1:]  # (C,)
    enough = stuff_sizes >= stuff_area if merge == "tensorflow" or not stuff_area else stuff_sizes > stuff_area
    stuff = np.flatnonzero((stuff_sizes > 0) & enough)

    of_group, of_class = np.zeros(len(votes), np.int32), np.zeros(num_classes + 1, np.int32)
    of_group[group] = 1 + np.arange(len(group))
    of_class[stuff] = 1 + len(group) + np.arange(len(stuff))
    merged = of_class[classes]  # (H, W); class -1 reads the last, 0
    merged[thing] = of_group[groups[thing]]
    return Merged(
        merged,
        np.concatenate([votes[group].argmax(1), stuff]),
        np.concatenate([group, np.full(len(stuff), -1)]),
        np.concatenate([sizes[group], stuff_sizes[stuff]]),
    )


def _votes(classes: np.ndarray, groups: np.ndarray, thing: np.ndarray, num_classes: int) -> np.ndarray:
    """Return (groups, C) int64: how many thing pixels of a group have a class."""
    pairs = groups[thing].astype(np.int64) * num_classes + classes[thing]
    count = int(groups.max(initial=0)) + 1
    return np.bincount(pairs, minlength=count * num_classes).reshape(count, num_classes)
