"""Class and mask of each slot, from pixels and from the slots' embeddings (MaX-DeepLab, arXiv:2012.00759, section 3.1)."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from axialzoo.spec import Norm
from axialzoo.torch.heads.decoder import PredictionHead
from axialzoo.torch.norm import BatchNorm
from axialzoo.torch.tokens import TokenNorm

VOID = 0.9  # initial probability of "no class"


class MaskPredictor(nn.Module):
    """Pixel features of length 1, their products with the slots' mask kernels, and the slots' classes.

    Args:
        inputs: Channels of the pixels.
        queries: Channels of the slots' embeddings.
        hidden: Channels before the last convolution of the pixels.
        outputs: Channels of pixel features and mask kernels.
        classes: Number of classes without void.
        norm, activation, kernel: Of the layers.

    Shapes:
        Pixels ``(N, inputs, H, W)``, embeddings of classes and of masks ``(N, slots, queries)`` each, to ``class_logits``
        ``(N, slots, classes + 1)``, ``mask_logits`` ``(N, slots, H, W)`` and ``pixel_feature`` ``(N, outputs, H, W)``.
    """

    def __init__(self, inputs: int, queries: int, hidden: int, outputs: int, classes: int, norm: Norm, activation: str, kernel: int):
        super().__init__()
        self.pixel = PredictionHead(inputs, hidden, outputs, norm, activation, kernel)
        self.pixel_norm = BatchNorm(outputs, norm)
        self.mask = TokenNorm(queries, outputs, norm)
        self.mask_norm = BatchNorm(1, norm)
        self.classes = nn.Linear(queries, classes + 1)
        self.void_bias = math.log(classes * VOID / (1 - VOID))
        nn.init.constant_(self.mask_norm.weight, 0.1)
        nn.init.normal_(self.classes.weight, std=0.01)
        nn.init.zeros_(self.classes.bias)

    def forward(self, x: Tensor, class_embedding: Tensor, mask_embedding: Tensor, pre_logits: bool = False) -> dict[str, Tensor]:
        feature = self.pixel_norm(self.pixel(x))  # (N, outputs, H, W)
        feature = feature * feature.square().sum(1, keepdim=True).clamp(min=1e-12).rsqrt()
        masks = self.mask(mask_embedding) @ feature.flatten(2)  # (N, slots, HW)
        masks = self.mask_norm(masks.unsqueeze(1)).squeeze(1).unflatten(2, x.shape[2:])  # (N, slots, H, W)
        classes = class_embedding if pre_logits else self.logits(class_embedding)  # (N, slots, classes + 1)
        return {"class_logits": classes, "mask_logits": masks, "pixel_feature": feature}

    def logits(self, embedding: Tensor) -> Tensor:
        """Compute the class logits; void has a bias of its own: (N, slots, queries) to (N, slots, classes + 1)."""
        logits = self.classes(embedding)
        return logits + F.pad(logits.new_full((1,), self.void_bias), (logits.shape[-1] - 1, 0))
