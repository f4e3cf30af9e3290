"""Pictures: read them, make model inputs of them, draw results. numpy and Pillow; no framework."""

from axialzoo.image.draw import draw_prediction
from axialzoo.image.pictures import Picture, pictures_of, preprocessed
from axialzoo.image.prepare import preprocess, seen, stretched
from axialzoo.image.read import ACCEPTED, ImageError, load_image, notes
from axialzoo.image.resampling import resample, resampling_weights
from axialzoo.image.view import View, view_of

__all__ = [
    "ACCEPTED", "ImageError", "Picture", "View", "draw_prediction", "load_image", "notes", "pictures_of", "preprocess", "preprocessed",
    "resample", "resampling_weights", "seen", "stretched", "view_of",
]  # fmt: skip
