"""Objects with outlines, from any format, as boxes or as segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from axialzoo.data.annotations import validate_segments
from axialzoo.data.faults import BadLabelError, DataError, Fault, LabelPolicy
from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Segmentation


@dataclass(frozen=True)
class Outline:
    """An object and how its mask is made.

    Attributes:
        where: Its name in messages.
        label: Number of its class.
        mask: Returns its mask, (height, width) bool, for a height and a width; raises DataError for an outline that is none.
        crowd: Whether it is a crowd.
    """

    where: str
    label: int
    mask: Callable[[int, int], np.ndarray]
    crowd: bool = False


def segments_of(
    size: tuple[int, int], outlines: Sequence[Outline], labels: tuple[Label, ...], where: str, policy: LabelPolicy
) -> Segmentation:
    """Return a segment for each object, the smaller above the larger, and one of the last class, background, for all else.

    Args:
        size: (width, height) of the picture.
        where: Name of the picture in messages.
        policy: Decides about outlines that cannot be filled.
    """
    width, height = size
    masks: list[np.ndarray] = []
    good: list[Outline] = []
    with policy.gather() as gathered:
        for outline in outlines:
            try:
                masks.append(outline.mask(height, width))
                good.append(outline)
            except BadLabelError as error:
                gathered.handle(error.faults)
            except DataError as error:
                gathered.handle([Fault("outline that cannot be read", str(error))])
    background = len(good) + 1
    ids = np.full((height, width), background, np.int32)
    for at in sorted(range(len(good)), key=lambda at: (not good[at].crowd, -int(masks[at].sum()))):  # crowds below, then the large
        ids[masks[at]] = at + 1
    there = set(np.unique(ids).tolist())  # small objects may be hidden wholly, or have no pixel
    info = [{"id": at + 1, "label_id": outline.label, "iscrowd": int(outline.crowd)} for at, outline in enumerate(good) if at + 1 in there]
    if background in there:
        info.append({"id": background, "label_id": len(labels) - 1})
    return validate_segments(ids, info, labels, where)


def box_of_points(points: np.ndarray, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return left, top, right, bottom of (n, 2) points in pixels, of which parts outside a picture of `size` are cut off."""
    inside = np.clip(points, 0, np.array(size, np.float64)) if np.isfinite(points).all() else points
    (left, top), (right, bottom) = inside.min(0).tolist(), inside.max(0).tolist()
    return left, top, right, bottom
