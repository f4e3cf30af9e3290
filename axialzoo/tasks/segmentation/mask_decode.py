"""Decodes the slots of a mask transformer to segments, pixel by pixel or mask by mask, as deeplab2 does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from axialzoo.spec.heads.mask_parts import PostprocessConfig
from axialzoo.spec.labels import Label
from axialzoo.tasks.results import NotFiniteError, Segmentation
from axialzoo.tasks.segmentation.slot_pixels import first_at, softmax, two_best_slots, upsampled

TWO_AT_MOST = 1 / 3  # above this probability, two slots at most contain a pixel


@dataclass(frozen=True, eq=False)
class SlotMaps:
    """Slots of the pixels of one image.

    Attributes:
        slots: (H, W) int32, slot of each pixel; -1 for none.
        best: (H, W) int32, slot with the largest logit at each pixel.
        scores: (H, W) float32, largest probability of a slot at each pixel.
        order: (S,) slots in the order in which they are pasted.
        classes: (S,) most probable class of each slot, void left out.
        confidence: (S,) float32, its probability.
    """

    slots: np.ndarray
    best: np.ndarray
    scores: np.ndarray
    order: np.ndarray
    classes: np.ndarray
    confidence: np.ndarray


def decode_masks(
    class_logits: np.ndarray,
    mask_logits: np.ndarray,
    size: tuple[int, int],
    things: tuple[int, ...],
    config: PostprocessConfig,
    *,
    stride: int | None = None,
    labels: tuple[Label, ...] = (),
) -> Segmentation:
    """Cut a picture into segments.

    Args:
        class_logits: (S, classes + 1), void last.
        mask_logits: (h, w, S).
        size: Height and width of the model's input.
        things: Classes whose objects are told apart.
        config: Method and thresholds.
        stride: Stride of the masks; None resizes with aligned corners.
        labels: One per class, or none.

    Returns:
        Segments with ids from 1, best first. A score is the mean over a segment's pixels of class probability times mask probability.
        `semantic` of the result is the class of each pixel's most probable slot, whatever the thresholds.

    Raises:
        ValueError: for shapes that do not fit, or numbers that are not finite.
    """
    maps = slot_maps(class_logits, mask_logits, size, things, config, stride)
    owner, classes = maps.slots, maps.classes  # (H, W), (S,)
    slots = len(classes)
    thing = np.isin(classes, things)
    counts = np.bincount((owner + 1).ravel(), minlength=slots + 1)[1:]  # (S,)
    weights = maps.scores * np.concatenate([[0], maps.confidence])[owner + 1].astype(np.float32)
    sums = np.bincount((owner + 1).ravel(), weights.ravel(), slots + 1)[1:]
    groups: list[tuple[int, np.ndarray]] = [(int(classes[slot]), np.array([slot])) for slot in np.flatnonzero(thing & (counts > 0))]
    groups += [(int(name), np.flatnonzero(~thing & (classes == name))) for name in np.unique(classes[~thing & (counts > 0)])]
    segments = []
    for name, members in groups:
        area, limit = int(counts[members].sum()), config.thing_area if name in things else config.stuff_area
        if area >= max(limit, 1):
            segments.append((float(sums[members].sum() / area), name, area, members))
    segments.sort(key=lambda segment: -segment[0])
    ids, info = np.zeros(slots + 1, np.int32), []
    for number, (score, name, area, members) in enumerate(segments, 1):
        ids[members + 1] = number
        info.append({"id": number, "label_id": name, "score": score, "area": area})
    return Segmentation(ids[owner + 1], info, labels, classes[maps.best].astype(np.int32))


def slot_maps(
    class_logits: np.ndarray,
    mask_logits: np.ndarray,
    size: tuple[int, int],
    things: tuple[int, ...],
    config: PostprocessConfig,
    stride: int | None = None,
) -> SlotMaps:
    """Return the slot of each pixel; arguments as of :func:`decode_masks`."""
    class_logits, mask_logits = np.asarray(class_logits, np.float32), np.asarray(mask_logits, np.float32)
    if class_logits.ndim != 2 or mask_logits.ndim != 3 or mask_logits.shape[2] != class_logits.shape[0]:
        raise ValueError(
            "decode: expected class logits (slots, classes + 1) and mask logits (h, w, slots), "
            f"found {class_logits.shape} and {mask_logits.shape}"
        )
    if not (np.isfinite(class_logits).all() and np.isfinite(mask_logits).all()):
        raise NotFiniteError("decode: expected finite logits, found NaN or infinity; did training diverge?")
    probabilities = softmax(class_logits)[:, :-1]  # (S, classes)
    classes, confidence = probabilities.argmax(1), probabilities.max(1)
    thing = np.isin(classes, things)
    confident = confidence >= np.where(thing, np.float32(config.thing_threshold), np.float32(config.stuff_threshold))  # (S,)
    if config.method == "pixelwise":
        slots, best, scores = _pixelwise(mask_logits, size, confident, config.pixel_threshold, stride)
        return SlotMaps(slots, best, scores, np.arange(len(classes)), classes, confidence)
    order = paste_order(mask_logits, confidence, config)
    any_confident = (confidence >= min(config.thing_threshold, config.stuff_threshold)).any()
    slots, best, scores = _maskwise(mask_logits, size, order, confident, config, stride)
    if not any_confident:
        scores = np.zeros_like(scores)
    return SlotMaps(slots, best, scores, order, classes, confidence)


def paste_order(mask_logits: np.ndarray, confidence: np.ndarray, config: PostprocessConfig) -> np.ndarray:
    """Sort slots by falling score, stably: class probability times mean mask probability over the mask's pixels, each to its power."""
    slots, threshold = len(confidence), np.float32(config.pixel_threshold)
    pixels = two_best_slots(mask_logits, mask_logits.shape[:2]) if threshold >= TWO_AT_MOST else None
    if pixels is None:
        probabilities = softmax(mask_logits).reshape(-1, slots)  # (h w, S)
        inside = probabilities > threshold
        sums, count = (probabilities * inside).sum(0), inside.sum(0)
    else:
        _, owners, scores = pixels.members(threshold)
        sums, count = np.bincount(owners, scores, slots), np.bincount(owners, minlength=slots)
    means = np.where(count > 0, sums / np.maximum(count, 1), 0).astype(np.float32)
    scores = confidence ** np.float32(config.class_weight) * means ** np.float32(config.mask_weight)
    return np.argsort(-scores, kind="stable")


