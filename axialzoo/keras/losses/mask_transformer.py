"""Losses of mask transformers: MaX-DeepLab (arXiv:2012.00759) and kMaX-DeepLab (arXiv:2207.04044), as deeplab2 has them.

Targets come from :func:`axialzoo.tasks.segmentation.mask_targets`, collated to batches. Masks are matched with slots on the
host, by the final predictions alone; the k-means layers' predictions use that matching too. Losses are computed in float32, or in
float64 where the outputs are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from axialzoo.keras.losses.loss_registry import register_loss
from axialzoo.keras.losses.segmentation import at_least_float32, axis_mean, semantic_loss, top_k_mean
from axialzoo.keras.resize import resize, resize_centers
from axialzoo.matching import match_masks
from axialzoo.spec.heads.loss_inputs import check_targets
from axialzoo.spec.heads.mask_losses import MATCHED_WEIGHT, MIN_FACTOR, TEMPERATURE, Masks, Matching, resolve_options
from axialzoo.spec.heads.mask_transformer import MaskTransformer


@register_loss(MaskTransformer)
def mask_transformer_loss(
    outputs: Mapping[str, Any],
    targets: Mapping[str, Any],
    head: MaskTransformer | None = None,
    *,
    weights: tuple[float, float, float, float] = (3.0, 0.3, 1.0, 1.0),
    top_k: tuple[float, float, float] = (1.0, 1.0, 1.0),
    sample_k: int | None = None,
    sample_temperature: float = 1.5,
    noise: Sequence[Any] | None = None,
) -> dict[str, Any]:
    """Compute all losses and their sum, means over the batch.

    Args:
        outputs: Outputs of the head, in training or not.
        targets: ``mask_ids``, ``objects`` and ``void`` (N, h, w), ``mask_classes`` (N, M); ``semantic`` and ``semantic_weight`` where
            the head has the branch.
        head: Spec of the head.
        weights: Weights of the PQ-style loss (class and dice terms), mask-ID cross entropy, instance discrimination and semantic loss.
        top_k: Share of the pixels with the highest losses, of mask-ID cross entropy, instance discrimination and semantic loss.
        sample_k: Pixels of the sampled instance discrimination; 0 for the full one; None for 4,096 with a k-means decoder, else 0.
        sample_temperature: Higher draws more pixels of small masks.
        noise: (N, P) Gumbel noise of each prediction, the final one first; None draws it.

    Returns:
        Scalars: ``mask_class``, ``mask_dice``, ``mask_id``, ``instance_discrimination``, the same after ``auxiliary.0.`` and so on,
        ``semantic``, and ``total``.
    """
    sampled, corners = resolve_options(head, sample_k)
    losses = image_losses(outputs, targets, weights, top_k, sampled, sample_temperature, noise, corners)
    means = {name: axis_mean(values, 0) for name, values in losses.items()}
    return {**means, "total": sum(means.values(), ops.zeros_like(means["mask_class"]))}


def image_losses(
    outputs: Mapping[str, Any],
    targets: Mapping[str, Any],
    weights: tuple[float, float, float, float],
    top_k: tuple[float, float, float],
    sample_k: int,
    sample_temperature: float,
    noise: Sequence[Any] | None,
    corners: str,
) -> dict[str, Any]:
    """Compute every weighted loss of each image, (N,); :func:`mask_transformer_loss` describes the arguments."""
    pq, mask_id, discrimination, semantic = weights
    predictions = predictions_of(outputs, corners)
    final = predictions[0]
    masks = masks_of(targets, final["mask_logits"])
    matching = match(final, masks)
    losses: dict[str, Any] = {}
    for number, prediction in enumerate(predictions):
        name = "" if number == 0 else f"auxiliary.{number - 1}."
        losses[f"{name}mask_class"] = pq * class_loss(prediction["class_logits"], masks, matching)
        losses[f"{name}mask_dice"] = pq * dice_loss(prediction["mask_logits"], masks, matching)
        losses[f"{name}mask_id"] = mask_id * mask_id_loss(prediction["mask_logits"], masks, matching, top_k[0])
        feature = prediction["pixel_feature"]
        if sample_k:
            drawn = None if noise is None else noise[number]
            values = sampled_discrimination(feature, masks, sample_k, sample_temperature, drawn, top_k[1])
        else:
            values = discrimination_loss(feature, masks, top_k[1])
        losses[f"{name}instance_discrimination"] = discrimination * values
    if "semantic" in outputs:
        losses["semantic"] = semantic * semantic_loss(outputs["semantic"], targets["semantic"], targets["semantic_weight"], top_k=top_k[2])
    return losses


def predictions_of(outputs: Mapping[str, Any], corners: str = "aligned") -> list[dict[str, Any]]:
    """Return the final prediction and those of the k-means layers, resized to it: logits (N, P, S) and features (N, P, D)."""
    names, auxiliary = ("class_logits", "mask_logits", "pixel_feature"), []
    size, height = ops.shape(outputs["mask_logits"])[1:3], outputs["mask_logits"].shape[1]
    while f"auxiliary.{len(auxiliary)}.mask_logits" in outputs:
        auxiliary.append({name: outputs[f"auxiliary.{len(auxiliary)}.{name}"] for name in names})
    grow = resize_centers if corners == "odd" and height is not None and height % 2 == 0 else resize
    predictions = []
    for number, prediction in enumerate([{name: outputs[name] for name in names}, *auxiliary]):
        maps = {name: at_least_float32(prediction[name]) for name in names}
        for name in names[1:]:
            x = grow(maps[name], *size) if number else maps[name]
            maps[name] = ops.reshape(x, (-1, size[0] * size[1], x.shape[-1]))  # (N, P, channels)
        predictions.append(maps)
    return predictions


def masks_of(targets: Mapping[str, Any], like) -> Masks:
    """Return the annotated masks in the dtype of `like`."""
    pixels = like.shape[1]
    check_targets(targets)
    ids, classes = flatten_targets(targets["mask_ids"], "int32"), ops.cast(targets["mask_classes"], "int32")
    if None not in (ids.shape[1], pixels) and ids.shape[1] != pixels:
        raise ValueError(f"mask_ids: expected {pixels} pixels, those of mask_logits, found {tuple(targets['mask_ids'].shape)}")
    one_hot = ops.one_hot(ids + 1, classes.shape[1] + 1, dtype=like.dtype)[..., 1:]  # (N, P, M)
    exists = ops.logical_and(ops.sum(one_hot, 1) > 0, classes >= 0)
    objects, void = (flatten_targets(targets[name], like.dtype) for name in ("objects", "void"))
    return Masks(one_hot, ops.maximum(classes, 0), exists, objects, void)


def flatten_targets(x, dtype):
    """Flatten (N, h, w) to (N, P)."""
    _, height, width = ops.shape(x)
    return ops.cast(ops.reshape(x, (-1, height * width)), dtype)


def match(prediction: Mapping[str, Any], masks: Masks) -> Matching:
    """Match masks with slots by dice times class probability."""
    logits, classes = (ops.stop_gradient(prediction[name]) for name in ("mask_logits", "class_logits"))
    probabilities = ops.softmax(logits, axis=-1)  # (N, P, S)
    counted = probabilities * (1 - masks.void)[..., None]
    overlap = ops.swapaxes(masks.one_hot, 1, 2) @ counted  # (N, M, S)
    sizes = ops.sum(masks.one_hot, 1)[..., None] + ops.sum(counted, 1)[:, None]  # (N, M, S)
    dice = overlap / (sizes / 2 + MIN_FACTOR)
    classes = ops.softmax(classes, axis=-1)  # (N, S, C + 1)
    chosen = ops.one_hot(masks.classes, classes.shape[-1], dtype=classes.dtype)  # (N, M, C + 1)
    likely = chosen @ ops.swapaxes(classes, 1, 2)  # (N, M, S)
    slots = on_host(match_masks, dice * likely, ops.cast(masks.exists, "int32"))  # (N, M)
    one_hot = ops.one_hot(slots + 1, dice.shape[2] + 1, dtype=dice.dtype)[..., 1:]  # (N, M, S)
    void = (masks.void[:, None] @ probabilities)[:, 0] / (ops.sum(probabilities, 1) + MIN_FACTOR)  # (N, S)
    return Matching(one_hot, ops.max(dice * one_hot, 1), ops.max(likely * one_hot, 2), void)


def class_loss(logits, masks: Masks, matching: Matching):
    """Compute the cross entropy of the slots' classes (N, S, C + 1), weighted by how well masks fit: (N,)."""
    matched = ops.max(matching.slots, 1)  # (N, S)
    classes = ops.sum(matching.slots * ops.cast(masks.classes, logits.dtype)[..., None], 1)  # (N, S)
    target = ops.where(matched > 0, ops.cast(classes, "int32"), logits.shape[-1] - 1)
    fitting, others = MATCHED_WEIGHT * ops.maximum(matching.dice, MIN_FACTOR), (1 - MATCHED_WEIGHT) * ops.maximum(matching.void, MIN_FACTOR)
    one_hot = ops.one_hot(target, logits.shape[-1], dtype=logits.dtype)  # (N, S, C + 1)
    return mean_of_counted(cross_entropy(logits, one_hot) * ops.where(matched > 0, fitting, others))


