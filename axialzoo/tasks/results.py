"""What a model says of a picture: one of three types, the same for the command line, notebooks and apps.

Ground truth of boxes and segments is told in the same types, with scores of 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from axialzoo.spec.labels import Label, label_name


@dataclass(frozen=True, eq=False)
class Classes:
    """How likely each class is.

    Attributes:
        probabilities: (classes,), float64; they sum to 1.
        labels: One per class, or none.
    """

    probabilities: np.ndarray
    labels: tuple[Label, ...] = ()

    @cached_property
    def ranked(self) -> list[dict[str, Any]]:
        """``label``, ``index`` and ``probability`` of each class, likeliest first."""
        order = np.argsort(-self.probabilities, kind="stable")
        return [{"label": label_name(self.labels, int(i)), "index": int(i), "probability": float(self.probabilities[i])} for i in order]

    @property
    def label(self) -> str:
        """The likeliest class's name."""
        return self.ranked[0]["label"]

    def to_json(self, top: int | None = 5) -> dict[str, Any]:
        """The likeliest class, and the `top` likeliest; None for all."""
        return {**self.ranked[0], "top": self.ranked[:top]}

    def rows(self, top: int | None = 5) -> list[tuple[str, float]]:
        """The `top` likeliest classes: name and probability."""
        return [(one["label"], one["probability"]) for one in self.ranked[:top]]


@dataclass(frozen=True, eq=False)
class Boxes:
    """Objects and where they are.

    Attributes:
        boxes: (n, 4) left, top, right, bottom in pixels of the picture; a box of the pixel at row 0, column 0 is 0, 0, 1, 1.
        scores: (n,), from 0 to 1, falling; of ground truth all 1.
        indices: (n,) int64, the class of each.
        labels: One per class, or none.
        crowd: (n,) bool of ground truth: regions that neither count as found nor as missed; None for none.
        warnings: Sentences about what the result leaves out, such as a limit of objects that was reached.
    """

    boxes: np.ndarray
    scores: np.ndarray
    indices: np.ndarray
    labels: tuple[Label, ...] = ()
    crowd: np.ndarray | None = None
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.boxes)

    def to_json(self, top: int | None = None) -> dict[str, Any]:
        """``boxes``: of each ``box`` [left, top, right, bottom], ``score``, ``index``, ``label``; the `top` best, None for all.

        ``warnings``, where there are any.
        """
        rows = zip(self.boxes[:top].tolist(), self.scores[:top].tolist(), self.indices[:top].tolist())
        return {
            "boxes": [{"label": label_name(self.labels, index), "index": index, "score": score, "box": box} for box, score, index in rows],
            **_warnings_json(self.warnings),
        }

    def rows(self, top: int | None = None) -> list[tuple[str, float]]:
        """The `top` best boxes: name and score."""
        return [(label_name(self.labels, index), score) for index, score in zip(self.indices[:top].tolist(), self.scores[:top].tolist())]


@dataclass(frozen=True, eq=False)
class Segments:
    """A picture cut into segments.

    Attributes:
        map: (H, W) int32, the id of the segment that each pixel is of; 0 is void: of no segment.
        segments_info: Of each segment, as COCO and transformers say it: ``id``, ``label_id`` (its class), ``score``, ``area`` (pixels);
            of ground truth also ``iscrowd`` where it is 1. Best first.
        labels: One per class, or none; a label's `thing` says whether its segments are single objects.
        semantic: (H, W) int32, the class of each pixel, -1 for none, where more is known than the segments say; else None.
        warnings: As of :class:`Boxes`.
    """

    map: np.ndarray
    segments_info: Sequence[dict[str, Any]]
    labels: tuple[Label, ...] = ()
    semantic: np.ndarray | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.segments_info)

    @cached_property
    def classes(self) -> np.ndarray:
        """(H, W) int32: the class of each pixel, -1 where there is none."""
        if self.semantic is not None:
            return self.semantic
        table = np.full(self._last + 1, -1, np.int32)
        for one in self.segments_info:
            table[one["id"]] = one["label_id"]
        return table[self.map]

    @cached_property
    def boxes(self) -> np.ndarray:
        """(n, 4) left, top, right, bottom in pixels of each segment, in the order of `segments_info`; zeros of one without a pixel."""
        wanted = np.array([one["id"] for one in self.segments_info], np.int64)
        sides = []
        for map in (self.map.T, self.map):  # the columns, then the rows
            low, high = np.zeros(self._last + 1, np.int64), np.zeros(self._last + 1, np.int64)
            flat, place = map.ravel(), np.repeat(np.arange(map.shape[0]), map.shape[1])
            high[flat] = place + 1  # of several pixels the last is what stays
            low[flat[::-1]] = place[::-1]
            sides.append((low[wanted], high[wanted]))
        (left, right), (top, bottom) = sides
        return np.stack([left, top, right, bottom], 1).astype(np.float64)

    @cached_property
    def _last(self) -> int:
        """The highest id."""
        return max([int(self.map.max(initial=0)), *(one["id"] for one in self.segments_info)])

    @cached_property
    def masks(self) -> np.ndarray:
        """(n, H, W) bool, in the order of `segments_info`."""
        ids = np.array([one["id"] for one in self.segments_info], np.int64)
        return self.map[None] == ids[:, None, None]

    def as_boxes(self) -> Boxes:
        """The objects (segments whose class is a thing) with their boxes: one interface for whoever counts."""
        keep = [i for i, one in enumerate(self.segments_info) if not self.labels or self.labels[one["label_id"]].thing]
        info = [self.segments_info[i] for i in keep]
        return Boxes(
            self.boxes[keep],
            np.array([one.get("score", 1.0) for one in info], np.float64),
            np.array([one["label_id"] for one in info], np.int64),
            self.labels,
            np.array([bool(one.get("iscrowd")) for one in info]),
            self.warnings,
        )

    def to_json(self, top: int | None = None) -> dict[str, Any]:
        """``segments``: of each ``label``, ``label_id``, ``score``, ``area``, ``box``, ``id``; the `top` first, None for all.

        ``warnings``, where there are any.
        """
        rows = zip(self.segments_info[:top], self.boxes[:top].tolist())
        segments = [{"label": label_name(self.labels, one["label_id"]), **one, "box": box} for one, box in rows]
        return {"segments": segments, **_warnings_json(self.warnings)}

    def rows(self, top: int | None = None) -> list[tuple[str, float]]:
        """The `top` first segments: name and score."""
        return [(label_name(self.labels, one["label_id"]), float(one.get("score", 1.0))) for one in self.segments_info[:top]]


def _warnings_json(warnings: Sequence[str]) -> dict[str, list[str]]:
    return {"warnings": list(warnings)} if warnings else {}


Result = Classes | Boxes | Segments
