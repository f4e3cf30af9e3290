"""Losses of segmentation: those of Panoptic-DeepLab (arXiv:1911.10194), as deeplab2 computes them.

Targets come from :func:`axialzoo.tasks.segmentation.targets`, collated to batches.
Losses are computed in float32, or in float64 where the maps are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import keras
import numpy as np
from keras import ops

from axialzoo.keras.losses.loss_registry import register_loss
from axialzoo.spec.heads.loss_inputs import check_class_weights, check_names, check_size, stride_between
from axialzoo.spec.heads.panoptic import Panoptic


@register_loss(Panoptic)
def segmentation_loss(
    outputs: Mapping,
    targets: Mapping,
    head: Panoptic | None = None,
    *,
    ignore: int = -1,
    weights: tuple[float, float, float] = (1.0, 200.0, 0.01),
    top_k: tuple[float, float, float] = (0.2, 1.0, 1.0),
    class_weights: tuple[float, ...] | None = None,
) -> dict:
    """Compute all losses and their sum, means over the batch.

    Args:
        outputs: ``semantic`` (N, H, W, C) logits; ``center`` (N, H, W, 1) and ``offset`` (N, H, W, 2) or neither.
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
    means = {name: weight * axis_mean(values, 0) for (name, values), weight in zip(losses.items(), weights)}
    return {**means, "total": sum(means.values(), ops.zeros_like(means["semantic"]))}


def semantic_loss(logits, target, weight, ignore: int = -1, top_k: float = 0.2, class_weights: tuple[float, ...] | None = None):
    """Compute the bootstrapped cross entropy: the mean over the hardest pixels, of those that count.

    Args:
        logits: (N, h, w, C).
        target: (N, H, W) integers; if larger than the logits, every s-th pixel counts, s = (H - 1) / (h - 1).
        weight: (N, H, W), factor of each pixel before the hardest are chosen.
        class_weights: C factors of the pixels of each class, also before the hardest are chosen.

    Returns:
        (N,).
    """
    target, weight = (subsample(x, tuple(logits.shape[1:3])) for x in (target, weight))  # (N, h, w)
    target = ops.cast(target, "int32")
    counts = ops.cast(ops.not_equal(target, ignore), "int32")
    check_class_weights(class_weights, logits.shape[-1])
    pixels = ops.sparse_categorical_crossentropy(target * counts, at_least_float32(logits), from_logits=True)  # (N, h, w)
    if class_weights is not None:
        pixels = pixels * ops.take(ops.convert_to_tensor(class_weights, pixels.dtype), target * counts)
    return top_k_mean(pixels * ops.cast(counts, pixels.dtype) * ops.cast(weight, pixels.dtype), top_k)


def center_loss(heat, target, weight, top_k: float = 1.0):
    """Compute the squared error of the heat map (N, H, W, 1) against (N, H, W), times `weight` (N, H, W): (N,)."""
    check_size("center", heat.shape[1:3], target.shape[1:])
    heat = at_least_float32(heat[..., 0])
    return top_k_mean(ops.square(heat - ops.cast(target, heat.dtype)) * ops.cast(weight, heat.dtype), top_k)


def offset_loss(offset, target, weight, top_k: float = 1.0):
    """Compute the mean absolute error of rows and columns: both (N, H, W, 2), `weight` (N, H, W): (N,)."""
    target = ops.moveaxis(target, 1, -1) if target.shape[-1] != 2 and target.shape[1] == 2 else target  # channels second
    check_size("offset", offset.shape[1:], target.shape[1:])
    offset = at_least_float32(offset)
    return top_k_mean(axis_mean(ops.absolute(offset - ops.cast(target, offset.dtype)), -1) * ops.cast(weight, offset.dtype), top_k)


def top_k_mean(pixels, share: float):
    """Average the highest `share` of each picture's values, (N, H, W), without those that are 0: (N,), 0 if all are."""
    n = math.prod(ops.shape(pixels)[1:])
    values = ops.reshape(pixels, (-1, n))  # (N, H W)
    if share != 1:
        values = ops.top_k(values, top_k_count(share, n), sorted=False)[0]
    counted = ops.sum(ops.cast(ops.not_equal(values, 0), values.dtype), 1)
    return ops.sum(values, 1) / (counted + ops.cast(ops.equal(counted, 0), values.dtype))


def top_k_count(share: float, n):
    """Return the number of pixels in a share of `n`: rounded, halves to even, in float32 as deeplab2 does."""
    if not 0 < share <= 1:
        raise ValueError(f"top_k: expected a share above 0 and up to 1, found {share}")
    if not isinstance(n, int):  # sizes that a graph does not know
        return ops.cast(ops.round(share * ops.cast(n, "float32")), "int32")
    return int(np.rint(np.float32(share) * np.float32(n)))


def subsample(x, size: tuple[int, ...]):
    """Take every s-th row and column, where s is an integer: (N, H, W) to (N, h, w). Sizes that a graph does not know must be equal."""
    if None in size or None in x.shape[1:]:
        return x
    stride = stride_between(tuple(x.shape[1:]), size)
    return x[:, ::stride, ::stride]


def at_least_float32(x):
    """Cast to float32, unless `x` is float64."""
    return x if keras.backend.standardize_dtype(x.dtype) == "float64" else ops.cast(x, "float32")


def axis_mean(x, axis: int):
    """Average over an axis and keep the dtype; `keras.ops.mean` returns float32 on some back ends."""
    return ops.sum(x, axis) / ops.cast(ops.shape(x)[axis], x.dtype)
