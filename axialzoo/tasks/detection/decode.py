"""Decodes a network's maps to boxes in the picture: FCOS (arXiv:1904.01355, section 3; scores as in arXiv:2006.09214).

The outputs of a network, for each level of stride s, height H = ceil(input height / s) and width W alike:

    classes     (H, W, classes)  logits
    boxes       (H, W, 4)        how far the box's left, top, right and bottom lie from the location, in strides: 0 or more, after
                                 the level's learned scale and its relu or exp; times s they are pixels of the model's input
    centerness  (H, W, 1)        logits

The location of row i, column j is the point ((j + 0.5) s, (i + 0.5) s) of the input, whose first pixel spans 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from axialzoo.spec.heads.fcos import PostprocessConfig
from axialzoo.spec.labels import Label
from axialzoo.tasks.detection.suppression import suppress, suppress_softly
from axialzoo.tasks.results import Detections, NotFiniteError

MAPS = ("classes", "boxes", "centerness")
Level = tuple[np.ndarray, np.ndarray, np.ndarray]
DEFAULTS = PostprocessConfig()


def decode(
    outputs: Mapping[str, Sequence[np.ndarray]],
    strides: Sequence[int],
    size: tuple[int, int],
    config: PostprocessConfig = DEFAULTS,
    *,
    to_picture: Callable[[np.ndarray], np.ndarray] | None = None,
    sigma: float = 0.5,
    limited: bool = True,
    labels: tuple[Label, ...] = (),
) -> Detections:
    """Decode the maps of one picture to its objects.

    A candidate is a class at a location; its score is sqrt(sigmoid(class) * sigmoid(centerness)).

    Args:
        outputs: ``classes``, ``boxes`` and ``centerness``: of each a map per level, as this module's docstring says.
        strides: One per level.
        size: Height and width of the picture, to which boxes are clipped.
        config: Threshold, candidates per level, suppression and number of boxes.
        limited: Whether the number of candidates and of boxes is limited as `config` says; else there is no limit.
        to_picture: Takes boxes (n, 4) from the model's input to the picture; None where they are one.
        sigma: Of the suppression ``"gaussian"``.
        labels: One per class, or none.

    Returns:
        Boxes of the picture, best first; those of no area (or outside of the picture) are none.

    Raises:
        ValueError: for maps of other names, shapes or numbers of levels, values that are not finite, or negative distances.

    Example:
        >>> import numpy as np
        >>> maps = {"classes": np.full((2, 2, 1), -9.0), "boxes": np.ones((2, 2, 4)), "centerness": np.full((2, 2, 1), 9.0)}
        >>> maps["classes"][0, 1] = 9
        >>> decode({name: [array] for name, array in maps.items()}, [8], (16, 16)).boxes.tolist()
        [[4.0, 0.0, 16.0, 12.0]]
    """
    levels = _levels(outputs, strides, labels)
    per_level = config.per_level if limited else None
    candidates = [_candidates(*level, stride, config.threshold, per_level) for level, stride in zip(levels, strides)]
    boxes, scores, indices = (np.concatenate(parts) for parts in zip(*candidates))
    boxes = boxes if to_picture is None else np.asarray(to_picture(boxes), np.float64)
    boxes = np.clip(boxes, 0, [size[1], size[0]] * 2)
    some = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)
    boxes, scores, indices = boxes[some], scores[some], indices[some]
    overlap, limit = config.overlap, config.max_detections + 1 if limited else None  # one box more shows that the limit was reached
    if config.suppression == "greedy":
        keep = suppress(boxes, scores, indices, overlap=overlap, limit=limit)
        scores = scores[keep]
    else:
        method, threshold = config.suppression, config.threshold
        keep, scores = suppress_softly(
            boxes, scores, indices, method=method, sigma=sigma, overlap=overlap, threshold=threshold, limit=limit
        )
    return limited_boxes(Detections(boxes[keep], scores, indices[keep], labels), config.max_detections if limited else None)


def limited_boxes(detections: Detections, limit: int | None) -> Detections:
    """Keep the first `limit` boxes, with a warning if there were more; None for all."""
    if limit is None or len(detections) <= limit:
        return detections
    advice = "raise max_detections (postprocess={'max_detections': ...})"
    text = f"the limit of {limit} boxes was reached: those with lower scores are left out; {advice}"
    best = {name: getattr(detections, name)[:limit] for name in ("boxes", "scores", "labels")}
    return replace(detections, **best, warnings=(text,))


def flip_boxes(boxes: np.ndarray, width: int) -> np.ndarray:
    """Flip boxes (n, 4) horizontally in an input of that width."""
    return np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)


def merge_views(views: Sequence[Detections], overlap: float, most: int | None) -> Detections:
    """Merge the boxes of several views of one picture, best first: boxes of a class that overlap by more than `overlap` are suppressed."""
    boxes, scores, labels = (np.concatenate([getattr(view, name) for view in views]) for name in ("boxes", "scores", "labels"))
    keep = suppress(boxes, scores, labels, overlap=overlap, limit=None if most is None else most + 1)
    warnings = tuple(dict.fromkeys(text for view in views for text in view.warnings))
    return limited_boxes(Detections(boxes[keep], scores[keep], labels[keep], views[0].categories, warnings=warnings), most)


def locations(height: int, width: int, stride: int) -> np.ndarray:
    """Return (height, width, 2): x and y of each location of a level, in pixels of the model's input."""
    x, y = ((np.arange(side) + 0.5) * stride for side in (width, height))
    return np.stack(np.broadcast_arrays(x[None], y[:, None]), -1)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def _candidates(classes: np.ndarray, distances: np.ndarray, centerness: np.ndarray, stride: int, threshold: float, most: int | None):
    """Return boxes (n, 4) of the model's input, scores (n,) and classes (n,) of one level, by falling score, stably."""
    scores = np.sqrt(sigmoid(classes) * sigmoid(centerness))  # (H, W, classes)
    places = np.flatnonzero(scores >= threshold)
    places = places[np.argsort(-scores.ravel()[places], kind="stable")[:most]]
    row, column, index = np.unravel_index(places, scores.shape)
    points = locations(scores.shape[0], scores.shape[1], stride)[row, column]  # (n, 2)
    reach = distances[row, column] * stride  # (n, 4)
    return np.concatenate([points - reach[:, :2], points + reach[:, 2:]], 1), scores.ravel()[places], index


