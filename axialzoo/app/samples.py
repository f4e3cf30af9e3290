"""The pictures that the page offers: those of ``docs/photos``, which install as ``axialzoo/app/samples``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

INSTALLED = Path(__file__).with_name("samples")
IN_CLONE = Path(__file__).resolve().parents[2] / "docs" / "photos"


@dataclass(frozen=True)
class Sample:
    """A picture to try.

    Attributes:
        path: Where it lies.
        title: What it is called.
        alt: What is to be seen on it, for those who do not see it.
        model: The name of a model that is made for such pictures.
    """

    path: Path
    title: str
    alt: str
    model: str


@cache
def samples() -> tuple[Sample, ...]:
    """All of them, in the order in which they are shown.

    Example:
        >>> samples()[0].title
        'Cat'
    """
    folder = INSTALLED if INSTALLED.is_dir() else IN_CLONE
    entries = json.loads((folder / "samples.json").read_text(encoding="utf-8"))
    return tuple(Sample(folder / entry["file"], entry["title"], entry["alt"], entry["model"]) for entry in entries)
