"""Targets of a mask transformer from a picture's annotation."""

from __future__ import annotations

import warnings

import numpy as np

from axialzoo.spec.heads.mask_transformer import MaskTransformer
from axialzoo.tasks.results import Segmentation
from axialzoo.tasks.segmentation.compact import class_of, is_crowd, relabel

SMALL_AREA = 4096  # pixels
IGNORE = -1


class TooManyThingsWarning(UserWarning):
    """More objects in an image than have masks: the smallest are left out."""


def mask_targets(annotation: Segmentation, head: MaskTransformer, stride: int, semantic_stride: int | None = None) -> dict[str, np.ndarray]:
    """Make the masks, their classes and the class of each pixel.

    Every object of a thing class has a mask, numbered as they appear from the top left, and so has each class of stuff. Crowds are in no
    mask, and not void.

    Args:
        annotation: Segments of the model's input.
        head: Classes, things and settings.
        stride: Stride of the masks.
        semantic_stride: Stride of the semantic branch's output; None without a branch.

    Returns:
        * ``mask_ids`` (h, w) int32: mask of each pixel, -1 for none; objects from 0, stuff from ``max_things`` on, class by class.
        * ``mask_classes`` (max_things + classes of stuff,) int32: class of each mask; -1 where there is none.
        * ``objects``, ``void`` (h, w) float32: 1 at pixels of objects, and at those of no class.
        * ``semantic`` (h', w') int32: output channel of each pixel's class, -1 for none; ``semantic_weight`` (h', w') float32.
    """
    index, classes, crowd = relabel(annotation), class_of(annotation), is_crowd(annotation)  # (H, W), (n,), (n,)
    if len(classes) and classes.max() >= head.num_classes:
        raise ValueError(f"targets: expected classes from 0 to {head.num_classes - 1}, those of the head, found {int(classes.max())}")
    thing = np.isin(classes, head.things)
    stuff = [number for number in range(head.num_classes) if number not in head.things]
    most = head.targets.max_things
    mask_of = np.full(len(classes) + 1, -1, np.int32)  # void first
    objects = _by_appearance(index, np.flatnonzero(thing & ~crowd) + 1, most)
    mask_of[objects] = np.arange(len(objects))
    for segment in np.flatnonzero(~thing) + 1:
        mask_of[segment] = most + stuff.index(int(classes[segment - 1]))
    mask_classes = np.full(most + len(stuff), -1, np.int32)
    mask_classes[: len(objects)] = classes[objects - 1]
    mask_classes[most:] = stuff
    pick = index[::stride, ::stride]
    ids = mask_of[pick]
    objects_at, void = ((ids >= 0) & (ids < most)).astype(np.float32), (pick == 0).astype(np.float32)
    targets = {"mask_ids": ids, "mask_classes": mask_classes, "objects": objects_at, "void": void}
    if semantic_stride is not None and head.semantic is not None:
        order = head.semantic.order or tuple(range(head.num_classes))
        channel = np.full(len(classes) + 1, IGNORE, np.int32)
        channel[1:] = [order.index(int(number)) for number in classes]
        small = np.ones(len(classes) + 1, np.float32)
        areas = np.bincount(index.ravel(), minlength=len(classes) + 1)
        small[objects] = np.where(areas[objects] < SMALL_AREA, np.float32(head.targets.small_weight), 1)
        pick = index[::semantic_stride, ::semantic_stride]
        targets |= {"semantic": channel[pick], "semantic_weight": small[pick]}
    return targets


def _by_appearance(index: np.ndarray, objects: np.ndarray, most: int) -> np.ndarray:
    """Return the numbers of `objects` in `index` in the order in which they appear, the smallest beyond `most` left out."""
    numbers, first, areas = np.unique(index, return_index=True, return_counts=True)
    present = np.isin(numbers, objects)
    numbers, first, areas = numbers[present], first[present], areas[present]
    if len(numbers) > most:
        warnings.warn(
            f"an image has {len(numbers)} objects, of which the {len(numbers) - most} smallest have no mask; set max_things",
            TooManyThingsWarning,
            stacklevel=3,
        )
        largest = np.argsort(-areas, kind="stable")[:most]
        numbers, first = numbers[largest], first[largest]
    return numbers[np.argsort(first)]
