"""Segments' ids, which may be any numbers, as indices 0, 1, 2 ..."""

from __future__ import annotations

import numpy as np

from axialzoo.tasks.results import Segmentation


def relabel(segments: Segmentation) -> np.ndarray:
    """Return the map as (H, W) int32: 1 for the first of `segments_info` and so on, 0 for void.

    Raises:
        ValueError: The map holds an id that `segments_info` does not know, or that is negative; or an id comes twice.
    """
    ids = np.array([segment["id"] for segment in segments.segments_info], np.int64)
    if len(np.unique(ids)) != len(ids) or (ids <= 0).any():
        raise ValueError(f"segments_info: expected ids above 0, each once, found {sorted(ids.tolist())}")
    low, high = int(segments.segmentation.min(initial=0)), int(segments.segmentation.max(initial=0))
    table = np.zeros(max(high, int(ids.max(initial=0))) + 1, np.int32)  # untouched parts take no memory
    table[ids] = 1 + np.arange(len(ids))
    index = table[segments.segmentation] if low >= 0 else segments.segmentation
    if low < 0 or (index[segments.segmentation > 0] == 0).any():
        unknown = sorted(set(np.unique(segments.segmentation).tolist()) - {0, *ids.tolist()})
        raise ValueError(f"map: expected only ids that segments_info has, and 0 for void; found {unknown[:10]} too")
    return index


def check_map(segments: Segmentation, size: tuple[int, int], num_classes: int) -> None:
    """Refuse segments that are not of the model's input, of `size`, or whose classes are not the model's."""
    if segments.segmentation.shape != tuple(size):
        raise ValueError(
            f"annotation: the map has {segments.segmentation.shape} pixels, expected {tuple(size)}, those of the model's input, to which "
            "axialzoo.data.Batches and to_model_input move maps"
        )
    maps = [class_of(segments), *([] if segments.semantic is None else [segments.semantic])]
    highest = max(int(classes.max(initial=0)) for classes in maps)
    if highest >= num_classes:
        raise ValueError(f"annotation: expected classes from 0 to {num_classes - 1}, found {highest}")


def class_of(segments: Segmentation) -> np.ndarray:
    """Return (n,) int64: the class of each of `segments_info`."""
    return np.array([segment["label_id"] for segment in segments.segments_info], np.int64)


def is_crowd(segments: Segmentation) -> np.ndarray:
    """Return (n,) bool: which of `segments_info` are crowds."""
    return np.array([bool(segment.get("iscrowd")) for segment in segments.segments_info], bool)


def areas(segments: Segmentation, index: np.ndarray | None = None) -> np.ndarray:
    """Return (n + 1,) int64: pixels of void, then of each of `segments_info`; `index` is the result of :func:`relabel`, if known."""
    index = relabel(segments) if index is None else index
    return np.bincount(index.ravel(), minlength=len(segments) + 1)
