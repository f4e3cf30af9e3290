"""Losses of boxes located one position at a time: FCOS (arXiv:1904.01355, equation 2; arXiv:2006.09214).

Letters: L locations of all levels one after another, K classes. A target's class is -1 for background and -2 for ignored
locations (see `axialzoo.tasks.detection.targets`). Everything is computed in float32 or better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keras import ops

from axialzoo.keras.losses.loss_registry import register_loss
from axialzoo.ops.keras.tables import statistics_dtype
from axialzoo.spec.heads.fcos import FCOS
from axialzoo.spec.heads.loss_inputs import EPSILON, MAPS, check_locations


def normalizers(targets: Mapping):
    """Return the number of locations of a box, and the sum of their centerness, by which the box loss is divided: (2,)."""
    centerness = ops.convert_to_tensor(targets["centerness"])  # (N, L)
    positive = ops.cast(ops.convert_to_tensor(targets["classes"]) >= 0, centerness.dtype)
    return ops.stack([ops.sum(positive), ops.sum(centerness * positive)])


@register_loss(FCOS)
def detection_loss(
    outputs: Mapping[str, Sequence],
    targets: Mapping,
    head: FCOS | None = None,
    normalizer=None,
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
) -> dict:
    """Compute the focal loss of classes, the GIoU loss of boxes weighted by centerness, and the cross entropy of centerness.

    Args:
        outputs: Lists of each level's ``classes`` (N, H, W, K) logits, ``boxes`` (N, H, W, 4) distances of 0 or more in strides,
            ``centerness`` (N, H, W, 1) logits.
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
    dtype = classes.dtype
    targets = {**targets, "centerness": ops.cast(targets["centerness"], dtype)}  # so that its sum is as exact as the loss
    normalizer = normalizers(targets) if normalizer is None else normalizer
    positives, weight = ops.relu(ops.cast(normalizer[0], dtype) - 1) + 1, clamp_eps(ops.cast(normalizer[1], dtype))
    labels = ops.expand_dims(ops.cast(targets["classes"], "int32"), -1)  # (N, L, 1)
    counted, positive = ops.cast(labels > -2, dtype), ops.cast(labels >= 0, dtype)  # (N, L, 1)
    one_hot = ops.cast(ops.equal(labels, ops.arange(classes.shape[-1], dtype="int32")), dtype)  # (N, L, K)
    target_centerness = ops.expand_dims(targets["centerness"], -1)  # (N, L, 1)
    target_boxes = ops.cast(targets["boxes"], dtype) * positive + (1 - positive)  # (N, L, 4); a dummy where there is none, of gradient 0
    box_loss = ops.expand_dims(giou_loss(boxes * positive + (1 - positive), target_boxes), -1)  # (N, L, 1)
    parts = {
        "classes": ops.sum(focal_loss(classes, one_hot, alpha, gamma) * counted) / positives,
        "boxes": ops.sum(box_loss * target_centerness * positive) / weight,
        "centerness": ops.sum(cross_entropy(centerness, target_centerness) * positive) / positives,
    }
    return {**parts, "total": parts["classes"] + parts["boxes"] + parts["centerness"]}


def flatten(outputs: Mapping[str, Sequence]) -> tuple:
    """Concatenate the maps of all levels: ``classes`` (N, L, K), ``boxes`` (N, L, 4), ``centerness`` (N, L, 1)."""
    if set(outputs) != set(MAPS):
        raise ValueError(f"outputs: expected {', '.join(MAPS)}, found {', '.join(outputs) or 'none'}")
    rows = [ops.concatenate([_rows(x) for x in outputs[name]], 1) for name in MAPS]
    classes, boxes, centerness = (ops.cast(x, statistics_dtype(x.dtype)) for x in rows)
    return classes, boxes, centerness


def focal_loss(logits, targets, alpha: float = 0.25, gamma: float = 2.0):
    """Compute -alpha_t (1 - p_t)^gamma log(p_t) of each logit (arXiv:1708.02002, equation 5), by logarithms, which do not overflow.

    Args:
        logits: Any shape.
        targets: The same, 0 or 1.
        alpha: Weight of ones; 1 - alpha of zeros.
        gamma: Exponent of the focusing factor, which gives well-classified logits less weight.
    """
    sign = 2 * targets - 1
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return -weight * ops.exp(gamma * ops.log_sigmoid(-sign * logits)) * ops.log_sigmoid(sign * logits)


def giou_loss(boxes, targets):
    """Compute 1 - GIoU (arXiv:1902.09630) of boxes around one location, by their distances (..., 4) to left, top, right, bottom.

    Returns:
        (...), 0 to 2; 1 for two boxes of no area.
    """
    common = elementwise_min(boxes, targets)  # (..., 4)
    around = boxes + targets - common  # elementwise maximum
    intersection, enclosing = area(common), area(around)  # (...)
    union = area(boxes) + area(targets) - intersection
    return 1 - intersection / clamp_eps(union) + (enclosing - union) / clamp_eps(enclosing)


def cross_entropy(logits, targets):
    """Compute -t log(p) - (1 - t) log(1 - p) of each logit, for targets from 0 to 1; the shape stays."""
    return -targets * ops.log_sigmoid(logits) - (1 - targets) * ops.log_sigmoid(-logits)


def area(distances):
    """Compute the area of boxes from left, top, right, bottom: (..., 4) to (...)."""
    left, top, right, bottom = (distances[..., side] for side in range(4))
    return (left + right) * (top + bottom)


def elementwise_min(a, b):
    """Return the minimum; where equal, the gradient is that of `a` in every framework."""
    return a - ops.relu(a - b)


def clamp_eps(x):
    """Return `x`, or EPSILON where that is larger."""
    return ops.relu(x - EPSILON) + EPSILON


def _rows(x):
    """Flatten (N, H, W, C) to (N, H * W, C), also where a graph does not know the sides."""
    n, h, w, c = ops.shape(x)
    return ops.reshape(x, (n, h * w, c))
