"""A picture with its segments over it: a colour per class, outlines of objects, names with scores, and a legend."""

from __future__ import annotations

import colorsys
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from axialzoo.image.draw import INK, MARGIN, PAPER, QUIET, SCALE, font, paste, scaled, shorten, text, write
from axialzoo.spec.labels import Label, label_name

if TYPE_CHECKING:
    from axialzoo.tasks.results import Segmentation

VIEW = (560, 420)  # width and height that a picture is fitted into
LEGEND, ROW, GAP, HEAD = 190, 24, 20, 30
THING, STUFF = 0.45, 0.3  # strength of a class's colour over the picture
PALETTE = (
    (230, 75, 53), (56, 140, 227), (46, 168, 106), (243, 168, 38), (142, 99, 206), (20, 178, 190), (224, 92, 163), (150, 176, 46),
    (166, 108, 64), (44, 44, 120), (122, 24, 48), (24, 84, 62),
)  # fmt: skip


def class_colour(labels: tuple[Label, ...], index: int) -> tuple[int, int, int]:
    """Return the colour of class `index`: its label's, or a fixed one of an endless palette."""
    if labels and (colour := labels[index].colour) is not None:
        return colour
    if index < len(PALETTE):
        return PALETTE[index]
    hue = (index * 0.618034) % 1  # neighbours are far apart on the colour wheel
    red, green, blue = colorsys.hls_to_rgb(hue, (0.45, 0.6, 0.52)[index % 3], (0.75, 0.55)[index % 2])
    return round(255 * red), round(255 * green), round(255 * blue)


def overlay(picture: Image.Image, segments: Segmentation, size: tuple[int, int] | None = None, *, scores: bool = True) -> Image.Image:
    """Draw segments over a picture.

    Objects (segments of things) have an outline, light beside dark so that it is visible on any ground; the larger ones are named.
    Void is left as it is.

    Args:
        picture: The photograph.
        segments: Its map has the picture's size.
        size: Width and height of the result; None for the picture's own.
        scores: Whether names are followed by scores.

    Raises:
        ValueError: for a map of another size than the picture.
    """
    if segments.segmentation.shape != (picture.height, picture.width):
        height, width = segments.segmentation.shape
        raise ValueError(f"segments: expected a map of the picture's size {picture.width} x {picture.height}, found {width} x {height}")
    size = size or picture.size
    ids, index = np.unique(segments.segmentation, return_inverse=True)
    small = Image.fromarray(index.reshape(segments.segmentation.shape).astype(np.int32)).resize(size, Image.Resampling.NEAREST)
    index = np.asarray(small)  # (h, w): places in `ids`
    known = {segment["id"]: segment for segment in segments.segments_info}
    info = [known.get(id) for id in ids.tolist()]
    colours = [(0, 0, 0) if segment is None else class_colour(segments.categories, segment["label_id"]) for segment in info]
    colours = np.array(colours, np.float32)
    things = np.array([segment is not None and _is_thing(segments.categories, segment) for segment in info])
    strength = np.where(things, THING, [0 if segment is None else STUFF for segment in info]).astype(np.float32)
    strength = strength[index][..., None]  # (h, w, 1)
    canvas = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS), np.float32)
    canvas = canvas * (1 - strength) + colours[index] * strength  # (h, w, 3)
    outline = _outline(index, things, max(round(min(size) / 320), 1))
    canvas = np.where(outline[..., None] == 2, 0.35 * canvas, canvas)
    canvas = np.where(outline[..., None] == 1, 0.25 * colours[index] + 0.75 * 255, canvas)
    drawn = Image.fromarray(canvas.round().clip(0, 255).astype(np.uint8))
    _names(drawn, index, info, things, segments.categories, scores)
    return drawn


def _is_thing(labels: tuple[Label, ...], segment: Mapping) -> bool:
    return not labels or labels[segment["label_id"]].thing


def _outline(index: np.ndarray, things: np.ndarray, width: int) -> np.ndarray:
    """Return (h, w): 1 on the inner border of an object, 2 on a border of that width around it, else 0."""
    is_object = things[index]
    border = np.zeros(index.shape, bool)
    for axis in (0, 1):
        a, b = np.moveaxis(index, axis, 0)[:-1], np.moveaxis(index, axis, 0)[1:]
        differs = a != b
        np.moveaxis(border, axis, 0)[:-1] |= differs
        np.moveaxis(border, axis, 0)[1:] |= differs
    inner, outer = border & is_object, border & is_object
    for _ in range(width):
        outer = _dilate(outer)
    for _ in range(width - 1):
        inner = _dilate(inner) & is_object
    return np.where(inner, 1, np.where(outer, 2, 0))


