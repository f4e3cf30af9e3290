"""Geometric augmentation: one object moves a picture and its labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from axialzoo.data.dataset import Sample
from axialzoo.tasks.results import Detections, Segmentation

TURNS = (None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)  # counter-clockwise, as np.rot90


@dataclass(frozen=True)
class Geometry:
    """Cut a box out of the picture, resize it, turn it, mirror it, and lay it on a canvas.

    Attributes:
        box: left, top, right, bottom in pixels of the picture, fractions too.
        scaled: Height and width of that box after resizing.
        size: Height and width of the canvas.
        at: Row and column of the canvas where the (turned) box begins.
        turns: Quarter turns counter-clockwise.
        mirrored: Left and right swapped, after turning.
        visible: Objects of boxes of which a smaller share of the area is left are dropped.
    """

    box: tuple[float, float, float, float]
    scaled: tuple[int, int]
    size: tuple[int, int]
    at: tuple[int, int] = (0, 0)
    turns: int = 0
    mirrored: bool = False
    visible: float = 0.25

    def __post_init__(self):
        (rows, columns), (top, left) = self.turned, self.at
        if not (top >= 0 and top + rows <= self.size[0] and left >= 0 and left + columns <= self.size[1]):
            raise ValueError(f"geometry: expected {rows} x {columns} at row {top}, column {left} to fit on a canvas of {self.size}")

    @property
    def turned(self) -> tuple[int, int]:
        """Height and width of the box after resizing and turning."""
        return (self.scaled[1], self.scaled[0]) if self.turns % 2 else self.scaled

    def sample(
        self, sample: Sample, fill: tuple[int, ...] = (0, 0, 0), recolour: Callable[[Image.Image], Image.Image] | None = None
    ) -> Sample:
        """Move picture and annotation alike; a class stays as it is.

        Args:
            fill: Colour where there is no picture.
            recolour: Applied to the part of the picture that is shown.
        """
        annotation = sample.annotation
        if isinstance(annotation, Detections):
            annotation = self.boxes(annotation)
        elif isinstance(annotation, Segmentation):
            annotation = self.segments(annotation)
        return Sample(sample.name, self.picture(sample.picture, fill, recolour=recolour), annotation)

    def picture(
        self,
        picture: Image.Image,
        fill: tuple[int, ...] = (0, 0, 0),
        filter: Image.Resampling = Image.Resampling.BILINEAR,
        recolour: Callable[[Image.Image], Image.Image] | None = None,
    ) -> Image.Image:
        """Return the canvas (Pillow's resampling, so that shrinking does not alias), `fill` where there is no picture."""
        moved = picture.resize((self.scaled[1], self.scaled[0]), filter, box=self.box)
        if recolour is not None:
            moved = recolour(moved)
        if (turn := TURNS[self.turns % 4]) is not None:
            moved = moved.transpose(turn)
        if self.mirrored:
            moved = moved.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if moved.size == self.size[::-1]:
            return moved
        canvas = Image.new(picture.mode, (self.size[1], self.size[0]), fill if len(picture.getbands()) > 1 else fill[0])
        canvas.paste(moved, (self.at[1], self.at[0]))
        return canvas

    def map(self, labels: np.ndarray, fill: int = 0) -> np.ndarray:
        """Return (H, W) whole numbers on the canvas, each pixel the nearest of the picture's, `fill` where there is no picture."""
        left, top, right, bottom = self.box
        (rows, columns), (height, width) = self.scaled, labels.shape
        down = np.floor(top + (np.arange(rows) + 0.5) * ((bottom - top) / rows)).astype(np.int64).clip(0, height - 1)
        across = np.floor(left + (np.arange(columns) + 0.5) * ((right - left) / columns)).astype(np.int64).clip(0, width - 1)
        moved = np.rot90(labels[down[:, None], across], self.turns % 4)
        if self.mirrored:
            moved = moved[:, ::-1]
        out = np.full(self.size, fill, labels.dtype)
        out[self.at[0] : self.at[0] + moved.shape[0], self.at[1] : self.at[1] + moved.shape[1]] = moved
        return out

    def points(self, points: np.ndarray) -> np.ndarray:
        """Move (n, 2) x, y in pixels of the picture, on the canvas; not clipped."""
        left, top, right, bottom = self.box
        x = (points[:, 0] - left) * (self.scaled[1] / (right - left))
        y = (points[:, 1] - top) * (self.scaled[0] / (bottom - top))
        rows, columns = self.scaled
        for _ in range(self.turns % 4):  # what was right is on top
            x, y, rows, columns = y, columns - x, columns, rows
        if self.mirrored:
            x = columns - x
        return np.stack([x + self.at[1], y + self.at[0]], 1)

    def boxes(self, boxes: Detections) -> Detections:
        """Move boxes onto the canvas, clip them to the visible part of the picture, and drop those with too little left.

        A crowd stays as long as a pixel of it is left: what it hides must not count.
        """
        corners = self.points(boxes.boxes.reshape(-1, 2)).reshape(-1, 2, 2)  # (n, corner, xy)
        moved = np.concatenate([corners.min(1), corners.max(1)], 1)
        (top, left), (rows, columns) = self.at, self.turned
        clipped = np.clip(moved, [left, top] * 2, [left + columns, top + rows] * 2)
        sides, whole = clipped[:, 2:] - clipped[:, :2], moved[:, 2:] - moved[:, :2]
        crowd = np.zeros(len(boxes), bool) if boxes.crowd is None else boxes.crowd
        share = sides.prod(1) / np.maximum(whole.prod(1), 1e-12)
        keep = (sides >= 1).all(1) & (crowd | (share >= self.visible))
        return replace(
            boxes,
            boxes=clipped[keep],
            scores=boxes.scores[keep],
            labels=boxes.labels[keep],
            crowd=None if boxes.crowd is None else boxes.crowd[keep],
        )

    def segments(self, segments: Segmentation) -> Segmentation:
        """Move segments onto the canvas, void where there is no picture; those without a pixel dropped, areas counted anew."""
        semantic = None if segments.semantic is None else self.map(segments.semantic, -1)
        return count_areas(segments, self.map(segments.segmentation), semantic)


def count_areas(segments: Segmentation, ids: np.ndarray, semantic: np.ndarray | None = None) -> Segmentation:
    """Return `segments` with another map of the same ids: areas counted anew, segments without a pixel dropped."""
    areas = np.bincount(ids.reshape(-1), minlength=1)
    info = [
        {**segment, "area": int(areas[segment["id"]])}
        for segment in segments.segments_info
        if segment["id"] < len(areas) and areas[segment["id"]]
    ]  # the order of annotations is the file's; their scores are all 1
    return replace(segments, segmentation=ids, segments_info=info, semantic=semantic)


def whole(height: int, width: int, turns: int = 0, mirrored: bool = False) -> Geometry:
    """Return the geometry that only turns or mirrors a picture of `height` x `width`."""
    size = (width, height) if turns % 2 else (height, width)
    return Geometry((0, 0, width, height), (height, width), size, turns=turns, mirrored=mirrored)
