"""Pictures: read them, make model inputs of them, draw results. numpy and Pillow; no framework."""

from axialzoo.image.draw import draw_prediction
from axialzoo.image.prepare import Plan, plan, preprocess, seen
from axialzoo.image.read import ACCEPTED, ImageError, load_image, notes
from axialzoo.image.resampling import resample, resampling_weights

__all__ = [
    "ACCEPTED", "ImageError", "Plan", "draw_prediction", "load_image", "notes", "plan", "preprocess", "resample",
    "resampling_weights", "seen",
]  # fmt: skip
