"""Losses of boxes located one position at a time: FCOS (arXiv:1904.01355, equation 2; arXiv:2006.09214).

Letters: L locations of all levels one after another, K classes. A target's class is -1 for background and -2 where nothing is
asked (see `axialzoo.tasks.detection.targets`). Everything is computed in float32 or better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from axialzoo.spec.heads.fcos import FCOS
from axialzoo.spec.heads.loss_inputs import EPSILON, MAPS, check_locations
from axialzoo.torch.losses.loss_registry import register_loss, register_totals


@register_totals(FCOS)
def normalizers(targets: Mapping[str, Tensor]) -> Tensor:
    """(2,): how many locations are of a box, and the sum of their centerness, which the box loss is the mean by."""
    found = targets["classes"] >= 0  # (N, L)
    central = targets["centerness"]
    return torch.stack([found.to(central.dtype).sum(), (central * found.to(central.dtype)).sum()])


@register_loss(FCOS)
def detection_loss(
    outputs: Mapping[str, Sequence[Tensor]],
    targets: Mapping[str, Tensor],
    head: FCOS | None = None,
    totals: Tensor | None = None,
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
) -> dict[str, Tensor]:
    """Focal loss of the classes, GIoU loss of the boxes weighted by centerness, cross entropy of the centerness.

    Args:
        outputs: Of each level ``classes`` (N, K, H, W) logits, ``boxes`` (N, 4, H, W) distances of 0 or more in strides,
            ``centerness`` (N, 1, H, W) logits.
        targets: Of :func:`axialzoo.tasks.detection.targets.box_targets`, stacked: ``classes`` (N, L), ``boxes`` (N, L, 4),
            ``centerness`` (N, L).
        head: Its spec; the maps say all that is needed of it.
        totals: What to divide by, :func:`count` of the whole batch; None for that of `targets`. Data-parallel processes that average
            their gradients give the mean of their counts, so that the result is that of one process with all pictures.
        alpha, gamma: Of :func:`focal_loss`.

    Returns:
        Scalars ``classes``, ``boxes``, ``centerness``, and ``total``, their sum.

    Raises:
        ValueError: where outputs and targets are of other names, or of different numbers of locations.
    """
    classes, boxes, centerness = flatten(outputs)  # (N, L, K), (N, L, 4), (N, L, 1)
    check_locations(classes, targets)
    targets = {**targets, "centerness": targets["centerness"].to(classes.dtype)}  # so that its sum is as exact as the loss
    totals = normalizers(targets) if totals is None else totals
    positives, weight = totals[0].to(classes.dtype).clamp_min(1), totals[1].to(classes.dtype).clamp_min(EPSILON)
    wanted = targets["classes"].unsqueeze(-1)  # (N, L, 1)
    asked, found = (wanted > -2).to(classes.dtype), (wanted >= 0).to(classes.dtype)  # (N, L, 1)
    one_hot = (wanted == torch.arange(classes.shape[-1], device=classes.device)).to(classes.dtype)  # (N, L, K)
    central = targets["centerness"].unsqueeze(-1)  # (N, L, 1)
    there = targets["boxes"].to(classes.dtype) * found + (1 - found)  # (N, L, 4), of no box a box, for its gradient to be 0
    apart = giou_loss(boxes * found + (1 - found), there).unsqueeze(-1)  # (N, L, 1)
    parts = {
        "classes": (focal_loss(classes, one_hot, alpha, gamma) * asked).sum() / positives,
        "boxes": (apart * central * found).sum() / weight,
        "centerness": (cross_entropy(centerness, central) * found).sum() / positives,
    }
    return {**parts, "total": parts["classes"] + parts["boxes"] + parts["centerness"]}


def flatten(outputs: Mapping[str, Sequence[Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """The maps of all levels one after another: ``classes`` (N, L, K), ``boxes`` (N, L, 4), ``centerness`` (N, L, 1)."""
    if set(outputs) != set(MAPS):
        raise ValueError(f"outputs: expected {', '.join(MAPS)}, found {', '.join(outputs) or 'none'}")
    rows = [torch.cat([one.permute(0, 2, 3, 1).flatten(1, 2) for one in outputs[name]], 1) for name in MAPS]
    classes, boxes, centerness = (one if one.dtype == torch.float64 else one.float() for one in rows)
    return classes, boxes, centerness


def focal_loss(logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """-alpha_t (1 - p_t)^gamma log(p_t) of each logit (arXiv:1708.02002, equation 5), by logarithms, so that no logit is too large.

    Args:
        logits: Any shape.
        targets: The same, 0 or 1.
        alpha: Weight of ones; 1 - alpha of zeros.
        gamma: How much what is known well counts less.
    """
    sign = 2 * targets - 1
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return -weight * (gamma * F.logsigmoid(-sign * logits)).exp() * F.logsigmoid(sign * logits)


def giou_loss(boxes: Tensor, targets: Tensor) -> Tensor:
    """1 - GIoU (arXiv:1902.09630) of boxes around the same location, told by their distances (..., 4) to left, top, right, bottom.

    Returns:
        (...), 0 to 2; 1 of two boxes of no area.
    """
    common = elementwise_min(boxes, targets)  # (..., 4)
    around = boxes + targets - common  # the greater
    intersection, enclosing = area(common), area(around)  # (...)
    union = area(boxes) + area(targets) - intersection
    return 1 - intersection / clamp_eps(union) + (enclosing - union) / clamp_eps(enclosing)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """-t log(p) - (1 - t) log(1 - p) of each logit, for targets from 0 to 1; the same shape."""
    return -targets * F.logsigmoid(logits) - (1 - targets) * F.logsigmoid(-logits)


def area(distances: Tensor) -> Tensor:
    """(..., 4) left, top, right, bottom to (...)."""
    left, top, right, bottom = distances.unbind(-1)
    return (left + right) * (top + bottom)


def elementwise_min(a: Tensor, b: Tensor) -> Tensor:
    """The minimum; where equal, the gradient is a's in every framework."""
    return a - F.relu(a - b)


def clamp_eps(x: Tensor) -> Tensor:
    """`x`, or EPSILON where that is more."""
    return F.relu(x - EPSILON) + EPSILON
