"""Preprocessing as a module: for tensors, on whatever device they are, and for pictures of any other kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from axialzoo.image import Picture, preprocess, preprocessed
from axialzoo.image.depth import check_range
from axialzoo.ops.torch.dispatch import is_traced
from axialzoo.spec import Preprocessing


class Preprocess(nn.Module):
    """Preprocesses a batch of pictures, as :func:`axialzoo.image.preprocess` does for each picture.

    Resizing is Pillow's, on eight bits per channel and on the CPU, so that the numbers are the same everywhere;
    pictures that have the model's size already are only scaled, on whatever device they are.

    Args:
        spec: Preprocessing of the model.

    Shapes:
        Tensors ``(N, C, H, W)`` or ``(C, H, W)``, uint8 or float, 0 to 255 (any numbers from 0 on where
        ``spec.per_image``), to float32 of ``spec.size`` (of the picture's own
        where ``spec.resize`` is ``"none"``). A path, a Pillow picture or an array ``(H, W, C)`` to ``(C, H, W)``; a list of any of
        these, or an array ``(N, H, W, C)``, to ``(N, C, H, W)``: see :func:`axialzoo.image.pictures.iter_images`.

    Example:
        >>> Preprocess(Preprocessing(size=(32, 32), resize="none"))(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).shape
        torch.Size([1, 3, 32, 32])
    """

    mean: Tensor
    std: Tensor

    if TYPE_CHECKING:

        def __call__(self, x: Tensor | Picture | Sequence[Tensor | Picture]) -> Tensor: ...

    def __init__(self, spec: Preprocessing):
        super().__init__()
        self.spec = spec
        self.register_buffer("mean", torch.tensor(spec.mean)[:, None, None], persistent=False)  # (C, 1, 1)
        self.register_buffer("std", torch.tensor(spec.std)[:, None, None], persistent=False)

    def forward(self, x: Tensor | Picture | Sequence[Tensor | Picture]) -> Tensor:
        if isinstance(x, (list, tuple)) and any(isinstance(picture, Tensor) for picture in x):
            return torch.stack([self(picture) for picture in x])
        if not isinstance(x, Tensor):
            batch = torch.from_numpy(preprocessed(x, self.spec)).to(self.mean)  # (N, C, H, W)
            return batch if isinstance(x, (list, tuple)) or getattr(x, "ndim", 0) == 4 else batch[0]
        channels = self.mean.shape[0]
        if x.dim() not in (3, 4) or x.shape[-3] != channels:
            raise ValueError(f"preprocessing: expected pictures of shape ([N, ]{channels}, H, W), found {tuple(x.shape)}")
        if x.dtype != torch.uint8 and not is_traced():
            check_range(x.detach().to("cpu", torch.float64 if x.dtype.is_floating_point else x.dtype).numpy(), self.spec.per_image)
        if self._resizes(x) or x.dtype == torch.uint16:
            return self._resized(x)
        x = x.flip(-3) if self.spec.channel_order == "bgr" else x
        return (x.to(self.mean.dtype) / 255 - self.mean) / self.std

    def _resizes(self, x: Tensor) -> bool:
        spec = self.spec
        if spec.per_image:  # stretching needs whole pictures of 8 bits, as resizing does
            return True
        return spec.resize != "none" and (tuple(x.shape[-2:]) != tuple(spec.size) or (spec.resize == "shorter" and spec.crop < 1))

    def _resized(self, x: Tensor) -> Tensor:
        batch = x.detach() if x.dim() == 4 else x.detach()[None]
        batch = batch.float() if batch.is_floating_point() else batch
        pictures = batch.cpu().movedim(1, -1).numpy()  # (N, H, W, C)
        out = torch.stack([torch.from_numpy(preprocess(picture, self.spec)) for picture in pictures]).to(self.mean)
        return out if x.dim() == 4 else out[0]
