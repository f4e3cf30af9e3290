"""Results of a model for a picture: one of three types, the same for the command line, notebooks and apps.

Ground truth of boxes and segments has the same types, with scores of 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from axialzoo.spec.labels import Label, label_name


class NotFiniteError(ValueError):
    """Outputs of a network that hold NaN or infinity."""


@dataclass(frozen=True, eq=False)
class Classification:
    """Probability of each class.

    Attributes:
        probabilities: (classes,), float64; they sum to 1.
        categories: The label of each class, or none.
    """

    probabilities: np.ndarray
    categories: tuple[Label, ...] = ()

    @cached_property
    def ranked(self) -> list[dict[str, Any]]:
        """Classes as dictionaries of ``label``, ``label_id`` and ``probability``, likeliest first."""
        order = np.argsort(-self.probabilities, kind="stable")
        return [
            {"label": label_name(self.categories, int(i)), "label_id": int(i), "probability": float(self.probabilities[i])} for i in order
        ]

    @property
    def label(self) -> str:
        """Name of the likeliest class."""
        return self.ranked[0]["label"]

    def to_json(self, top: int | None = 5) -> dict[str, Any]:
        """Return the likeliest class, and in ``top`` the `top` likeliest; None for all."""
        return {**self.ranked[0], "top": self.ranked[:top]}

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """Return name and probability of the `k` likeliest classes, likeliest first."""
        return self.summary(k)

    def summary(self, top: int | None = 5) -> list[tuple[str, float]]:
        """Return name and probability of the `top` likeliest classes."""
        return [(row["label"], row["probability"]) for row in self.ranked[:top]]


@dataclass(frozen=True, eq=False)
class Detections:
    """Boxes of objects, with scores and classes.

    Attributes:
        boxes: (n, 4) left, top, right, bottom in pixels of the picture; a box of the pixel at row 0, column 0 is 0, 0, 1, 1.
        scores: (n,), from 0 to 1, falling; of ground truth all 1.
        labels: (n,) int64, the class of each.
        categories: The label of each class, or none.
        crowd: (n,) bool of ground truth: regions that neither count as found nor as missed; None for none.
        warnings: Sentences about what the result leaves out, such as a limit of objects that was reached.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    categories: tuple[Label, ...] = ()
    crowd: np.ndarray | None = None
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def label_names(self) -> list[str]:
        """Name of the class of each object."""
        return [label_name(self.categories, label) for label in self.labels.tolist()]

    def to_json(self, top: int | None = None) -> dict[str, Any]:
        """Return ``boxes``: ``box`` [left, top, right, bottom], ``score``, ``label_id`` and ``label`` of the `top` best; None for all.

        ``warnings`` follow, if there are any.
        """
        rows = zip(self.boxes[:top].tolist(), self.scores[:top].tolist(), self.labels[:top].tolist())
        return {
            "boxes": [
                {"label": label_name(self.categories, index), "label_id": index, "score": score, "box": box} for box, score, index in rows
            ],
            **_warnings_json(self.warnings),
        }

    def summary(self, top: int | None = None) -> list[tuple[str, float]]:
        """Return name and score of the `top` best boxes."""
        return [(label_name(self.categories, index), score) for index, score in zip(self.labels[:top].tolist(), self.scores[:top].tolist())]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Segments of a picture, with scores and classes.

    Attributes:
        segmentation: (H, W) int32, the id of the segment that each pixel belongs to; 0 is void: no segment.
        segments_info: A dictionary for each segment, best first, as in COCO and transformers: ``id``, ``label_id`` (its class), ``score``,
            ``area`` (pixels); of ground truth also ``iscrowd`` where it is 1.
        categories: The label of each class, or none; a label's `thing` says whether its segments are single objects.
        semantic: (H, W) int32, the class of each pixel, -1 for none, if it is known beyond the segments; else None.
        warnings: See :class:`Detections`.
    """

    segmentation: np.ndarray
    segments_info: Sequence[dict[str, Any]]
    categories: tuple[Label, ...] = ()
    semantic: np.ndarray | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.segments_info)

    @property
    def label_names(self) -> list[str]:
        """Name of the class of each segment, in the order of `segments_info`."""
        return [label_name(self.categories, info["label_id"]) for info in self.segments_info]

    @cached_property
    def class_map(self) -> np.ndarray:
        """Class of each pixel, (H, W) int32; -1 for none."""
        if self.semantic is not None:
            return self.semantic
        table = np.full(self._last + 1, -1, np.int32)
        for segment in self.segments_info:
            table[segment["id"]] = segment["label_id"]
        return table[self.segmentation]

    @cached_property
    def boxes(self) -> np.ndarray:
        """Boxes (n, 4) of the segments: left, top, right, bottom in pixels, in the order of `segments_info`; zeros without a pixel."""
        ids = np.array([segment["id"] for segment in self.segments_info], np.int64)
        sides = []
        for map in (self.segmentation.T, self.segmentation):  # the columns, then the rows
            low, high = np.zeros(self._last + 1, np.int64), np.zeros(self._last + 1, np.int64)
            flat, place = map.ravel(), np.repeat(np.arange(map.shape[0]), map.shape[1])
            high[flat] = place + 1  # the last of several pixels wins
            low[flat[::-1]] = place[::-1]
            sides.append((low[ids], high[ids]))
        (left, right), (top, bottom) = sides
        return np.stack([left, top, right, bottom], 1).astype(np.float64)

    @cached_property
    def _last(self) -> int:
        """Highest id."""
        return max([int(self.segmentation.max(initial=0)), *(segment["id"] for segment in self.segments_info)])

    @cached_property
    def masks(self) -> np.ndarray:
        """Masks (n, H, W) bool of the segments, in the order of `segments_info`."""
        ids = np.array([segment["id"] for segment in self.segments_info], np.int64)
        return self.segmentation[None] == ids[:, None, None]

    def to_detections(self) -> Detections:
        """Return the objects (segments whose class is a thing) as boxes."""
        keep = [i for i, segment in enumerate(self.segments_info) if not self.categories or self.categories[segment["label_id"]].thing]
        info = [self.segments_info[i] for i in keep]
        return Detections(
            self.boxes[keep],
            np.array([segment.get("score", 1.0) for segment in info], np.float64),
            np.array([segment["label_id"] for segment in info], np.int64),
            self.categories,
            np.array([bool(segment.get("iscrowd")) for segment in info]),
            self.warnings,
        )

    def to_json(self, top: int | None = None) -> dict[str, Any]:
        """Return ``segments``: ``label``, ``label_id``, ``score``, ``area``, ``box`` and ``id`` of the `top` first; None for all.

        ``warnings`` follow, if there are any.
        """
        rows = zip(self.segments_info[:top], self.boxes[:top].tolist())
        segments = [{"label": label_name(self.categories, segment["label_id"]), **segment, "box": box} for segment, box in rows]
        return {"segments": segments, **_warnings_json(self.warnings)}

    def summary(self, top: int | None = None) -> list[tuple[str, float]]:
        """Return name and score of the `top` first segments."""
        info = self.segments_info[:top]
        return [(label_name(self.categories, segment["label_id"]), float(segment.get("score", 1.0))) for segment in info]


def _warnings_json(warnings: Sequence[str]) -> dict[str, list[str]]:
    return {"warnings": list(warnings)} if warnings else {}


Result = Classification | Detections | Segmentation
RESULTS: dict[str, type[Result]] = {"classes": Classification, "boxes": Detections, "segments": Segmentation}
"""Type of the results of a task, by the kind of annotation that it needs."""
