"""Losses of boxes located one position at a time: FCOS (arXiv:1904.01355, equation 2; arXiv:2006.09214).

Letters: L locations of all levels one after another, K classes. A target's class is -1 for background and -2 for ignored
locations (see `axialzoo.tasks.detection.targets`). Everything is computed in float32 or better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from axialzoo.spec.heads.fcos import FCOS
from axialzoo.spec.heads.loss_inputs import EPSILON, MAPS, check_locations
from axialzoo.torch.losses.loss_registry import register_loss, register_normalizer


@register_normalizer(FCOS)
def normalizers(targets: Mapping[str, Tensor]) -> Tensor:
    """Return the number of locations of a box, and the sum of their centerness, by which the box loss is divided: (2,)."""
    centerness = targets["centerness"]  # (N, L)
    positive = (targets["classes"] >= 0).to(centerness.dtype)
    return torch.stack([positive.sum(), (centerness * positive).sum()])


@register_loss(FCOS)
def detection_loss(
    outputs: Mapping[str, Sequence[Tensor]],
    targets: Mapping[str, Tensor],
    head: FCOS | None = None,
    normalizer: Tensor | None = None,
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
) -> dict[str, Tensor]:
    """Compute the focal loss of classes, the GIoU loss of boxes weighted by centerness, and the cross entropy of centerness.

    Args:
        outputs: Lists of each level's ``classes`` (N, K, H, W) logits, ``boxes`` (N, 4, H, W) distances of 0 or more in strides,
            ``centerness`` (N, 1, H, W) logits.
        targets: Batch of :func:`axialzoo.tasks.detection.targets.box_targets`: ``classes`` (N, L), ``boxes`` (N, L, 4),
            ``centerness`` (N, L).
        head: Spec of the head, which is not read.
        normalizer: Numbers to divide by, :func:`normalizers` of the whole batch; None for those of `targets`. Data-parallel processes
            that average their gradients pass the mean of their numbers, so that the result is that of one process with all pictures.
        alpha, gamma: Options of :func:`focal_loss`.

    Returns:
        Scalars ``classes``, ``boxes``, ``centerness``, and ``total``, their sum.

    Raises:
        ValueError: where outputs and targets have other names, or different numbers of locations.
    """
    classes, boxes, centerness = flatten(outputs)  # (N, L, K), (N, L, 4), (N, L, 1)
    check_locations(classes, targets)
    targets = {**targets, "centerness": targets["centerness"].to(classes.dtype)}  # so that its sum is as exact as the loss
    normalizer = normalizers(targets) if normalizer is None else normalizer
    positives, weight = normalizer[0].to(classes.dtype).clamp_min(1), normalizer[1].to(classes.dtype).clamp_min(EPSILON)
    labels = targets["classes"].unsqueeze(-1)  # (N, L, 1)
    counted, positive = (labels > -2).to(classes.dtype), (labels >= 0).to(classes.dtype)  # (N, L, 1)
    one_hot = (labels == torch.arange(classes.shape[-1], device=classes.device)).to(classes.dtype)  # (N, L, K)
    target_centerness = targets["centerness"].unsqueeze(-1)  # (N, L, 1)
    target_boxes = targets["boxes"].to(classes.dtype) * positive + (1 - positive)  # (N, L, 4); a dummy where there is none, of gradient 0
    box_loss = giou_loss(boxes * positive + (1 - positive), target_boxes).unsqueeze(-1)  # (N, L, 1)
    parts = {
        "classes": (focal_loss(classes, one_hot, alpha, gamma) * counted).sum() / positives,
        "boxes": (box_loss * target_centerness * positive).sum() / weight,
        "centerness": (cross_entropy(centerness, target_centerness) * positive).sum() / positives,
    }
    return {**parts, "total": parts["classes"] + parts["boxes"] + parts["centerness"]}


def flatten(outputs: Mapping[str, Sequence[Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """Concatenate the maps of all levels: ``classes`` (N, L, K), ``boxes`` (N, L, 4), ``centerness`` (N, L, 1)."""
    if set(outputs) != set(MAPS):
        raise ValueError(f"outputs: expected {', '.join(MAPS)}, found {', '.join(outputs) or 'none'}")
    rows = [torch.cat([x.permute(0, 2, 3, 1).flatten(1, 2) for x in outputs[name]], 1) for name in MAPS]
    classes, boxes, centerness = (x if x.dtype == torch.float64 else x.float() for x in rows)
    return classes, boxes, centerness


def focal_loss(logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Compute -alpha_t (1 - p_t)^gamma log(p_t) of each logit (arXiv:1708.02002, equation 5), by logarithms, which do not overflow.

    Args:
        logits: Any shape.
        targets: The same, 0 or 1.
        alpha: Weight of ones; 1 - alpha of zeros.
        gamma: Exponent of the focusing factor, which gives well-classified logits less weight.
    """
    sign = 2 * targets - 1
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return -weight * (gamma * F.logsigmoid(-sign * logits)).exp() * F.logsigmoid(sign * logits)


def giou_loss(boxes: Tensor, targets: Tensor) -> Tensor:
    """Compute 1 - GIoU (arXiv:1902.09630) of boxes around one location, by their distances (..., 4) to left, top, right, bottom.

    Returns:
        (...), 0 to 2; 1 for two boxes of no area.
    """
    common = elementwise_min(boxes, targets)  # (..., 4)
    around = boxes + targets - common  # elementwise maximum
    intersection, enclosing = area(common), area(around)  # (...)
    union = area(boxes) + area(targets) - intersection
    return 1 - intersection / clamp_eps(union) + (enclosing - union) / clamp_eps(enclosing)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute -t log(p) - (1 - t) log(1 - p) of each logit, for targets from 0 to 1; the shape stays."""
    return -targets * F.logsigmoid(logits) - (1 - targets) * F.logsigmoid(-logits)


def area(distances: Tensor) -> Tensor:
    """Compute the area of boxes from left, top, right, bottom: (..., 4) to (...)."""
    left, top, right, bottom = distances.unbind(-1)
    return (left + right) * (top + bottom)


def elementwise_min(a: Tensor, b: Tensor) -> Tensor:
    """Return the minimum; where equal, the gradient is that of `a` in every framework."""
    return a - F.relu(a - b)


def clamp_eps(x: Tensor) -> Tensor:
    """Return `x`, or EPSILON where that is larger."""
    return F.relu(x - EPSILON) + EPSILON
