"""Plans of the heads, each registered for its spec."""

from axialzoo.native.heads import classifier, fcos, mask_transformer, panoptic, unet  # noqa: F401
from axialzoo.native.heads.registry import PLANS

__all__ = ["PLANS"]
