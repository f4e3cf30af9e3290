"""A picture with boxes on it: a colour a class, its name and score on each, and a legend of how many there are."""

from __future__ import annotations

import colorsys
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from axialzoo.image.draw import INK, PAPER, QUIET, font, percent, shorten, write
from axialzoo.image.draw import SCALE as DENSITY  # of fonts: `font(8)` is 16 pixels high
from axialzoo.spec.labels import Label, label_name

if TYPE_CHECKING:  # tasks draw by this module
    from axialzoo.tasks.results import Detections

PALETTE = (
    (230, 57, 70), (29, 120, 210), (255, 183, 3), (42, 157, 90), (155, 89, 182), (0, 180, 180), (244, 114, 32), (226, 90, 170),
    (140, 190, 40), (110, 90, 220),
)  # fmt: skip
DARK, LIGHT = (18, 20, 24), (255, 255, 255)
LEAST, MOST = 960, 2400  # pixels of the longer side of the picture as drawn
LINE, TEXT, MARGIN, ROW = 3, 9, 16, 34
Rectangle = tuple[float, float, float, float]


def draw_boxes(
    picture: Image.Image,
    boxes: Sequence[Sequence[float]],
    indices: Sequence[int],
    scores: Sequence[float] | None = None,
    path: str | os.PathLike[str] | None = None,
    *,
    labels: tuple[Label, ...] = (),
) -> Image.Image:
    """Draw objects on their picture, which is enlarged where it is small, so that lines and names stay fine.

    Args:
        picture: Of any mode.
        boxes: Of each object left, top, right, bottom in pixels of the picture, best first.
        indices: The class of each.
        scores: 0 to 1, of each; None, of ground truth, writes none.
        path: Where to write it, if anywhere; the suffix says the format.
        labels: One per class, for names and colours; or none.

    Returns:
        The picture, RGB, with a legend below it.

    Raises:
        ValueError: for numbers of boxes, classes and scores that differ, or a suffix that is no picture format.

    Example:
        >>> from PIL import Image
        >>> draw_boxes(Image.new("RGB", (96, 64)), [[8, 8, 40, 40]], [0], [0.9]).width
        960
    """
    if len({len(boxes), len(indices), len(indices if scores is None else scores)}) != 1:
        counts = f"{len(boxes)} boxes, {len(indices)} classes, {'no' if scores is None else len(scores)} scores"
        raise ValueError(f"boxes: expected a class and a score for each, found {counts}")
    scale = min(max(1.0, LEAST / max(picture.size)), MOST / max(picture.size))
    width, height = (max(round(side * scale), 1) for side in picture.size)
    indices = [int(index) for index in indices]
    counts = {index: indices.count(index) for index in sorted(set(indices))}
    rows = _legend_rows(counts, labels, width)
    canvas = Image.new("RGB", (width, height + MARGIN + ROW * len(rows)), PAPER)
    canvas.paste(picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS), (0, 0))
    pen = ImageDraw.Draw(canvas)
    drawn: list[Rectangle] = [(x1 * scale, y1 * scale, x2 * scale, y2 * scale) for x1, y1, x2, y2 in boxes]
    for box, index in reversed(list(zip(drawn, indices))):  # the best on top
        _outline(pen, box, class_colour(index, labels))
    taken: list[Rectangle] = []
    for place, (box, index) in enumerate(zip(drawn, indices)):
        name = label_name(labels, index) + ("" if scores is None else f"  {percent(scores[place])}")
        taken.append(_tag(pen, box, name, class_colour(index, labels), (width, height), taken))
    for number, row in enumerate(rows):
        _legend(pen, row, height + MARGIN // 2 + ROW * number + ROW // 2)
    if path is not None:
        write(canvas, Path(path))
    return canvas


def draw_views(
    picture: Image.Image, views: Mapping[str, Detections], path: str | os.PathLike[str] | None = None, *, model: str = ""
) -> Image.Image:
    """Draw several results of a picture (of frameworks, or the ground truth) side by side under their headings.

    Args:
        picture: Of any mode.
        views: Heading -> boxes; those called ``"ground truth"`` are drawn without scores.
        path: Where to write it, if anywhere; the suffix says the format.
        model: Its name, before the headings.

    Raises:
        ValueError: for no views, or a suffix that is no picture format.
    """
    if not views:
        raise ValueError("views: expected at least one heading with boxes, found none")
    panels = {}
    for heading, detections in views.items():
        scores = None if heading == "ground truth" else detections.scores.tolist()
        name = heading if heading == "ground truth" or not model else f"{model} {heading}" if len(views) > 1 else model
        panels[name] = draw_boxes(picture, detections.boxes.tolist(), detections.labels.tolist(), scores, labels=detections.categories)
    width, height = (max(side) for side in zip(*(panel.size for panel in panels.values())))
    canvas = Image.new("RGB", (len(panels) * (width + MARGIN) - MARGIN, ROW + height), PAPER)
    pen = ImageDraw.Draw(canvas)
    for number, (name, panel) in enumerate(panels.items()):
        left = number * (width + MARGIN)
        title = shorten(name, TEXT + 1, (width - 2 * MARGIN) / DENSITY)
        pen.text((left + MARGIN, ROW / 2), title, fill=INK, font=font(TEXT + 1), anchor="lm")
        canvas.paste(panel, (left, ROW))
    if path is not None:
        write(canvas, Path(path))
    return canvas


def class_colour(index: int, labels: tuple[Label, ...] = ()) -> tuple[int, int, int]:
    """Return red, green and blue of a class: its label's, or a colour that depends on the index alone and is the same in every picture."""
    if labels and (colour := labels[index].colour) is not None:
        return colour
    if index < len(PALETTE):
        return PALETTE[index]
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618033988749895 % 1, 0.55 + 0.4 * (index % 3) / 2, 0.65 + 0.3 * (index % 2))
    return round(255 * red), round(255 * green), round(255 * blue)  # the golden angle: neighbours differ