def _levels(outputs: Mapping[str, Sequence[np.ndarray]], strides: Sequence[int], labels: Sequence[Label]) -> list[Level]:
    """Validate the maps of each level, and return them in float64."""
    if set(outputs) != set(MAPS):
        raise ValueError(f"outputs: expected {', '.join(MAPS)}, found {', '.join(map(str, outputs)) or 'none'}")
    counts = {name: len(outputs[name]) for name in MAPS}
    if not len(strides) or set(counts.values()) != {len(strides)}:
        raise ValueError(f"outputs: expected a map for each of the {len(strides)} strides {list(strides)}, found {counts}")
    levels = []
    for level, stride in enumerate(strides):
        classes, boxes, centerness = maps = [np.asarray(outputs[name][level], np.float64) for name in MAPS]
        sides, count = classes.shape[:2], len(labels) or classes.shape[-1]
        shapes = [(*sides, count), (*sides, 4), (*sides, 1)]
        if [array.shape for array in maps] != shapes:
            raise ValueError(
                f"outputs at stride {stride}: expected {', '.join(MAPS)} (height, width, channels) of {shapes}, "
                f"found {[array.shape for array in maps]}"
            )
        for name, array in zip(MAPS, maps):
            if not np.isfinite(array).all():
                raise NotFiniteError(f"outputs[{name!r}] at stride {stride}: expected finite numbers, found NaN or infinity")
        if (boxes < 0).any():
            raise ValueError(f"outputs['boxes'] at stride {stride}: expected distances of 0 or more, found {boxes.min()}")
        levels.append((classes, boxes, centerness))
    return levels
