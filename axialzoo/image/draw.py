"""A result picture: the photograph, what the model saw of it, and a bar for each of the likeliest classes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from axialzoo.files import atomic_write

SCALE = 2  # drawn at twice the size below, for sharp text on dense screens
PAPER, INK, QUIET, TRACK = (255, 255, 255), (28, 32, 40), (107, 114, 128), (238, 240, 244)
COLOURS = ((226, 88, 34), (37, 99, 170), (22, 128, 100), (120, 80, 160))  # one a framework
FIRST, REST = 1.0, 0.45  # strength of the likeliest class's bar, and of the others
MARGIN, GAP, ROW, COLUMN, PHOTO, INSET = 28, 36, 46, 330, 340, 84


def draw_prediction(
    image: Image.Image,
    predictions: Mapping[str, Sequence[tuple[str, float]]],
    path: str | os.PathLike[str] | None = None,
    *,
    model: str = "",
    model_view: Image.Image | None = None,
) -> Image.Image:
    """Draw the likeliest classes beside a photograph, a column for each framework.

    Args:
        image: The photograph.
        predictions: Heading (the framework) -> (label, probability) pairs, likeliest first.
        path: Where to write it, if anywhere; the suffix says the format.
        model: Its name, for the caption.
        model_view: What the model saw (:func:`axialzoo.image.model_view`), shown enlarged in a corner of the photograph.

    Returns:
        The picture, RGB.

    Raises:
        ValueError: for no predictions, or a suffix that is no picture format.

    Example:
        >>> from axialzoo.image import draw_prediction, load_image
        >>> picture = draw_prediction(load_image("docs/photos/chelsea.jpg"), {"PyTorch": [("cat", 0.9), ("dog", 0.1)]})
        >>> picture.mode
        'RGB'
    """
    if not predictions or not all(predictions.values()):
        raise ValueError("predictions: expected at least one heading with at least one (label, probability), found none")
    rows = max(len(column) for column in predictions.values())
    photo = _fit(image, PHOTO * 1.35, PHOTO)
    photo_width, photo_height = photo.width // SCALE, photo.height // SCALE
    body = max(photo_height, 40 + rows * ROW)
    width = MARGIN + photo_width + len(predictions) * (GAP + COLUMN) + MARGIN
    height = MARGIN + body + 58
    canvas = Image.new("RGB", (width * SCALE, height * SCALE), PAPER)
    paste(canvas, photo, MARGIN, MARGIN + (body - photo_height) // 2, radius=10)
    if model_view is not None:
        _inset(canvas, model_view, MARGIN + photo_width, MARGIN + (body + photo_height) // 2)
    for index, (heading, column) in enumerate(predictions.items()):
        left = MARGIN + photo_width + GAP + index * (GAP + COLUMN)
        _column(canvas, left, MARGIN + (body - 40 - rows * ROW) // 2, heading, column, COLOURS[index % len(COLOURS)])
    pen = ImageDraw.Draw(canvas)
    caption = shorten(_caption(image, model, model_view), 13, width - 2 * MARGIN - 80)
    text(pen, MARGIN, height - 26, caption, 13, QUIET, "lm")
    text(pen, width - MARGIN, height - 26, "axialzoo", 13, QUIET, "rm")
    if path is not None:
        write(canvas, Path(path))
    return canvas


def _column(canvas: Image.Image, left: float, top: float, heading: str, column: Sequence[tuple[str, float]], colour: tuple) -> None:
    pen = ImageDraw.Draw(canvas)
    pen.ellipse(scaled(left, top + 6, left + 11, top + 17), fill=colour)
    text(pen, left + 19, top + 12, heading, 17, INK, "lm")
    for index, (label, probability) in enumerate(column):
        y, tint = top + 40 + index * ROW, _mix(colour, FIRST if index == 0 else REST)
        text(pen, left, y + 9, shorten(label, 15, COLUMN - 70), 15, INK if index == 0 else QUIET, "lm")
        text(pen, left + COLUMN, y + 9, percent(probability), 15, INK if index == 0 else QUIET, "rm")
        _bar(canvas, left, y + 22, min(max(probability, 0.0), 1.0), tint)


def _bar(canvas: Image.Image, left: float, top: float, share: float, tint: tuple) -> None:
    """Draw a rounded track filled from the left, to scale even where only a sliver is filled."""
    bar = Image.new("RGB", (COLUMN * SCALE, 10 * SCALE), TRACK)
    bar.paste(tint, (0, 0, round(COLUMN * SCALE * share), bar.height))
    paste(canvas, bar, left, top, radius=5)


def percent(probability: float) -> str:
    """Format a share for people: never a false 100 % or 0 %."""
    if probability < 0.001:
        return "< 0.1 %" if probability > 0 else "0 %"
    if 0.9995 <= probability < 1:
        return "> 99.9 %"
    return f"{100 * probability:.1f} %"


def _caption(image: Image.Image, model: str, model_view: Image.Image | None) -> str:
    parts = [model] if model else []
    parts.append(f"photograph {image.width} x {image.height}")
    if model_view is not None:
        parts.append(f"the model sees the corner's {model_view.width} x {model_view.height}")
    return "   |   ".join(parts)


def _inset(canvas: Image.Image, model_view: Image.Image, right: float, bottom: float) -> None:
    """Draw the model's view, each of its pixels a square, framed in white in the photograph's lower right corner."""
    share = INSET / max(model_view.size)
    small = model_view.convert("RGB").resize(
        (max(round(model_view.width * share * SCALE), 1), max(round(model_view.height * share * SCALE), 1)), Image.Resampling.NEAREST
    )
    width, height = small.width / SCALE, small.height / SCALE
    left, top = right - width - 12, bottom - height - 12
    ImageDraw.Draw(canvas).rounded_rectangle(scaled(left - 3, top - 3, left + width + 3, top + height + 3), 6 * SCALE, fill=PAPER)
    paste(canvas, small, left, top, radius=4)


def _fit(image: Image.Image, width: float, height: float) -> Image.Image:
    """Resize the photograph to fit into a box of that size; hairlines keep a pixel of width."""
    share = min(width * SCALE / image.width, height * SCALE / image.height)
    smooth = Image.Resampling.LANCZOS if share < 4 else Image.Resampling.NEAREST  # a 1 x 1 picture stays a square
    return image.convert("RGB").resize((max(round(image.width * share), 1), max(round(image.height * share), 1)), smooth)


def paste(canvas: Image.Image, picture: Image.Image, left: float, top: float, radius: int) -> None:
    """Paste a picture with rounded corners onto a canvas."""
    mask = Image.new("L", picture.size, 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, picture.width - 1, picture.height - 1), radius * SCALE, fill=255)
    canvas.paste(picture, (round(left * SCALE), round(top * SCALE)), mask)


def text(pen: ImageDraw.ImageDraw, x: float, y: float, text: str, size: int, colour: tuple, anchor: str) -> None:
    """Write a text; positions and sizes are those before `SCALE`."""
    pen.text((x * SCALE, y * SCALE), text, fill=colour, font=font(size), anchor=anchor)


def shorten(text: str, size: int, width: float) -> str:
    """Cut a text with an ellipsis so that it fits into `width`."""
    if font(size).getlength(text) <= width * SCALE:
        return text
    while text and font(size).getlength(text + "...") > width * SCALE:
        text = text[:-1]
    return text + "..."


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font of a size before `SCALE`."""
    return ImageFont.load_default(size * SCALE)


def _mix(colour: tuple, strength: float) -> tuple:
    return tuple(round(strength * part + (1 - strength) * paper) for part, paper in zip(colour, PAPER))


def scaled(*box: float) -> tuple[float, ...]:
    """Return coordinates multiplied by `SCALE`."""
    return tuple(value * SCALE for value in box)


def picture_format(path: Path) -> str:
    """Return the format that the suffix of `path` names."""
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"):
        raise ValueError(f"{path}: expected a picture's suffix (.png, .jpg, .webp), found {path.suffix!r}")
    return kind


def write(picture: Image.Image, path: Path) -> None:
    """Write a picture whole or not at all, in the format that the suffix names."""
    kind = picture_format(path)
    with atomic_write(path) as temporary:
        picture.save(temporary, kind)
