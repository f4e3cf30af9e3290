"""Pictures: read them, make model inputs of them, draw results. numpy and Pillow; no framework."""

from axialzoo.image.draw import draw_prediction
from axialzoo.image.pictures import Picture, iter_images, preprocessed
from axialzoo.image.prepare import model_view, preprocess, stretch_percentiles
from axialzoo.image.read import ACCEPTED, ImageError, image_notes, load_image
from axialzoo.image.resampling import resample, resampling_weights
from axialzoo.image.view import ResizeTransform, resize_transform

__all__ = [
    "ACCEPTED", "ImageError", "Picture", "ResizeTransform", "draw_prediction", "load_image", "image_notes", "iter_images", "preprocess",
    "preprocessed", "resample", "resampling_weights", "model_view", "stretch_percentiles", "resize_transform",
]  # fmt: skip
