"""Pictures: read them, make model inputs of them, draw results. numpy and Pillow; no framework."""

from axialzoo.image.draw import draw_prediction
from axialzoo.image.prepare import preprocess, seen, stretched
from axialzoo.image.read import ACCEPTED, ImageError, load_image, notes
from axialzoo.image.resampling import resample, resampling_weights
from axialzoo.image.view import View, view_of

__all__ = [
    "ACCEPTED", "ImageError", "View", "draw_prediction", "load_image", "notes", "preprocess", "resample", "resampling_weights", "seen",
    "stretched", "view_of",
]  # fmt: skip
