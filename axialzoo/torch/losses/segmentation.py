"""Losses of segmentation: those of Panoptic-DeepLab (arXiv:1911.10194), as deeplab2 computes them.

Targets come from :func:`axialzoo.tasks.segmentation.targets`, collated to batches, with ``offset`` transposed to (N, 2, H, W).
Losses are computed in float32, or in float64 where the maps are.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from axialzoo.spec.heads.loss_inputs import check_class_weights, check_names, check_size, stride_between
from axialzoo.spec.heads.panoptic import Panoptic
from axialzoo.torch.losses.loss_registry import register_loss


@register_loss(Panoptic)
def segmentation_loss(
    outputs: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    head: Panoptic | None = None,
    *,
    ignore: int = -1,
    weights: tuple[float, float, float] = (1.0, 200.0, 0.01),
    top_k: tuple[float, float, float] = (0.2, 1.0, 1.0),
    class_weights: tuple[float, ...] | None = None,
) -> dict[str, Tensor]:
    """Compute all losses and their sum, means over the batch.

    Args:
        outputs: ``semantic`` (N, C, H, W) logits; ``center`` (N, 1, H, W) and ``offset`` (N, 2, H, W) or neither.
        targets: The same names without channels but for ``offset``'s two, and ``..._weight`` of each.
        head: Spec of the head, which is not read.
        ignore: The semantic target that does not count.
        weights: Weights of the semantic, the center and the offset loss.
        top_k: Share of the pixels, those with the highest losses, over which each loss is averaged.
        class_weights: Weight of the pixels of each class in the semantic loss, for rare classes; None for 1.

    Returns:
        Scalars: ``semantic``, ``center``, ``offset`` (weighted) and ``total``.

    Raises:
        ValueError: for a map without a target, only one of ``center`` and ``offset``, or another number of weights than of classes.
    """
    check_names(outputs, targets)
    logits, target, weight = outputs["semantic"], targets["semantic"], targets["semantic_weight"]
    losses = {"semantic": semantic_loss(logits, target, weight, ignore, top_k[0], class_weights)}
    if "center" in outputs:
        losses["center"] = center_loss(outputs["center"], targets["center"], targets["center_weight"], top_k[1])
        losses["offset"] = offset_loss(outputs["offset"], targets["offset"], targets["offset_weight"], top_k[2])
    means = {name: weight * values.mean() for (name, values), weight in zip(losses.items(), weights)}
    return {**means, "total": sum(means.values(), torch.zeros_like(means["semantic"]))}


def semantic_loss(
    logits: Tensor,
    target: Tensor,
    weight: Tensor,
    ignore: int = -1,
    top_k: float = 0.2,
    class_weights: tuple[float, ...] | None = None,
) -> Tensor:
    """Compute the bootstrapped cross entropy: the mean over the hardest pixels, of those that count.

    Args:
        logits: (N, C, h, w).
        target: (N, H, W) integers; if larger than the logits, every s-th pixel counts, s = (H - 1) / (h - 1).
        weight: (N, H, W), factor of each pixel before the hardest are chosen.
        class_weights: C factors of the pixels of each class, also before the hardest are chosen.

    Returns:
        (N,).
    """
    target, weight = (subsample(x, tuple(logits.shape[2:])) for x in (target, weight))  # (N, h, w)
    logits = at_least_float32(logits)
    check_class_weights(class_weights, logits.shape[1])
    of_classes = None if class_weights is None else logits.new_tensor(class_weights)  # (C,)
    pixels = F.cross_entropy(logits, target.long(), of_classes, reduction="none", ignore_index=ignore)  # (N, h, w)
    return top_k_mean(pixels * weight, top_k)


def center_loss(heat: Tensor, target: Tensor, weight: Tensor, top_k: float = 1.0) -> Tensor:
    """Compute the squared error of the heat map (N, 1, H, W) against (N, H, W), times `weight` (N, H, W): (N,)."""
    check_size("center", heat.shape[2:], target.shape[1:])
    return top_k_mean((at_least_float32(heat[:, 0]) - target).square() * weight, top_k)


def offset_loss(offset: Tensor, target: Tensor, weight: Tensor, top_k: float = 1.0) -> Tensor:
    """Compute the mean absolute error of rows and columns: both (N, 2, H, W), `weight` (N, H, W): (N,)."""
    target = target.movedim(-1, 1) if target.shape[1] != 2 and target.shape[-1] == 2 else target  # channels last
    check_size("offset", offset.shape[1:], target.shape[1:])
    return top_k_mean((at_least_float32(offset) - target).abs().mean(1) * weight, top_k)


def top_k_mean(pixels: Tensor, share: float) -> Tensor:
    """Average the highest `share` of each picture's values, (N, H, W), without those that are 0: (N,), 0 if all are."""
    values = pixels.flatten(1)  # (N, H W)
    if share != 1:
        values = values.topk(top_k_count(share, values.shape[1]), sorted=False).values
    return values.sum(1) / (values != 0).sum(1).clamp(min=1)


def top_k_count(share: float, n: int) -> int:
    """Return the number of pixels in a share of `n`: rounded, halves to even, in float32 as deeplab2 does."""
    if not 0 < share <= 1:
        raise ValueError(f"top_k: expected a share above 0 and up to 1, found {share}")
    return int(np.rint(np.float32(share) * np.float32(n)))


def subsample(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """Take every s-th row and column, where s is an integer: (N, H, W) to (N, h, w)."""
    stride = stride_between(tuple(x.shape[1:]), size)
    return x[:, ::stride, ::stride]


def at_least_float32(x: Tensor) -> Tensor:
    """Cast to float32, unless `x` is float64."""
    return x if x.dtype == torch.float64 else x.float()