def dice_loss(logits, masks: Masks, matching: Matching):
    """Compute 1 - Dice of each mask and its slot (N, P, S), weighted by its class probability: (N,)."""
    inside = ops.sum(masks.one_hot, -1)  # (N, P)
    chosen = (ops.softmax(logits, axis=-1) * inside[..., None]) @ ops.swapaxes(matching.slots, 1, 2)  # (N, P, M)
    overlap, sizes = ops.sum(masks.one_hot * chosen, 1), ops.sum(masks.one_hot, 1) + ops.sum(chosen, 1)  # (N, M)
    weight = ops.maximum(matching.probability, MIN_FACTOR) * ops.sum(matching.slots, 2)
    return ops.sum((1 - (2 * overlap + 1) / (sizes + 1)) * weight, 1) * (MATCHED_WEIGHT / logits.shape[2])


def mask_id_loss(logits, masks: Masks, matching: Matching, top_k: float):
    """Compute the cross entropy of each pixel's slot (N, P, S), over pixels in a matched mask: (N,)."""
    target, counted = (masks.one_hot @ matching.slots), 1 - masks.void  # (N, P, S), (N, P)
    left_out = ops.sum(masks.one_hot, -1) - ops.sum(target, -1)  # of masks without a slot
    return mean_of_counted(cross_entropy(logits, target) * counted * (1 - left_out), top_k)


