"""Losses of mask transformers: MaX-DeepLab (arXiv:2012.00759) and kMaX-DeepLab (arXiv:2207.04044), as deeplab2 has them.

Targets come from :func:`axialzoo.tasks.segmentation.mask_targets`, collated to batches. Masks are matched with slots on the
host, by the final predictions alone; the k-means layers' predictions use that matching too. Losses are computed in float32, or in
float64 where the outputs are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from axialzoo.matching import match_masks
from axialzoo.spec.heads.loss_inputs import check_targets
from axialzoo.spec.heads.mask_losses import MATCHED_WEIGHT, MIN_FACTOR, TEMPERATURE, Masks, Matching, resolve_options
from axialzoo.spec.heads.mask_transformer import MaskTransformer
from axialzoo.torch.losses.loss_registry import register_loss
from axialzoo.torch.losses.segmentation import at_least_float32, semantic_loss, top_k_mean
from axialzoo.torch.resize import resize, resize_centers


@register_loss(MaskTransformer)
def mask_transformer_loss(
    outputs: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    head: MaskTransformer | None = None,
    *,
    weights: tuple[float, float, float, float] = (3.0, 0.3, 1.0, 1.0),
    top_k: tuple[float, float, float] = (1.0, 1.0, 1.0),
    sample_k: int | None = None,
    sample_temperature: float = 1.5,
    noise: Sequence[Tensor] | None = None,
) -> dict[str, Tensor]:
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
    with torch.autocast(outputs["mask_logits"].device.type, enabled=False):  # products of masks need more than 8 bits
        losses = image_losses(outputs, targets, weights, top_k, sampled, sample_temperature, noise, corners)
    means = {name: values.mean() for name, values in losses.items()}
    return {**means, "total": sum(means.values(), torch.zeros_like(means["mask_class"]))}


def image_losses(
    outputs: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    weights: tuple[float, float, float, float],
    top_k: tuple[float, float, float],
    sample_k: int,
    sample_temperature: float,
    noise: Sequence[Tensor] | None,
    corners: str,
) -> dict[str, Tensor]:
    """Compute every weighted loss of each image, (N,); :func:`mask_transformer_loss` describes the arguments."""
    pq, mask_id, discrimination, semantic = weights
    predictions = predictions_of(outputs, corners)
    final = predictions[0]
    masks = masks_of(targets, final["mask_logits"])
    matching = match(final, masks)
    losses: dict[str, Tensor] = {}
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


def predictions_of(outputs: Mapping[str, Tensor], corners: str = "aligned") -> list[dict[str, Tensor]]:
    """Return the final prediction and those of the k-means layers, resized to it: logits (N, P, S) and features (N, P, D)."""
    names, auxiliary = ("class_logits", "mask_logits", "pixel_feature"), []
    size = outputs["mask_logits"].shape[2:]
    while f"auxiliary.{len(auxiliary)}.mask_logits" in outputs:
        auxiliary.append({name: outputs[f"auxiliary.{len(auxiliary)}.{name}"] for name in names})
    grow = resize_centers if corners == "odd" and size[0] % 2 == 0 else resize
    predictions = []
    for number, prediction in enumerate([{name: outputs[name] for name in names}, *auxiliary]):
        maps = {name: at_least_float32(prediction[name]) for name in names}
        for name in names[1:]:
            maps[name] = (grow(maps[name], *size) if number else maps[name]).flatten(2).mT  # (N, P, channels)
        predictions.append(maps)
    return predictions


def masks_of(targets: Mapping[str, Tensor], like: Tensor) -> Masks:
    """Return the annotated masks in the dtype of `like`."""
    check_targets(targets)
    ids, classes = targets["mask_ids"].flatten(1).long(), targets["mask_classes"].long()
    if ids.shape[1] != like.shape[1]:
        raise ValueError(f"mask_ids: expected {like.shape[1]} pixels, those of mask_logits, found {tuple(targets['mask_ids'].shape)}")
    one_hot = F.one_hot(ids + 1, classes.shape[1] + 1)[..., 1:].to(like.dtype)  # (N, P, M)
    exists = (one_hot.sum(1) > 0) & (classes >= 0)
    objects, void = (targets[name].flatten(1).to(like.dtype) for name in ("objects", "void"))
    return Masks(one_hot, classes.clamp(min=0), exists, objects, void)


@torch.no_grad()
def match(prediction: Mapping[str, Tensor], masks: Masks) -> Matching:
    """Match masks with slots by dice times class probability."""
    probabilities = prediction["mask_logits"].softmax(-1)  # (N, P, S)
    counted = probabilities * (1 - masks.void)[..., None]
    overlap = masks.one_hot.mT @ counted  # (N, M, S)
    sizes = masks.one_hot.sum(1)[..., None] + counted.sum(1)[:, None]  # (N, M, S)
    dice = overlap / (sizes / 2 + MIN_FACTOR)
    classes = prediction["class_logits"].softmax(-1)  # (N, S, C + 1)
    likely = classes.mT.gather(1, masks.classes[..., None].expand(-1, -1, classes.shape[1]))  # (N, M, S)
    slots = torch.from_numpy(match_masks((dice * likely).cpu().numpy(), masks.exists.cpu().numpy())).to(dice.device)  # (N, M)
    one_hot = F.one_hot(slots.long() + 1, dice.shape[2] + 1)[..., 1:].to(dice.dtype)  # (N, M, S)
    void = (masks.void[:, None] @ probabilities)[:, 0] / (probabilities.sum(1) + MIN_FACTOR)  # (N, S)
    return Matching(one_hot, (dice * one_hot).amax(1), (likely * one_hot).amax(2), void)


def class_loss(logits: Tensor, masks: Masks, matching: Matching) -> Tensor:
    """Compute the cross entropy of the slots' classes (N, S, C + 1), weighted by how well masks fit: (N,)."""
    matched = matching.slots.amax(1)  # (N, S)
    classes = (matching.slots * masks.classes[..., None]).sum(1)  # (N, S)
    target = torch.where(matched > 0, classes.long(), logits.shape[-1] - 1)
    factor = torch.where(
        matched > 0, MATCHED_WEIGHT * matching.dice.clamp(min=MIN_FACTOR), (1 - MATCHED_WEIGHT) * matching.void.clamp(min=MIN_FACTOR)
    )
    return top_k_mean(F.cross_entropy(logits.mT, target, reduction="none") * factor, 1.0)


