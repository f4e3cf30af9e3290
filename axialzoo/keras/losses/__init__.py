"""Losses beside the heads, mirrored in both frameworks."""

from axialzoo.keras.losses.base import defaults_of, loss_of, refuse_probabilities, register_defaults, register_loss
from axialzoo.keras.losses.classification import classification_loss
from axialzoo.keras.losses.detection import detection_loss
from axialzoo.keras.losses.mask_transformer import mask_transformer_loss
from axialzoo.keras.losses.segmentation import segmentation_loss

__all__ = [
    "classification_loss", "defaults_of", "detection_loss", "loss_of", "mask_transformer_loss", "refuse_probabilities", "register_defaults",
    "register_loss",
    "segmentation_loss",
]  # fmt: skip
