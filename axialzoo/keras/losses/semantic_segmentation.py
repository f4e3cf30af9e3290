"""Losses of class masks: binary cross entropy, Dice and cross entropy, at every pixel.

Targets come from the task's ``targets``, collated to batches. Losses are computed in float32, or in float64 where the logits are.
"""

from __future__ import annotations

from collections.abc import Mapping

from keras import ops

from axialzoo.keras.losses.loss_registry import register_loss
from axialzoo.keras.losses.segmentation import at_least_float32, axis_mean
from axialzoo.spec.heads.loss_inputs import check_class_weights, check_size, check_targets
from axialzoo.spec.heads.unet import SMOOTH, UNet, loss_weights


@register_loss(UNet)
def semantic_segmentation_loss(
    outputs: Mapping,
    targets: Mapping,
    head: UNet | None = None,
    *,
    bce: float | None = None,
    dice: float | None = None,
    cross_entropy: float | None = None,
    ignore: int = -1,
    class_weights: tuple[float, ...] | None = None,
) -> dict:
    """Compute the weighted losses and their sum, means over the batch.

    Without any weight it is the cross entropy, as the Medical Transformer is trained. For one logit it is half the binary cross entropy
    plus Dice, as in U-Bench.

    Args:
        outputs: ``semantic`` (N, H, W, C) logits; one logit is that of the second of two classes.
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
    logits, target = at_least_float32(outputs["semantic"]), ops.cast(targets["semantic"], "int32")
    check_size("semantic", logits.shape[1:3], target.shape[1:])
    weights = loss_weights(logits.shape[-1], bce=bce, dice=dice, cross_entropy=cross_entropy)
    functions = {
        "bce": lambda: bce_loss(logits, target, ignore),
        "dice": lambda: dice_loss(logits, target, ignore),
        "cross_entropy": lambda: cross_entropy_loss(logits, target, ignore, class_weights),
    }
    losses = {name: weight * axis_mean(functions[name](), 0) for name, weight in weights.items()}
    return {**losses, "total": sum(losses.values())}


def bce_loss(logits, target, ignore: int = -1):
    """Compute the binary cross entropy of each logit, the mean over classes and the pixels that count: (N,)."""
    one_hot, counted = one_hot_targets(logits, target, ignore)  # (N, H, W, C), (N, H, W)
    pixels = ops.relu(logits) - logits * one_hot + ops.log1p(ops.exp(-ops.absolute(logits)))  # (N, H, W, C)
    return pixel_mean(axis_mean(pixels, -1), counted)


def dice_loss(logits, target, ignore: int = -1):
    """Compute 1 - Dice of the probabilities (sigmoid of one logit, softmax of several) in each picture, the mean over classes: (N,)."""
    one_hot, counted = one_hot_targets(logits, target, ignore)  # (N, H, W, C), (N, H, W)
    p = (ops.sigmoid(logits) if logits.shape[-1] == 1 else ops.softmax(logits, -1)) * counted[..., None]  # (N, H, W, C)
    both = 2 * ops.sum(p * one_hot, (1, 2)) + SMOOTH  # (N, C)
    return axis_mean(1 - both / (ops.sum(p, (1, 2)) + ops.sum(one_hot, (1, 2)) + SMOOTH), -1)


def cross_entropy_loss(logits, target, ignore: int = -1, class_weights: tuple[float, ...] | None = None):
    """Compute the cross entropy, the mean over the pixels that count: (N,)."""
    check_class_weights(class_weights, logits.shape[-1])
    counted = ops.cast(ops.not_equal(target, ignore), "int32")
    pixels = ops.sparse_categorical_crossentropy(target * counted, logits, from_logits=True)  # (N, H, W)
    if class_weights is not None:
        pixels = pixels * ops.take(ops.convert_to_tensor(class_weights, pixels.dtype), target * counted)
    return pixel_mean(pixels, ops.cast(counted, pixels.dtype))


def one_hot_targets(logits, target, ignore: int):
    """Return targets as (N, H, W, C) zeros and ones, and which pixels count, (N, H, W); of one logit, those of the second class."""
    counted = ops.cast(ops.not_equal(target, ignore), logits.dtype)
    classes = ops.arange(logits.shape[-1], dtype="int32") + int(logits.shape[-1] == 1)
    return ops.cast(ops.equal(target[..., None], classes), logits.dtype), counted


def pixel_mean(pixels, counted):
    """Average the pixels of each picture that count, 0 if none does: (N, H, W) to (N,)."""
    pixel_count = ops.sum(counted, (1, 2))
    return ops.sum(pixels * counted, (1, 2)) / (pixel_count + ops.cast(ops.equal(pixel_count, 0), pixels.dtype))