def cross_entropy(logits, target):
    """Compute the cross entropy of distributions (..., C): (...).

    A target of zeros, such as a pixel in a crowd, has the loss 0. Its gradient is ``softmax(logits)``, as in deeplab2, since TensorFlow's
    operation assumes that a target sums to 1.
    """
    total = ops.logsumexp(logits, axis=-1)
    loss = ops.sum(target, -1) * total - ops.sum(logits * target, -1)
    return loss + (1 - ops.sum(target, -1)) * (total - ops.stop_gradient(total))


def discrimination_loss(feature, masks: Masks, top_k: float):
    """Compute the cross entropy of the mask of each object's pixel, by similarity with the masks' mean features (N, P, D): (N,)."""
    sizes = ops.maximum(ops.sum(masks.one_hot, 1)[..., None], 1)
    means = (ops.swapaxes(masks.one_hot, 1, 2) @ feature) / sizes  # (N, M, D)
    means = means * ops.rsqrt(ops.maximum(ops.sum(ops.square(means), -1, keepdims=True), 1e-12))
    logits = (feature @ ops.swapaxes(means, 1, 2)) / TEMPERATURE  # (N, P, M)
    logits = ops.where(masks.exists[:, None], logits, ops.cast(-99999.0, logits.dtype))
    return mean_of_counted(cross_entropy(logits, masks.one_hot) * masks.objects, top_k)


def sampled_discrimination(feature, masks: Masks, count: int, temperature: float, noise, top_k: float):
    """Compute the cross entropy of `count` drawn pixels sharing a mask, by similarity (N, P, D): (N,). Small masks are drawn more."""
    one_hot, pixels = masks.one_hot, feature.shape[1]
    area = ops.maximum((one_hot @ ops.sum(one_hot, 1)[..., None])[..., 0], 1)  # (N, P)
    scores = temperature * ops.log(ops.cast(ops.shape(feature)[1], feature.dtype) / area) - 99999.0 * masks.void
    scores = ops.stop_gradient(scores + (gumbel(scores, feature) if noise is None else ops.cast(noise, scores.dtype)))
    drawn = ops.top_k(scores, count if pixels is None else min(count, pixels))[1][..., None]  # (N, K, 1)
    chosen = ops.take_along_axis(feature, ops.cast(drawn, "int32"), axis=1)  # (N, K, D)
    members = ops.take_along_axis(one_hot, ops.cast(drawn, "int32"), axis=1)  # (N, K, M)
    shared = members @ ops.swapaxes(members, 1, 2)  # (N, K, K)
    target = shared / ops.maximum(ops.sum(shared, -1, keepdims=True), 1)
    logits = (chosen @ ops.swapaxes(chosen, 1, 2)) / TEMPERATURE
    return mean_of_counted(cross_entropy(logits, target), top_k)


def gumbel(like, feature):
    """Draw Gumbel noise of the shape of `like` (N, P).

    On JAX, whose compiled code takes no random numbers without a seed, it is one fixed draw of uniform numbers, shifted by the mean size
    of `feature` (N, P, D), modulo 1: another shift for each image, and at each step, since the features change.
    """
    on_jax = keras.backend.backend() == "jax"
    uniform = keras.random.uniform(ops.shape(like), dtype=like.dtype, seed=0 if on_jax else None)  # (N, P)
    if on_jax:
        size = ops.mean(ops.abs(ops.cast(feature, "float32")), (1, 2))[:, None]  # (N, 1)
        uniform = ops.mod(uniform + ops.cast(ops.mod(1009 * size, 1), like.dtype), 1)
    return -ops.log(-ops.log(ops.clip(uniform, 1e-7, 1 - 1e-7)))


def mean_of_counted(values, top_k: float = 1.0):
    """Compute :func:`top_k_mean` of values (N, P)."""
    return top_k_mean(values[:, None], top_k)


def on_host(function, *arrays):
    """Call a numpy function of arrays whose result is (N, M) int32, the shape of the last one, on any back end, compiled or not."""
    backend = keras.backend.backend()
    if backend == "torch":
        return ops.convert_to_tensor(function(*(ops.convert_to_numpy(array) for array in arrays)))
    if backend == "jax":
        import jax

        shape = jax.ShapeDtypeStruct(arrays[-1].shape, np.int32)
        return jax.pure_callback(lambda *values: np.asarray(function(*(np.asarray(value) for value in values)), np.int32), shape, *arrays)
    import tensorflow as tf

    result = tf.numpy_function(function, arrays, tf.int32)
    result.set_shape(arrays[-1].shape)
    return result
