"""The heads in Keras: what follows a backbone. One file each, as in ``axialzoo/spec/heads``."""

from axialzoo.keras.heads.classifier import Classifier
from axialzoo.keras.heads.fcos import FCOS
from axialzoo.keras.heads.head_module import HeadModule, make_head, register_head
from axialzoo.keras.heads.mask_transformer import MaskTransformer
from axialzoo.keras.heads.panoptic import Panoptic
from axialzoo.keras.heads.unet import UNet

__all__ = ["FCOS", "Classifier", "HeadModule", "MaskTransformer", "Panoptic", "UNet", "make_head", "register_head"]
