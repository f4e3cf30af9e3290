"""A sheet of small pictures of a data set with their labels drawn."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from axialzoo.data.dataset import Dataset, Sample
from axialzoo.files import printable
from axialzoo.image import stretch_percentiles
from axialzoo.image.depth import depth_of
from axialzoo.image.draw import INK, PAPER, font, shorten
from axialzoo.image.draw import SCALE as DENSITY
from axialzoo.image.draw_boxes import class_colour
from axialzoo.image.draw_segments import class_colour as segment_colour
from axialzoo.image.draw_segments import overlay
from axialzoo.tasks.results import Detections, Segmentation

CELL, CAPTION, GAP, LEGEND_CELL = 300, 30, 12, 208  # pixels
COLUMNS = 4
PICTURES = 24
LEGEND = 60  # classes that the legend names


def contact_sheet(data: Dataset, pictures: int = PICTURES) -> Image.Image:
    """Draw samples spread evenly over each split, with their labels: boxes with names, segments in colours, the name of a class.

    Args:
        pictures: Number of samples, shared by the splits.
    """
    splits = {name: split for name, split in data.splits.items() if name not in data.about.get("same_as", {})}
    each = max(pictures // len(splits), 1)
    chosen = [
        (name, split[index])
        for name, split in splits.items()
        for index in np.unique(np.linspace(0, len(split) - 1, min(each, len(split))).round().astype(int)).tolist()
    ]
    cells = [_drawn(sample) for _, sample in chosen]
    rows = [cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)]
    heights = [max(cell.height for cell in row) + CAPTION + GAP for row in rows]
    legend = _legend(data, min(len(chosen), COLUMNS) * (CELL + GAP))
    sheet = Image.new("RGB", (min(len(chosen), COLUMNS) * (CELL + GAP) + GAP, sum(heights) + GAP + legend.height), PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, ((split, sample), cell) in enumerate(zip(chosen, cells)):
        left, top = GAP + number % COLUMNS * (CELL + GAP), GAP + sum(heights[: number // COLUMNS])
        sheet.paste(cell, (left + (CELL - cell.width) // 2, top))
        name = sample.name.replace("\\", "/").rpartition("/")[2]
        text = f"{data.labels[sample.annotation].name}  ({split}, {name})" if isinstance(sample.annotation, int) else f"{split}, {name}"
        bottom = top + heights[number // COLUMNS] - GAP - CAPTION / 2
        pen.text((left + 2, bottom), shorten(printable(text), 7, (CELL - 4) / DENSITY), fill=INK, font=font(7), anchor="lm")
    sheet.paste(legend, (GAP, sum(heights) + GAP))
    return sheet


def _legend(data: Dataset, width: int) -> Image.Image:
    """Return the colour of each class beside its name; nothing for classes of whole pictures, which the captions name."""
    colour_of = segment_colour if data.kind == "segments" else lambda labels, index: class_colour(index, labels)
    entries = [] if data.kind == "classes" else list(enumerate(data.labels))[:LEGEND]
    per_row = max(width // LEGEND_CELL, 1)
    legend = Image.new("RGB", (width, -(-len(entries) // per_row) * CAPTION), PAPER)
    pen = ImageDraw.Draw(legend)
    for number, (index, label) in enumerate(entries):
        left, middle = number % per_row * LEGEND_CELL, number // per_row * CAPTION + CAPTION // 2
        pen.rectangle((left, middle - 8, left + 16, middle + 8), fill=colour_of(data.labels, index))
        pen.text((left + 24, middle), shorten(label.name, 7, (LEGEND_CELL - 30) / DENSITY), fill=INK, font=font(7), anchor="lm")
    return legend


def _drawn(sample: Sample) -> Image.Image:
    """Return a sample's picture in a cell, with its labels."""
    picture = sample.picture if depth_of(sample.picture) is None else stretch_percentiles(sample.picture)
    scale = CELL / max(picture.size)
    size = (max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))
    if isinstance(sample.annotation, Segmentation):
        return overlay(picture, sample.annotation, size, scores=False)
    drawn = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    if isinstance(sample.annotation, Detections):
        pen = ImageDraw.Draw(drawn)
        letters = font(6)
        for box, label, name in zip(sample.annotation.boxes * scale, sample.annotation.labels.tolist(), sample.annotation.label_names):
            colour = class_colour(label, sample.annotation.categories)
            left, top, right, bottom = box.round().astype(int).tolist()
            pen.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), outline=colour, width=2)
            if right - left >= letters.getlength(name):
                pen.text((left + 3, top + 1), name, fill=(255, 255, 255), font=letters, stroke_width=1, stroke_fill=colour)
    return drawn