def _pixelwise(
    mask_logits: np.ndarray, size: tuple[int, int], confident: np.ndarray, threshold: float, stride: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    pixels = two_best_slots(mask_logits, size, stride, confident) if confident.any() else None
    if pixels is not None:
        detected = confident[pixels.best] & (pixels.scores > np.float32(threshold))
        return np.where(detected, pixels.best, -1), pixels.best, pixels.scores
    slots, best, scores = np.full(size, -1, np.int32), np.zeros(size, np.int32), np.zeros(size, np.float32)
    for place, logits, chosen in upsampled(mask_logits, size, stride, confident):  # (s, r, c) of the slots `chosen`
        highest = logits.max(0)
        top = chosen[first_at(logits, highest)]  # (r, c)
        best[place] = top
        detected = confident[chosen]
        if not detected.all():
            logits = logits[detected]
            highest = logits.max(0) if len(logits) else highest
        if len(logits):
            logits -= highest
            score = 1 / np.exp(logits, out=logits).sum(0)
            scores[place] = score
            slots[place] = np.where(confident[top] & (score > np.float32(threshold)), top, -1)
    return slots, best, scores


def _maskwise(
    mask_logits: np.ndarray, size: tuple[int, int], order: np.ndarray, confident: np.ndarray, config: PostprocessConfig, stride: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Paste masks by their scores. Below a threshold of a half, several masks can contain one pixel: all of them are considered."""
    threshold = np.float32(config.pixel_threshold)
    pixels = two_best_slots(mask_logits, size, stride) if threshold >= TWO_AT_MOST else None
    if pixels is None:
        best, scores, place, owner = _members(mask_logits, size, threshold, stride)
    else:
        best, scores, (place, owner, _) = pixels.best, pixels.scores, pixels.members(threshold)
    by_slot = np.argsort(owner.astype(np.uint16 if len(order) < 1 << 16 else np.int64), kind="stable")  # 16 bits sort in linear time
    place, ends = place[by_slot], np.cumsum(np.bincount(owner, minlength=len(order)))
    slots = np.full(size, -1, np.int32)
    flat = slots.reshape(-1)
    for slot in order:
        inside = place[ends[slot - 1] if slot else 0 : ends[slot]]
        if not confident[slot]:
            continue
        left = inside[flat[inside] < 0]
        if len(left) > len(inside) * config.overlap:
            flat[left] = slot
    return slots, best, scores


def _members(
    mask_logits: np.ndarray, size: tuple[int, int], threshold: np.float32, stride: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the best slot of each pixel and its probability, and pairs of pixel and slot whose probability is above the threshold."""
    best, scores = np.zeros(size, np.int32), np.zeros(size, np.float32)
    places, owners = [], []
    for place, logits, chosen in upsampled(mask_logits, size, stride):  # (s, r, c) of the slots `chosen`
        highest = logits.max(0)
        best[place] = chosen[first_at(logits, highest)]
        logits -= highest
        total = np.exp(logits, out=logits).sum(0)
        scores[place] = 1 / total
        inside = np.flatnonzero(logits > threshold * total)
        slot, inside = np.divmod(inside, total.size)
        row, column = np.divmod(inside, total.shape[1])
        places.append((place[0].start + row) * size[1] + place[1].start + column)
        owners.append(chosen[slot])
    return best, scores, np.concatenate(places), np.concatenate(owners)
