"""Decodes a network's maps to segments, as Panoptic-DeepLab (arXiv:1911.10194) and Axial-DeepLab do."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Segmentation
from axialzoo.tasks.segmentation.centers import find_centers, highest_centers
from axialzoo.tasks.segmentation.grouping import nearest_center
from axialzoo.tasks.segmentation.merge import Merge, Merged, is_thing, merge_maps
from axialzoo.tasks.segmentation.scoring import Activation, class_scores, pixel_classes, vote_agreement


@dataclass(frozen=True)
class Postprocess:
    """Settings of cutting a picture into segments.

    Attributes:
        activation: Function from logits to probabilities; None for probabilities.
        center_threshold, nms_kernel, top_k, every_tie: As of :func:`~axialzoo.tasks.segmentation.centers.find_centers`.
        merge, stuff_area, instance_area: As of :func:`~axialzoo.tasks.segmentation.merge.merge_maps`.
        agreement: Penalty of an object whose pixels point to different places, as the pixels of two merged objects do: the weight of
            :func:`~axialzoo.tasks.segmentation.scoring.vote_agreement`, which multiplies its score; 0 for no penalty.
        void: A class that means "nothing", as class 0 of deeplab2's COCO models; its pixels belong to no segment.
    """

    activation: Activation = "softmax"
    center_threshold: float = 0.1
    nms_kernel: int = 13
    top_k: int | None = 200
    every_tie: bool = False
    merge: Merge = "native"
    stuff_area: int = 0
    instance_area: int = 0
    agreement: float = 0.0
    void: int | None = None


DEFAULTS = Postprocess()


def decode(
    semantic: np.ndarray,
    center: np.ndarray | None = None,
    offset: np.ndarray | None = None,
    settings: Postprocess = DEFAULTS,
    *,
    labels: tuple[Label, ...] = (),
    things: Collection[int] | None = None,
    probability: np.ndarray | None = None,
) -> Segmentation:
    """Cut a picture into segments.

    Args:
        semantic: (H, W, C) logits, or (H, W) integers: the class of each pixel, -1 for none.
        center: (H, W) or (H, W, 1) heat map. Without it (and `offset`) there is one segment a class.
        offset: (H, W, 2), rows and columns from each pixel to the center of its object, in pixels of these maps.
        settings: Thresholds, limits and the version of merging.
        labels: One per class, or none.
        things: The classes whose objects are told apart; None reads them from `labels`.
        probability: (H, W), of each pixel's own class; for a `semantic` of integers, where it is known.

    Returns:
        Segments with ids from 1, best first. A stuff segment's score is the mean probability of its class over its pixels; an
        object's is that times the height of its center, as deeplab2 scores them, and 0 where no center was found at all
        (the one object that ``merge="native"`` makes of such pixels). Where no probability is known, it counts as 1.
        `semantic` of the result is the class of each pixel before the vote.

    Raises:
        ValueError: Shapes that do not fit, things that are no classes, numbers that are not finite.

    Example:
        >>> import numpy as np
        >>> from axialzoo.tasks.segmentation import decode
        >>> semantic = np.zeros((4, 6), np.int32); semantic[:, 3:] = 1
        >>> [segment["area"] for segment in decode(semantic).segments_info]
        [12, 12]
    """
    semantic = np.asarray(semantic)
    classes, num_classes, norms = _classes(semantic, probability, settings.activation, labels, things or (), settings.void)
    scored = semantic if semantic.ndim == 3 else probability
    if (center is None) != (offset is None):
        raise ValueError("decode: expected center and offset both or neither, found one of them")
    heights, limited = np.zeros(1), ()
    if center is None or offset is None:
        thing = np.zeros(classes.shape, bool)
        groups = np.zeros(classes.shape, np.int32)
    else:
        thing = is_thing(classes, _things(things, labels, num_classes), num_classes)
        if np.shape(center)[:2] != classes.shape:
            raise ValueError(f"center: expected {classes.shape} rows and columns, as the semantic map has, found {np.shape(center)[:2]}")
        where, center_heights = find_centers(center, settings.center_threshold, settings.nms_kernel, every_tie=settings.every_tie)
        peaks = len(where)
        where, center_heights = highest_centers(where, center_heights, settings.top_k)
        if len(where) < peaks:
            limited = (
                f"the limit of {settings.top_k} objects was reached: {peaks} centers were found, and the pixels of the others went to the "
                f"nearest of the {settings.top_k} highest; raise top_k of the model's postprocess (postprocess={{'top_k': {peaks}}})",
            )
        groups = nearest_center(np.asarray(offset), where, thing)
        heights = np.concatenate([heights, center_heights])
    merged = merge_maps(
        classes, groups, thing, num_classes,
        merge=settings.merge, stuff_area=settings.stuff_area, instance_area=settings.instance_area,
    )  # fmt: skip
    scores = np.ones(len(merged.classes)) if scored is None else class_scores(scored, merged.map, merged.classes, norms)
    scores = scores * np.where(merged.groups < 0, 1, heights[merged.groups])
    if settings.agreement and offset is not None:
        agreed = vote_agreement(np.asarray(offset), merged.map, len(merged.classes), settings.agreement)
        scores = scores * np.where(merged.groups < 0, 1, agreed)
    return replace(_best_first(merged, scores, labels, classes), warnings=limited)


def _classes(
    semantic: np.ndarray,
    probability: np.ndarray | None,
    activation: Activation,
    labels: tuple[Label, ...],
    things: Collection[int],
    void: int | None,
) -> tuple[np.ndarray, int, np.ndarray | None]:
    """Return the classes (H, W) int32 with -1 for none, the number of classes, and the norms of logits."""
    if semantic.ndim == 3:
        if labels and len(labels) != semantic.shape[-1]:
            raise ValueError(f"labels: expected {semantic.shape[-1]}, one per class of the semantic map, found {len(labels)}")
        if probability is not None:
            raise ValueError("probability: expected only with a semantic map of integers (H, W); of logits it is computed")
        classes, norms = pixel_classes(semantic, activation, void)
        return classes, semantic.shape[-1], norms
    if semantic.ndim != 2 or not np.issubdtype(semantic.dtype, np.integer):
        raise ValueError(f"semantic: expected (H, W, classes) or integers (H, W), found {semantic.dtype} of shape {semantic.shape}")
    if probability is not None and np.shape(probability) != semantic.shape:
        raise ValueError(f"probability: expected shape {semantic.shape}, as the semantic map has, found {np.shape(probability)}")
    classes = semantic.astype(np.int32)
    if void is not None:
        classes[classes == void] = -1
    low, high = int(classes.min(initial=0)), int(classes.max(initial=0))
    num_classes = len(labels) or max([high, *things]) + 1
    if low < -1 or high >= num_classes:
        raise ValueError(f"semantic: expected classes from -1 (none) to {num_classes - 1}, found {low} to {high}")
    return classes, num_classes, None


def _things(things: Collection[int] | None, labels: tuple[Label, ...], num_classes: int) -> list[int]:
    if things is None:
        if not labels:
            raise ValueError("things: expected the classes whose objects are told apart, as labels are missing too; found None")
        return [index for index, label in enumerate(labels) if label.thing]
    beyond = sorted(set(things) - set(range(num_classes)))
    if beyond:
        raise ValueError(f"things: expected classes from 0 to {num_classes - 1}, found {beyond}")
    return sorted(set(things))


def _best_first(merged: Merged, scores: np.ndarray, labels: tuple[Label, ...], classes: np.ndarray) -> Segmentation:
    """Return the segments with ids in the order of their scores: 1 is the best."""
    order = np.argsort(-scores, kind="stable")
    ids = np.zeros(len(order) + 1, np.int32)
    ids[order + 1] = 1 + np.arange(len(order))
    info = [
        {"id": rank + 1, "label_id": int(merged.classes[i]), "score": float(scores[i]), "area": int(merged.areas[i])}
        for rank, i in enumerate(order)
    ]
    return Segmentation(ids[merged.map], info, labels, classes)
