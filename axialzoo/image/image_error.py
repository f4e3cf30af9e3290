"""The error of pictures that cannot be used."""

from __future__ import annotations


class ImageError(ValueError):
    """A file that is not a picture, or not one that can be used."""