def _outline(pen: ImageDraw.ImageDraw, box: Rectangle, colour: tuple[int, int, int]) -> None:
    """Draw a coloured line between a dark and a light one, visible on any ground."""
    left, top, right, bottom = (round(value) for value in box)
    for grow, tint, thick in ((2, DARK, 1), (-LINE + 1, LIGHT, 1), (1, colour, LINE)):
        edges = left - grow, top - grow, right - 1 + grow, bottom - 1 + grow
        if edges[2] >= edges[0] and edges[3] >= edges[1]:
            pen.rectangle(edges, outline=tint, width=thick)


def _tag(pen, box: Rectangle, name: str, colour: tuple, size: tuple[int, int], taken: Sequence[Rectangle]) -> Rectangle:
    """Write a name on its class's colour where it covers least of the earlier names and of the box, and return its rectangle."""
    wide, high = font(TEXT).getlength(name) + 10, TEXT * DENSITY + 5
    left, top, right, bottom = box
    above, below, beside = (left, top - high), (left, bottom), ((left - wide, top), (right, top))
    inside = ((left, top), (right - wide, top), (left, bottom - high), (right - wide, bottom - high))
    rectangles = []
    for x, y in (above, *inside, below, *beside):
        x, y = min(max(x, 0), max(size[0] - wide, 0)), min(max(y, 0), max(size[1] - high, 0))
        rectangles.append((x, y, x + wide, y + high))
    covered = [4 * sum(_common(rectangle, other) for other in taken) + _common(rectangle, box) for rectangle in rectangles]
    best = rectangles[covered.index(min(covered))]  # the first of equals
    pen.rectangle(best, fill=colour, outline=DARK)
    pen.text((best[0] + 5, (best[1] + best[3]) / 2), name, fill=_contrast(colour), font=font(TEXT), anchor="lm")
    return best


def _common(first: Rectangle, second: Rectangle) -> float:
    width, height = min(first[2], second[2]) - max(first[0], second[0]), min(first[3], second[3]) - max(first[1], second[1])
    return max(width, 0) * max(height, 0)


def _contrast(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return dark or light, whichever has more contrast (the ratio of WCAG 2)."""
    linear = [(part / 255 / 12.92) if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return DARK if luminance > 0.179 else LIGHT


def _legend_rows(counts: dict[int, int], labels: tuple[Label, ...], width: int) -> list[list[tuple[float, tuple, str, str]]]:
    """Return the entries (left, colour, name, count) of each row of the legend, as many as fit; without objects, a row that says so."""
    rows: list[list[tuple[float, tuple, str, str]]] = [[]]
    x = float(MARGIN)
    for index, count in counts.items():
        name = shorten(label_name(labels, index), TEXT + 1, (width - 4 * MARGIN - 60) / DENSITY)
        wide = 26 + font(TEXT + 1).getlength(f"{name}  {count}") + 28
        if rows[-1] and x + wide > width:
            rows.append([])
            x = float(MARGIN)
        rows[-1].append((x, class_colour(index, labels), name, str(count)))
        x += wide
    return rows if counts else [[(float(MARGIN), PAPER, "nothing found", "")]]


def _legend(pen: ImageDraw.ImageDraw, row: list[tuple[float, tuple, str, str]], y: float) -> None:
    for x, colour, name, count in row:
        pen.rectangle((x, y - 8, x + 16, y + 8), fill=colour)
        pen.text((x + 26, y), name, fill=INK, font=font(TEXT + 1), anchor="lm")
        pen.text((x + 26 + font(TEXT + 1).getlength(name + "  "), y), count, fill=QUIET, font=font(TEXT + 1), anchor="lm")