def dice_loss(logits: Tensor, masks: Masks, matching: Matching) -> Tensor:
    """Compute 1 - Dice of each mask and its slot (N, P, S), weighted by its class probability: (N,)."""
    inside = masks.one_hot.sum(-1)  # (N, P)
    chosen = (logits.softmax(-1) * inside[..., None]) @ matching.slots.mT  # (N, P, M)
    overlap, sizes = (masks.one_hot * chosen).sum(1), masks.one_hot.sum(1) + chosen.sum(1)  # (N, M)
    weight = matching.probability.clamp(min=MIN_FACTOR) * matching.slots.sum(2)
    return ((1 - (2 * overlap + 1) / (sizes + 1)) * weight).sum(1) * (MATCHED_WEIGHT / logits.shape[2])


def mask_id_loss(logits: Tensor, masks: Masks, matching: Matching, top_k: float) -> Tensor:
    """Compute the cross entropy of each pixel's slot (N, P, S), over pixels in a matched mask: (N,)."""
    target, counted = masks.one_hot @ matching.slots, 1 - masks.void  # (N, P, S), (N, P)
    left_out = masks.one_hot.sum(-1) - target.sum(-1)  # of masks without a slot
    return top_k_mean(cross_entropy(logits, target) * counted * (1 - left_out), top_k)


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Compute the cross entropy of distributions (..., C): (...).

    A target of zeros, such as a pixel in a crowd, has the loss 0. Its gradient is ``softmax(logits)``, as in deeplab2, since TensorFlow's
    operation assumes that a target sums to 1.
    """
    total = logits.logsumexp(-1)
    loss = target.sum(-1) * total - (logits * target).sum(-1)
    return loss + (1 - target.sum(-1)) * (total - total.detach())


def discrimination_loss(feature: Tensor, masks: Masks, top_k: float) -> Tensor:
    """Compute the cross entropy of the mask of each object's pixel, by similarity with the masks' mean features (N, P, D): (N,)."""
    means = masks.one_hot.mT @ feature / masks.one_hot.sum(1)[..., None].clamp(min=1)  # (N, M, D)
    means = means * means.square().sum(-1, keepdim=True).clamp(min=1e-12).rsqrt()
    logits = feature @ means.mT / TEMPERATURE  # (N, P, M)
    logits = logits.masked_fill(~masks.exists[:, None], -99999.0)
    return top_k_mean(cross_entropy(logits, masks.one_hot) * masks.objects, top_k)


def sampled_discrimination(feature: Tensor, masks: Masks, count: int, temperature: float, noise: Tensor | None, top_k: float) -> Tensor:
    """Compute the cross entropy of `count` drawn pixels sharing a mask, by similarity (N, P, D): (N,). Small masks are drawn more."""
    one_hot = masks.one_hot
    area = (one_hot @ one_hot.sum(1)[..., None])[..., 0].clamp(min=1)  # (N, P)
    scores = temperature * (feature.shape[1] / area).log() - 99999.0 * masks.void
    scores = scores + (gumbel(scores) if noise is None else noise.to(scores))
    drawn = scores.topk(min(count, feature.shape[1]), 1).indices[..., None]  # (N, K, 1)
    pixels = feature.gather(1, drawn.expand(-1, -1, feature.shape[2]))  # (N, K, D)
    members = one_hot.gather(1, drawn.expand(-1, -1, one_hot.shape[2]))  # (N, K, M)
    shared = members @ members.mT  # (N, K, K)
    target = shared / shared.sum(-1, keepdim=True).clamp(min=1)
    logits = pixels @ pixels.mT / TEMPERATURE
    return top_k_mean(cross_entropy(logits, target), top_k)


def gumbel(like: Tensor) -> Tensor:
    """Draw Gumbel noise of the shape of `like`."""
    return -(-torch.rand_like(like).clamp(min=1e-12, max=1 - 1e-7).log()).log()
