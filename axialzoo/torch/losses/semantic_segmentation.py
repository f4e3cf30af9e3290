"""Losses of class masks: binary cross entropy, Dice and cross entropy, at every pixel.

Targets come from the task's ``targets``, collated to batches. Losses are computed in float32, or in float64 where the logits are.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from axialzoo.spec.heads.loss_inputs import check_class_weights, check_size, check_targets
from axialzoo.spec.heads.unet import SMOOTH, UNet, loss_weights
from axialzoo.torch.losses.loss_registry import register_loss


@register_loss(UNet)
def semantic_segmentation_loss(
    outputs: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    head: UNet | None = None,
    *,
    bce: float | None = None,
    dice: float | None = None,
    cross_entropy: float | None = None,
    ignore: int = -1,
    class_weights: tuple[float, ...] | None = None,
) -> dict[str, Tensor]:
    """Compute the weighted losses and their sum, means over the batch.

    Without any weight it is the cross entropy, as the Medical Transformer is trained. For one logit it is half the binary cross entropy
    plus Dice, as in U-Bench.

    Args:
        outputs: ``semantic`` (N, C, H, W) logits; one logit is that of the second of two classes.
        targets: ``semantic`` (N, H, W) classes.
        head: Spec of the head, which is not read.
        bce: Weight of :func:`bce_loss`.
        dice: Weight of :func:`dice_loss`.
        cross_entropy: Weight of :func:`cross_entropy_loss`.
        ignore: The target of pixels that do not count.
        class_weights: Weight of the pixels of each class in the cross entropy; None for 1.

    Returns:
        Scalars: those of ``bce``, ``dice``, ``cross_entropy`` that have a weight, and ``total``.

    Raises:
        ValueError: for cross entropy of one logit, or another number of weights than of classes.
    """
    check_targets(targets)
    logits, target = outputs["semantic"], targets["semantic"]
    check_size("semantic", logits.shape[2:], target.shape[1:])
    logits = logits if logits.dtype == torch.float64 else logits.float()
    weights = loss_weights(logits.shape[1], bce=bce, dice=dice, cross_entropy=cross_entropy)
    functions = {
        "bce": lambda: bce_loss(logits, target, ignore),
        "dice": lambda: dice_loss(logits, target, ignore),
        "cross_entropy": lambda: cross_entropy_loss(logits, target, ignore, class_weights),
    }
    losses = {name: weight * functions[name]().mean() for name, weight in weights.items()}
    return {**losses, "total": torch.stack(list(losses.values())).sum()}


def bce_loss(logits: Tensor, target: Tensor, ignore: int = -1) -> Tensor:
    """Compute the binary cross entropy of each logit, the mean over classes and the pixels that count: (N,)."""
    one_hot, counted = one_hot_targets(logits, target, ignore)  # (N, C, H, W), (N, H, W)
    return pixel_mean(F.binary_cross_entropy_with_logits(logits, one_hot, reduction="none").mean(1), counted)


def dice_loss(logits: Tensor, target: Tensor, ignore: int = -1) -> Tensor:
    """Compute 1 - Dice of the probabilities (sigmoid of one logit, softmax of several) in each picture, the mean over classes: (N,)."""
    one_hot, counted = one_hot_targets(logits, target, ignore)  # (N, C, H, W), (N, H, W)
    p = (logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)) * counted[:, None]  # (N, C, H, W)
    both = 2 * (p * one_hot).sum((2, 3)) + SMOOTH  # (N, C)
    return (1 - both / (p.sum((2, 3)) + one_hot.sum((2, 3)) + SMOOTH)).mean(1)


def cross_entropy_loss(logits: Tensor, target: Tensor, ignore: int = -1, class_weights: tuple[float, ...] | None = None) -> Tensor:
    """Compute the cross entropy, the mean over the pixels that count: (N,)."""
    check_class_weights(class_weights, logits.shape[1])
    weight = None if class_weights is None else logits.new_tensor(class_weights)  # (C,)
    pixels = F.cross_entropy(logits, target.long(), weight, reduction="none", ignore_index=ignore)  # (N, H, W)
    return pixel_mean(pixels, (target != ignore).to(logits.dtype))


def one_hot_targets(logits: Tensor, target: Tensor, ignore: int) -> tuple[Tensor, Tensor]:
    """Return targets as (N, C, H, W) zeros and ones, and which pixels count, (N, H, W); of one logit, those of the second class."""
    counted = (target != ignore).to(logits.dtype)
    classes = torch.arange(logits.shape[1], device=target.device) + (logits.shape[1] == 1)
    return (target[:, None] == classes[:, None, None]).to(logits.dtype), counted


def pixel_mean(pixels: Tensor, counted: Tensor) -> Tensor:
    """Average the pixels of each picture that count, 0 if none does: (N, H, W) to (N,)."""
    return (pixels * counted).sum((1, 2)) / counted.sum((1, 2)).clamp(min=1)