def _dilate(mask: np.ndarray) -> np.ndarray:
    """Return the mask grown by one pixel on each side."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def _names(drawn: Image.Image, index: np.ndarray, info: list, things: np.ndarray, labels: tuple[Label, ...], scores: bool) -> None:
    """Write names of objects in their widest row, where they fit, in white with a dark edge; scores alone if all have one class."""
    pen, letters = ImageDraw.Draw(drawn), font(11)
    several = len({info[place]["label_id"] for place in np.flatnonzero(things)}) > 1
    for place in np.flatnonzero(things):
        rows, columns = np.nonzero(index == place)
        score = info[place].get("score")
        number = [f"{score:.2f}"] if scores and score is not None else []
        words = [" ".join([label_name(labels, info[place]["label_id"]), *number])] if several else []
        widths = np.bincount(rows) if len(rows) else np.zeros(1)
        fitting = [text for text in [*words, *number] if letters.getlength(text) < widths.max() and np.ptp(rows) > 13 * SCALE]
        if fitting:
            inner = int(np.median(np.flatnonzero(widths >= 0.95 * widths.max())))
            spot = (float(np.median(columns[rows == inner])), float(inner))
            pen.text(spot, fitting[0], fill=PAPER, font=letters, anchor="mm", stroke_width=SCALE, stroke_fill=INK)


def draw_segments(
    picture: Image.Image, segments: Segmentation, path: str | os.PathLike[str] | None = None, *, model: str = "", scores: bool = True
) -> Image.Image:
    """Draw the segments of a picture as an overlay, and a legend with the number of objects or the area of each class.

    Args:
        picture: The photograph.
        segments: What a model says of it, or the ground truth.
        path: Where to write it, if anywhere; the suffix says the format.
        model: Its name, for the caption.
        scores: Whether objects are told with scores.

    Example:
        >>> import numpy as np
        >>> from PIL import Image
        >>> from axialzoo.image.draw_segments import draw_segments
        >>> from axialzoo.tasks.results import Segments
        >>> nothing = Segments(np.zeros((30, 40), np.int32), [])
        >>> draw_segments(Image.new("RGB", (40, 30)), nothing).mode
        'RGB'
    """
    return _sheet(picture, {model: segments}, path, scores, with_picture=False)


def draw_views(
    picture: Image.Image, views: Mapping[str, Segmentation], path: str | os.PathLike[str] | None = None, *, model: str = ""
) -> Image.Image:
    """Draw several results of a picture side by side under their headings; arguments as of `draw_segments`."""
    named = {f"{model} {heading}".strip() if len(views) > 1 else model or heading: segmentation for heading, segmentation in views.items()}
    return _sheet(picture, named, path, scores=True, with_picture=False)


def draw_comparison(
    picture: Image.Image,
    annotation: Segmentation,
    prediction: Segmentation,
    path: str | os.PathLike[str] | None = None,
    *,
    model: str = "prediction",
) -> Image.Image:
    """Draw the picture, the ground truth and the prediction side by side; arguments as of `draw_segments`.

    One legend is for both; its amounts are what the model says.
    """
    return _sheet(picture, {"ground truth": annotation, model: prediction}, path, scores=True, with_picture=True)


def _sheet(picture: Image.Image, views: Mapping[str, Segmentation], path, scores: bool, *, with_picture: bool) -> Image.Image:
    share = min(VIEW[0] * SCALE / picture.width, VIEW[1] * SCALE / picture.height)
    size = max(round(picture.width * share), 1), max(round(picture.height * share), 1)
    panels = {"picture": picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)} if with_picture else {}
    for heading, segments in views.items():
        panels[heading] = overlay(picture, segments, size, scores=scores and heading != "ground truth")
    width, height = size[0] // SCALE, size[1] // SCALE
    rows = _legend(list(views.values())[-1], views.get("ground truth"), (height - 8) // ROW)
    head = HEAD if any(panels) else 0
    canvas = Image.new(
        "RGB", (_pixels(2 * MARGIN + len(panels) * (width + GAP) + LEGEND * bool(rows)), _pixels(2 * MARGIN + head + height)), PAPER
    )
    pen = ImageDraw.Draw(canvas)
    for number, (heading, panel) in enumerate(panels.items()):
        left = MARGIN + number * (width + GAP)
        text(pen, left, MARGIN + 8, shorten(heading, 15, width), 15, INK, "lm")
        paste(canvas, panel, left, MARGIN + head, radius=6)
    left = MARGIN + len(panels) * (width + GAP)
    for number, (colour, name, amount) in enumerate(rows):
        y = MARGIN + head + 12 + number * ROW
        if colour is not None:
            pen.rounded_rectangle(scaled(left, y - 7, left + 14, y + 7), 3 * SCALE, fill=colour)
        room = LEGEND - 30 - font(12).getlength(amount) / SCALE
        text(pen, left + 22, y, shorten(name, 13, room), 13, INK if colour is not None else QUIET, "lm")
        text(pen, left + LEGEND, y, amount, 12, QUIET, "rm")
    if path is not None:
        write(canvas, Path(path))
    return canvas


def _legend(segments: Segmentation, annotation: Segmentation | None, most: int) -> list[tuple[tuple | None, str, str]]:
    """Return colour, name and amount of each class that occurs, the largest first; a last row without colour counts those without room."""
    areas = [_areas(segmentation) for segmentation in (segments, annotation) if segmentation is not None]
    objects = Counter(segment["label_id"] for segment in segments.segments_info if _is_thing(segments.categories, segment))
    rows = []
    for index, _ in sum(areas, Counter()).most_common():
        thing = not segments.categories or segments.categories[index].thing
        amount = str(objects[index]) if thing else f"{100 * areas[0][index] / segments.segmentation.size:.0f} %"
        rows.append((class_colour(segments.categories, index), label_name(segments.categories, index), amount))
    return rows if len(rows) <= most else [*rows[: most - 1], (None, f"and {len(rows) - most + 1} more", "")]


def _areas(segments: Segmentation) -> Counter[int]:
    """Count the pixels of each class that has segments."""
    known = {segment["id"]: segment["label_id"] for segment in segments.segments_info}
    pixels_per_class: Counter[int] = Counter()
    for id, pixels in zip(*(values.tolist() for values in np.unique(segments.segmentation, return_counts=True))):
        if id in known:
            pixels_per_class[known[id]] += pixels
    return pixels_per_class


def _pixels(length: float) -> int:
    return round(length * SCALE)
