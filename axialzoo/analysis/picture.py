"""Heat maps over a photograph, in a grid of panels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from axialzoo.image.draw import INK, PAPER, QUIET, SCALE, paste, scaled, shorten, text, write

# Black, purple, red, orange, yellow: lightness increases throughout, so that the scale reads in grey too.
HEAT = ((0, 0, 0), (60, 15, 100), (150, 40, 105), (215, 70, 65), (248, 140, 30), (250, 200, 60), (253, 250, 170))
LARGEST, OPAQUE = 0.93, 2.2  # opacity of the largest weight, and its slope
PANEL, MARGIN, GAP, TITLE, HEADING, LINE, TOP = 220, 26, 14, 40, 52, 21, 40


@dataclass(frozen=True)
class Panel:
    """A picture of the grid.

    Attributes:
        title, note: Two lines above it.
        weights: (H, W), none negative, drawn over the photograph; None for the photograph alone.
        missing: Reason for a missing picture, written in its place.
    """

    title: str
    note: str = ""
    weights: np.ndarray | None = None
    missing: str = ""


@dataclass(frozen=True)
class Row:
    """A row of panels under a heading; lines of text fill the place of missing panels."""

    heading: str
    panels: Sequence[Panel]
    lines: Sequence[str] = ()


def draw_grid(
    photo: Image.Image,
    mark: tuple[float, float],
    rows: Sequence[Row],
    caption: str,
    path: str | os.PathLike[str] | None = None,
    *,
    title: str = "",
    mark_label: str = "query point",
) -> Image.Image:
    """Draw the grid, with a colour scale below it.

    Args:
        photo: The photograph under each heat map.
        mark: The marked point, as shares of the photograph's width and height.
        rows: Rows from top to bottom.
        caption: Text below the grid.
        path: File to write, if any; the suffix says the format.
        title: Text above the grid.
        mark_label: Meaning of the marked point, for the legend.

    Returns:
        The picture, RGB.
    """
    columns = max(len(row.panels) + (2 if row.lines else 0) for row in rows)
    tall = round(PANEL * min(max(photo.height / photo.width, 0.4), 2.5))
    width = 2 * MARGIN + columns * PANEL + (columns - 1) * GAP
    start = MARGIN + (TOP if title else 0)
    height = start + len(rows) * (HEADING + TITLE + tall) + 66
    canvas = Image.new("RGB", (width * SCALE, height * SCALE), PAPER)
    pen = ImageDraw.Draw(canvas)
    text(pen, MARGIN, MARGIN + 8, shorten(title, 20, width - 2 * MARGIN), 20, INK, "lm")
    for index, row in enumerate(rows):
        top = start + index * (HEADING + TITLE + tall)
        text(pen, MARGIN, top + 10, row.heading, 17, INK, "lm")
        for column, panel in enumerate(row.panels):
            left = MARGIN + column * (PANEL + GAP)
            text(pen, left, top + HEADING - 8, shorten(panel.title, 14, PANEL), 14, INK, "lm")
            text(pen, left, top + HEADING + 12, shorten(panel.note, 12, PANEL), 12, QUIET, "lm")
            _panel(canvas, panel, photo, mark, left, top + HEADING + TITLE - 12, tall)
        left = MARGIN + len(row.panels) * (PANEL + GAP)
        for line, words in enumerate(_wrapped(row.lines, width - MARGIN - left)):
            text(pen, left + 8, top + HEADING + TITLE - 2 + line * LINE, words, 13, INK if words.endswith(":") else QUIET, "lm")
    _legend(canvas, MARGIN, height - 52, mark_label)
    text(pen, MARGIN, height - 20, shorten(caption, 12, width - 2 * MARGIN - 80), 12, QUIET, "lm")
    text(pen, width - MARGIN, height - 20, "axialzoo", 12, QUIET, "rm")
    if path is not None:
        write(canvas, Path(path))
    return canvas


def _panel(canvas: Image.Image, panel: Panel, photo: Image.Image, mark: tuple[float, float], left: int, top: int, tall: int) -> None:
    size = (PANEL * SCALE, tall * SCALE)
    picture = photo.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    if panel.weights is not None:
        picture = heat_over(picture, panel.weights)
    if panel.missing:
        picture = Image.new("RGB", size, (238, 240, 244))
        pen = ImageDraw.Draw(picture)
        for line, words in enumerate(_wrapped([panel.missing], PANEL - 20)):
            text(pen, PANEL / 2, tall / 2 - 10 + line * LINE, words, 13, QUIET, "mm")
    else:
        mark_point(picture, mark)
    paste(canvas, picture, left, top, radius=6)


def heat_over(photo: Image.Image, weights: np.ndarray) -> Image.Image:
    """Draw `weights` (H, W) as a heat map over a grey, darker `photo`; the colour is the square root of weight / largest weight."""
    strength = np.sqrt(np.maximum(weights, 0) / max(float(weights.max()), 1e-30))  # (H, W)
    if weights.shape[0] > photo.height or weights.shape[1] > photo.width:
        smooth = Image.Resampling.BOX
    else:
        smooth = Image.Resampling.NEAREST  # positions stay squares
    strength = np.asarray(Image.fromarray(strength.astype(np.float32)).resize(photo.size, smooth))[..., None]  # (H, W, 1)
    stops = np.linspace(0, 1, len(HEAT))
    colour = np.stack([np.interp(strength[..., 0], stops, [stop[channel] for stop in HEAT]) for channel in range(3)], axis=-1)
    grey = 30 + 0.55 * np.asarray(photo.convert("L"), np.float64)[..., None]  # (H, W, 1)
    opacity = LARGEST * np.minimum(OPAQUE * strength, 1)
    return Image.fromarray((opacity * colour + (1 - opacity) * grey).round().astype(np.uint8))


def mark_point(picture: Image.Image, mark: tuple[float, float]) -> None:
    """Draw a ring onto `picture` around the point `mark`, in shares of the width and height."""
    x, y, pen = mark[0] * picture.width, mark[1] * picture.height, ImageDraw.Draw(picture)
    for radius, width, colour in ((7 * SCALE, 4 * SCALE, (0, 0, 0)), (6.5 * SCALE, 2 * SCALE, (120, 235, 255))):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour, width=width)


def _legend(canvas: Image.Image, left: int, top: int, mark_label: str) -> None:
    """Draw the colour scale, and the meaning of the ring."""
    pen = ImageDraw.Draw(canvas)
    ramp = np.broadcast_to(np.linspace(0, 1, 160 * SCALE)[None] ** 2, (12 * SCALE, 160 * SCALE))
    text(pen, left, top + 6, "0", 12, QUIET, "lm")
    paste(canvas, heat_over(Image.new("RGB", (160 * SCALE, 12 * SCALE), (128, 128, 128)), ramp), left + 16, top, radius=3)
    text(pen, left + 186, top + 6, "1     square root of (value / largest value of the panel)", 12, QUIET, "lm")
    x = left + 560
    pen.ellipse(scaled(x, top, x + 12, top + 12), outline=(0, 0, 0), width=4 * SCALE)
    pen.ellipse(scaled(x + 0.5, top + 0.5, x + 11.5, top + 11.5), outline=(120, 235, 255), width=2 * SCALE)
    text(pen, x + 20, top + 6, mark_label, 12, QUIET, "lm")


def _wrapped(lines: Sequence[str], width: float) -> list[str]:
    wrapped = []
    for line in lines:
        words, current = line.split(" "), ""
        for word in words:
            longer = f"{current} {word}".strip()
            if current and shorten(longer, 13, width - 10) != longer:
                wrapped.append(current)
                longer = word
            current = longer
        wrapped.append(current)
    return wrapped
