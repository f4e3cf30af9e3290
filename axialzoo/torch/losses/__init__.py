"""Losses of the heads, mirrored in both frameworks."""

from axialzoo.torch.losses.classification import classification_loss
from axialzoo.torch.losses.detection import detection_loss
from axialzoo.torch.losses.loss_registry import loss_of, normalizer_of, register_loss
from axialzoo.torch.losses.mask_transformer import mask_transformer_loss
from axialzoo.torch.losses.segmentation import segmentation_loss
from axialzoo.torch.losses.semantic_segmentation import semantic_segmentation_loss

__all__ = [
    "classification_loss", "detection_loss", "loss_of", "mask_transformer_loss", "register_loss", "segmentation_loss",
    "semantic_segmentation_loss", "normalizer_of",
]  # fmt: skip
