"""The heads in PyTorch: what follows a backbone. One file each, as in ``axialzoo/spec/heads``."""

from axialzoo.torch.heads.classifier import Classifier
from axialzoo.torch.heads.fcos import FCOS
from axialzoo.torch.heads.head_module import HeadModule, make_head, register_head
from axialzoo.torch.heads.mask_transformer import MaskTransformer
from axialzoo.torch.heads.panoptic import Panoptic
from axialzoo.torch.heads.unet import UNet

__all__ = ["FCOS", "Classifier", "HeadModule", "MaskTransformer", "Panoptic", "UNet", "make_head", "register_head"]
