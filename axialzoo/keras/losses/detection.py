"""Losses of boxes located one position at a time: FCOS (arXiv:1904.01355, equation 2; arXiv:2006.09214).

Letters: L locations of all levels one after another, K classes. A target's class is -1 for background and -2 where nothing is
asked (see `axialzoo.tasks.detection.targets`). Everything is computed in float32 or better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keras import ops

from axialzoo.keras.losses.loss_registry import register_loss
from axialzoo.ops.keras.tables import statistics_dtype
from axialzoo.spec.heads.fcos import FCOS
from axialzoo.spec.heads.loss_inputs import EPSILON, MAPS, check_locations


def normalizers(targets: Mapping):
    """(2,): how many locations are of a box, and the sum of their centerness, which the box loss is the mean by."""
    central = ops.convert_to_tensor(targets["centerness"])  # (N, L)
    found = ops.cast(ops.convert_to_tensor(targets["classes"]) >= 0, central.dtype)
    return ops.stack([ops.sum(found), ops.sum(central * found)])


@register_loss(FCOS)
def detection_loss(
    outputs: Mapping[str, Sequence],
    targets: Mapping,
    head: FCOS | None = None,
    totals=None,
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
) -> dict:
    """Focal loss of the classes, GIoU loss of the boxes weighted by centerness, cross entropy of the centerness.

    Args:
        outputs: Of each level ``classes`` (N, H, W, K) logits, ``boxes`` (N, H, W, 4) distances of 0 or more in strides,
            ``centerness`` (N, H, W, 1) logits.
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
    dtype = classes.dtype
    targets = {**targets, "centerness": ops.cast(targets["centerness"], dtype)}  # so that its sum is as exact as the loss
    totals = normalizers(targets) if totals is None else totals
    positives, weight = ops.relu(ops.cast(totals[0], dtype) - 1) + 1, clamp_eps(ops.cast(totals[1], dtype))
    wanted = ops.expand_dims(ops.cast(targets["classes"], "int32"), -1)  # (N, L, 1)
    asked, found = ops.cast(wanted > -2, dtype), ops.cast(wanted >= 0, dtype)  # (N, L, 1)
    one_hot = ops.cast(ops.equal(wanted, ops.arange(classes.shape[-1], dtype="int32")), dtype)  # (N, L, K)
    central = ops.expand_dims(targets["centerness"], -1)  # (N, L, 1)
    there = ops.cast(targets["boxes"], dtype) * found + (1 - found)  # (N, L, 4), of no box a box, for its gradient to be 0
    apart = ops.expand_dims(giou_loss(boxes * found + (1 - found), there), -1)  # (N, L, 1)
    parts = {
        "classes": ops.sum(focal_loss(classes, one_hot, alpha, gamma) * asked) / positives,
        "boxes": ops.sum(apart * central * found) / weight,
        "centerness": ops.sum(cross_entropy(centerness, central) * found) / positives,
    }
    return {**parts, "total": parts["classes"] + parts["boxes"] + parts["centerness"]}


def flatten(outputs: Mapping[str, Sequence]) -> tuple:
    """The maps of all levels one after another: ``classes`` (N, L, K), ``boxes`` (N, L, 4), ``centerness`` (N, L, 1)."""
    if set(outputs) != set(MAPS):
        raise ValueError(f"outputs: expected {', '.join(MAPS)}, found {', '.join(outputs) or 'none'}")
    rows = [ops.concatenate([_rows(one) for one in outputs[name]], 1) for name in MAPS]
    classes, boxes, centerness = (ops.cast(one, statistics_dtype(one.dtype)) for one in rows)
    return classes, boxes, centerness


def focal_loss(logits, targets, alpha: float = 0.25, gamma: float = 2.0):
    """-alpha_t (1 - p_t)^gamma log(p_t) of each logit (arXiv:1708.02002, equation 5), by logarithms, so that no logit is too large.

    Args:
        logits: Any shape.
        targets: The same, 0 or 1.
        alpha: Weight of ones; 1 - alpha of zeros.
        gamma: How much what is known well counts less.
    """
    sign = 2 * targets - 1
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return -weight * ops.exp(gamma * ops.log_sigmoid(-sign * logits)) * ops.log_sigmoid(sign * logits)


def giou_loss(boxes, targets):
    """1 - GIoU (arXiv:1902.09630) of boxes around the same location, told by their distances (..., 4) to left, top, right, bottom.

    Returns:
        (...), 0 to 2; 1 of two boxes of no area.
    """
    common = elementwise_min(boxes, targets)  # (..., 4)
    around = boxes + targets - common  # the greater
    intersection, enclosing = area(common), area(around)  # (...)
    union = area(boxes) + area(targets) - intersection
    return 1 - intersection / clamp_eps(union) + (enclosing - union) / clamp_eps(enclosing)


def cross_entropy(logits, targets):
    """-t log(p) - (1 - t) log(1 - p) of each logit, for targets from 0 to 1; the same shape."""
    return -targets * ops.log_sigmoid(logits) - (1 - targets) * ops.log_sigmoid(-logits)


def area(distances):
    """(..., 4) left, top, right, bottom to (...)."""
    left, top, right, bottom = (distances[..., side] for side in range(4))
    return (left + right) * (top + bottom)


def elementwise_min(a, b):
    """The minimum; where equal, the gradient is a's in every framework."""
    return a - ops.relu(a - b)


def clamp_eps(x):
    """`x`, or EPSILON where that is more."""
    return ops.relu(x - EPSILON) + EPSILON


def _rows(x):
    """(N, H, W, C) to (N, H * W, C), also where a graph does not know the sides."""
    n, h, w, c = ops.shape(x)
    return ops.reshape(x, (n, h * w, c))
