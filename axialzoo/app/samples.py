"""The sample pictures of the page: those of ``docs/photos``, which install as ``axialzoo/app/samples``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

INSTALLED = Path(__file__).with_name("samples")
IN_CLONE = Path(__file__).resolve().parents[2] / "docs" / "photos"


@dataclass(frozen=True)
class Sample:
    """A sample picture.

    Attributes:
        path: Path of the file.
        title: Title of the picture.
        alt: Alternative text.
        model: Name of a model for such pictures.
    """

    path: Path
    title: str
    alt: str
    model: str


@cache
def samples() -> tuple[Sample, ...]:
    """Return all samples, in the order of the page.

    Example:
        >>> samples()[0].title
        'Cat'
    """
    folder = INSTALLED if INSTALLED.is_dir() else IN_CLONE
    entries = json.loads((folder / "samples.json").read_text(encoding="utf-8"))
    return tuple(Sample(folder / entry["file"], entry["title"], entry["alt"], entry["model"]) for entry in entries)
