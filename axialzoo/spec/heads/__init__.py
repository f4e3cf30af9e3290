"""The heads, one file each: what may follow a backbone. A tagged union, told apart by ``kind``."""

from axialzoo.spec.heads.classifier import Classifier
from axialzoo.spec.heads.fcos import FCOS
from axialzoo.spec.heads.head import HEADS, Head, Output, head_named, register_head
from axialzoo.spec.heads.mask_transformer import MaskTransformer
from axialzoo.spec.heads.panoptic import Panoptic
from axialzoo.spec.heads.unet import UNet

__all__ = ["FCOS", "HEADS", "Classifier", "Head", "MaskTransformer", "Output", "Panoptic", "UNet", "head_named", "register_head"]
