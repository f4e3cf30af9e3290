"""A sheet of small pictures of a data set with their labels drawn."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from axialzoo.data.dataset import Dataset, Sample
from axialzoo.image import stretch_percentiles
from axialzoo.image.depth import depth_of
from axialzoo.image.draw import INK, PAPER, font, shorten
from axialzoo.image.draw import SCALE as DENSITY
from axialzoo.image.draw_boxes import class_colour
from axialzoo.image.draw_segments import overlay
from axialzoo.tasks.results import Detections, Segmentation

CELL, CAPTION, GAP = 300, 30, 12  # pixels
COLUMNS = 4
PICTURES = 24


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
    rows = -(-len(chosen) // COLUMNS)
    width, height = CELL + GAP, CELL + CAPTION + GAP
    sheet = Image.new("RGB", (min(len(chosen), COLUMNS) * width + GAP, rows * height + GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, (split, sample) in enumerate(chosen):
        left, top = GAP + number % COLUMNS * width, GAP + number // COLUMNS * height
        drawn = _drawn(sample)
        sheet.paste(drawn, (left + (CELL - drawn.width) // 2, top + (CELL - drawn.height) // 2))
        name = sample.name.replace("\\", "/").rpartition("/")[2]
        text = f"{data.labels[sample.truth].name}  ({split}, {name})" if isinstance(sample.truth, int) else f"{split}, {name}"
        pen.text((left + 2, top + CELL + CAPTION / 2), shorten(text, 7, (CELL - 4) / DENSITY), fill=INK, font=font(7), anchor="lm")
    return sheet


def _drawn(sample: Sample) -> Image.Image:
    """Return a sample's picture in a cell, with its labels."""
    picture = sample.picture if depth_of(sample.picture) is None else stretch_percentiles(sample.picture)
    scale = CELL / max(picture.size)
    size = (max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))
    if isinstance(sample.truth, Segmentation):
        return overlay(picture, sample.truth, size, scores=False)
    drawn = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    if isinstance(sample.truth, Detections):
        pen = ImageDraw.Draw(drawn)
        letters = font(6)
        for box, label, name in zip(sample.truth.boxes * scale, sample.truth.labels.tolist(), sample.truth.label_names):
            colour = class_colour(label, sample.truth.categories)
            left, top, right, bottom = box.round().astype(int).tolist()
            pen.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), outline=colour, width=2)
            if right - left >= letters.getlength(name):
                pen.text((left + 3, top + 1), name, fill=(255, 255, 255), font=letters, stroke_width=1, stroke_fill=colour)
    return drawn
