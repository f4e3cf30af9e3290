"""Losses of the heads, mirrored in both frameworks."""

from axialzoo.keras.losses.classification import classification_loss
from axialzoo.keras.losses.compile import defaults_of, refuse_one_hot, refuse_probabilities, register_defaults
from axialzoo.keras.losses.detection import detection_loss
from axialzoo.keras.losses.loss_registry import loss_of, register_loss
from axialzoo.keras.losses.mask_transformer import mask_transformer_loss
from axialzoo.keras.losses.segmentation import segmentation_loss
from axialzoo.keras.losses.semantic_segmentation import semantic_segmentation_loss

__all__ = [
    "classification_loss", "defaults_of", "detection_loss", "loss_of", "mask_transformer_loss", "refuse_one_hot",
    "refuse_probabilities", "register_defaults", "register_loss", "segmentation_loss", "semantic_segmentation_loss",
]  # fmt: skip
