"""U-Net's decoder (arXiv:1505.04597) and the local branch of the Medical Transformer (arXiv:2102.10662)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from axialzoo.spec import Backbone
from axialzoo.spec.heads.unet import UNet as Spec
from axialzoo.spec.heads.unet import decoder_widths
from axialzoo.torch.backbone import ResidualStage
from axialzoo.torch.heads.head_module import HeadModule, register_head
from axialzoo.torch.stem import Stem


@register_head(Spec)
class UNet(HeadModule[dict[str, Tensor]]):
    """Endpoints and the image to ``semantic``.

    Shapes:
        The endpoints, (N, C, H', W') each, and the image (N, in_channels, H, W), to (N, num_classes, H, W) logits. They are float32
        under autocast too.
    """

    def __init__(self, spec: Spec, backbone: Backbone):
        super().__init__(spec)
        self.decoder = UNetDecoder(backbone, spec.channels, spec.bottleneck)
        self.local = None if spec.local is None else LocalBranch(backbone, spec)
        self.merge = None if spec.local is None else nn.Conv2d(spec.channels, spec.channels, 3, padding=1)
        self.classes = nn.Conv2d(spec.channels, spec.num_classes, 1)

    def forward(self, features: Sequence[Tensor], pre_logits: bool = False) -> dict[str, Tensor]:
        *endpoints, image = features
        x = self.decoder(endpoints, image)  # (N, channels, H, W)
        if self.local is not None and self.merge is not None:
            x = F.relu(self.merge(x + self.local(x, image)))  # (N, channels, H, W)
        if pre_logits:
            return {"semantic": x}
        device = "cpu" if x.is_meta else x.device.type  # meta tensors have no autocast
        with torch.autocast(device, enabled=False):
            return {"semantic": self.classes(x.to(self.classes.weight.dtype))}

    def get_classifier(self) -> nn.Module:
        return self.classes


class UNetDecoder(nn.ModuleList):
    """A convolution, upsampling, ReLU and the sum with an endpoint, from the coarsest endpoint to the image.

    Shapes:
        The endpoints, (N, C, H', W') each, fine to coarse, and an image (N, ..., H, W), for its size, to (N, channels, H, W).
    """

    def __init__(self, backbone: Backbone, channels: int, bottleneck: bool):
        super().__init__()
        self.bottleneck = bottleneck
        for index, (inputs, outputs) in enumerate(decoder_widths(backbone, channels, bottleneck)):
            self.append(nn.Conv2d(inputs, outputs, 3, 2 if bottleneck and index == 0 else 1, 1))

    def forward(self, endpoints: Sequence[Tensor], image: Tensor) -> Tensor:
        x, skips = endpoints[-1], list(endpoints if self.bottleneck else endpoints[:-1])
        for conv in self:
            skip = skips.pop() if skips else None
            x = F.relu(upsample_bilinear(conv(x), image if skip is None else skip))  # (N, C, H', W')
            x = x if skip is None else x + skip
        return x


class LocalBranch(nn.Module):
    """A separate U-Net on the picture's patches, row by row.

    In evaluation it computes all patches as one batch. In training it computes one after the other, so that the norms take the statistics
    of each patch position by itself and update their running statistics once a patch, as upstream does.

    Shapes:
        The features of the global branch (N, channels, H, W) and the image (N, in_channels, H, W) to (N, channels, H, W).
    """

    def __init__(self, backbone: Backbone, head: Spec):
        super().__init__()
        assert head.local is not None
        self.spec = spec = head.local
        encoder = spec.encoder(backbone)
        self.stem = Stem(encoder)
        self.stages = nn.ModuleList()
        channels = encoder.stem_channels
        for stage in spec.stages:
            self.stages.append(ResidualStage(channels, stage, encoder))
            channels = stage.channels
        self.decoder = UNetDecoder(encoder, head.channels, spec.bottleneck)
        self.unused = nn.ModuleList([nn.Conv2d(width, width, 1) for width in spec.unused_widths()])
        self.classes = nn.Conv2d(head.channels, head.num_classes, 1) if spec.unused else None
        for module in (self.unused, self.classes):
            if module is not None:
                module.requires_grad_(False)  # never called

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        grid, (height, width) = self.spec.grid, image.shape[2:]
        rows, columns = self.spec.patch(height), self.spec.patch(width)
        patches = split_patches(fit(image, grid * rows, grid * columns), grid)  # (grid², N, in_channels, rows, columns)
        if self.training:
            local = torch.stack([self.patch_features(patch) for patch in patches])  # (grid², N, channels, rows, columns)
        else:
            local = self.patch_features(patches.flatten(0, 1)).unflatten(0, (grid**2, -1))  # (grid², N, channels, rows, columns)
        local = join_patches(local, grid)  # (N, channels, grid rows, grid columns)
        if self.spec.patches == "whole":
            return local[:, :, :height, :width]
        local = local[:, :, :height, :width]
        right, below = x[:, :, : local.shape[2], local.shape[3] :], x[:, :, local.shape[2] :]
        return torch.cat([torch.cat([local, right], 3), below], 2)  # (N, channels, H, W)

    def patch_features(self, patch: Tensor) -> Tensor:
        """Compute the features of a patch: (N, in_channels, rows, columns) to (N, channels, rows, columns)."""
        x, endpoints = self.stem(patch), []
        for stage in self.stages:
            x, _ = stage(x)  # (N, C, H, W); there are no memory tokens
            endpoints.append(x)
        return self.decoder(endpoints, patch)


def upsample_bilinear(x: Tensor, finer: Tensor) -> Tensor:
    """Double height and width with half-pixel centres and crop to `finer`: (N, C, ceil(H / 2), ceil(W / 2)) to (N, C, H, W)."""
    x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    return x[:, :, : finer.shape[2], : finer.shape[3]]


def fit(image: Tensor, height: Any, width: Any) -> Tensor:
    """Crop, or pad with zeros, at the bottom and on the right: (N, C, H, W) to (N, C, height, width)."""
    image = image[:, :, :height, :width]
    return F.pad(image, (0, width - image.shape[3], 0, height - image.shape[2]))


def split_patches(image: Tensor, grid: int) -> Tensor:
    """Cut images into patches, row by row: (N, C, grid H, grid W) to (grid², N, C, H, W)."""
    x = image.unflatten(2, (grid, -1)).unflatten(4, (grid, -1))  # (N, C, grid, H, grid, W)
    return x.permute(2, 4, 0, 1, 3, 5).flatten(0, 1)


def join_patches(patches: Tensor, grid: int) -> Tensor:
    """Undo `split_patches`: (grid², N, C, H, W) to (N, C, grid H, grid W)."""
    x = patches.unflatten(0, (grid, grid))  # (grid, grid, N, C, H, W)
    return x.permute(2, 3, 0, 4, 1, 5).flatten(4, 5).flatten(2, 3)
