"""Maps a picture to a model's input (crop and size), and the model's coordinates back to the picture's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from axialzoo.image.read import ImageError
from axialzoo.spec import Preprocessing


@dataclass(frozen=True)
class ResizeTransform:
    """Resizing and cropping (or padding) of a picture, in pixels; the same for every framework.

    Attributes:
        picture: Height and width of the picture itself.
        resized: Height and width after resizing.
        top, left: Where the crop begins in the resized picture.
        size: Height and width of the model's input. Where it reaches beyond the resized picture there is padding, below and right.
    """

    picture: tuple[int, int]
    resized: tuple[int, int]
    top: int
    left: int
    size: tuple[int, int]

    @property
    def padded(self) -> bool:
        """Tell whether part of the model's input is padding."""
        return self.top + self.size[0] > self.resized[0] or self.left + self.size[1] > self.resized[1]

    @property
    def shown(self) -> tuple[int, int]:
        """Height and width of the part of the model's input that shows the picture; it begins at the top left."""
        return min(self.size[0], self.resized[0] - self.top), min(self.size[1], self.resized[1] - self.left)

    def to_picture(self, points: np.ndarray, *, clip: bool = True) -> np.ndarray:
        """Move points or boxes of the model's input to pixels of the picture.

        Args:
            points: (n, 2) x, y, or (n, 4) left, top, right, bottom, in pixels of the model's input (`size`).
            clip: Move what lies outside the picture to its border.

        Returns:
            float64 of the same shape.
        """
        ratio, start = self._axes(points.shape[-1])
        moved = (np.asarray(points, np.float64) + start) * ratio
        return np.clip(moved, 0, self._ends(points.shape[-1])) if clip else moved

    def to_model(self, points: np.ndarray) -> np.ndarray:
        """Move points or boxes of the picture to pixels of the model's input. They are not clipped: some may lie outside."""
        ratio, start = self._axes(points.shape[-1])
        return np.asarray(points, np.float64) / ratio - start

    def map_to_picture(self, labels: np.ndarray, fill: int = 0) -> np.ndarray:
        """Resample a map of whole numbers over the model's input to the picture: each pixel takes the nearest.

        Args:
            labels: (H, W) of `size`.
            fill: What pixels of the picture get that the model did not see.

        Returns:
            (height, width) of `picture`, of the same type.

        Raises:
            ImageError: for a map of another size.
        """
        if labels.shape != self.size:
            raise ImageError(f"map: expected {self.size[0]} x {self.size[1]}, the model's input, found {labels.shape}")
        rows = _nearest(self.picture[0], self.resized[0]) - self.top  # (height,) row of the model's input
        columns = _nearest(self.picture[1], self.resized[1]) - self.left
        out = np.full(self.picture, fill, labels.dtype)
        inside = [(at >= 0) & (at < side) for at, side in zip((rows, columns), self.size)]
        out[np.ix_(*inside)] = labels[np.ix_(rows[inside[0]], columns[inside[1]])]
        return out

    def map_to_model(self, labels: np.ndarray, fill: int = 0) -> np.ndarray:
        """Resize, crop and pad a map over the picture as the picture itself: each pixel takes the nearest."""
        if labels.shape != self.picture:
            raise ImageError(f"map: expected {self.picture[0]} x {self.picture[1]}, the picture's size, found {labels.shape}")
        rows = _nearest(self.resized[0], self.picture[0])[self.top : self.top + self.size[0]]
        columns = _nearest(self.resized[1], self.picture[1])[self.left : self.left + self.size[1]]
        out = np.full(self.size, fill, labels.dtype)
        out[: len(rows), : len(columns)] = labels[np.ix_(rows, columns)]
        return out

    def _axes(self, values: int) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels of the picture per pixel of the model's input, and the start of the crop; for x, y or x, y, x, y."""
        if values not in (2, 4):
            raise ImageError(f"points: expected (n, 2) x, y or (n, 4) left, top, right, bottom, found {values} values each")
        ratio = np.array([self.picture[1] / self.resized[1], self.picture[0] / self.resized[0]])
        return np.tile(ratio, values // 2), np.tile([self.left, self.top], values // 2)

    def _ends(self, values: int) -> np.ndarray:
        return np.tile([self.picture[1], self.picture[0]], values // 2)


def _nearest(outputs: int, inputs: int) -> np.ndarray:
    """Return (outputs,) the nearest of `inputs` pixels of each output pixel's centre, in whole numbers, so ties are equal everywhere."""
    return ((2 * np.arange(outputs) + 1) * inputs) // (2 * outputs)


def resize_transform(height: int, width: int, preprocessing: Preprocessing) -> ResizeTransform:
    """Return the resizing and cropping of a picture of `height` x `width` pixels.

    ``"shorter"`` resizes until the picture just covers ``size / crop`` (for a square size: its shorter side is
    that long) and keeps its proportions to the pixel (the longer side rounds down, as torchvision's does).
    ``"longer"`` resizes, up or down, until it just fits into `size` (the shorter side rounds to nearest).
    """
    rows, columns = preprocessing.size
    if preprocessing.resize == "none":
        return ResizeTransform((height, width), (height, width), 0, 0, (height, width))
    if preprocessing.resize == "squash":
        return ResizeTransform((height, width), (rows, columns), 0, 0, (rows, columns))
    if preprocessing.resize == "longer":
        if rows * width <= columns * height:
            resized = (rows, max((2 * rows * width + height) // (2 * height), 1))
        else:
            resized = (max((2 * columns * height + width) // (2 * width), 1), columns)
        return ResizeTransform((height, width), resized, 0, 0, (rows, columns))
    least_rows, least_columns = (max(side, round(side / preprocessing.crop)) for side in (rows, columns))
    if least_rows * width >= least_columns * height:
        resized = (least_rows, least_rows * width // height)
    else:
        resized = (least_columns * height // width, least_columns)
    top, left = round((resized[0] - rows) / 2), round((resized[1] - columns) / 2)
    return ResizeTransform((height, width), resized, top, left, (rows, columns))
