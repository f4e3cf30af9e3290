"""Decodes the slots of a mask transformer to segments, pixel by pixel or mask by mask, as deeplab2 does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from axialzoo.spec.heads.mask_parts import PostprocessConfig
from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Segmentation

ROWS, COLUMNS = 4, 64  # pixels of a block, whose logits stay in the cache
NEGLIGIBLE = 24.0  # how far below another logit one has no part in a softmax in float32


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
        raise ValueError("decode: expected finite logits, found NaN or infinity; did training diverge?")
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
    probabilities = softmax(mask_logits).reshape(-1, len(confidence))  # (h w, S)
    inside = probabilities > np.float32(config.pixel_threshold)
    sums, count = (probabilities * inside).sum(0), inside.sum(0)
    means = np.where(count > 0, sums / np.maximum(count, 1), 0).astype(np.float32)
    scores = confidence ** np.float32(config.class_weight) * means ** np.float32(config.mask_weight)
    return np.argsort(-scores, kind="stable")


def _pixelwise(
    mask_logits: np.ndarray, size: tuple[int, int], confident: np.ndarray, threshold: float, stride: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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
    slots, best, scores = np.full(size, -1, np.int32), np.zeros(size, np.int32), np.zeros(size, np.float32)
    places, owners = [], []
    threshold = np.float32(config.pixel_threshold)
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
    place, owner = np.concatenate(places), np.concatenate(owners)
    by_slot = np.argsort(owner, kind="stable")
    place, ends = place[by_slot], np.cumsum(np.bincount(owner, minlength=len(order)))
    flat = slots.reshape(-1)
    for slot in order:
        pixels = place[ends[slot - 1] if slot else 0 : ends[slot]]
        if not confident[slot]:
            continue
        left = pixels[flat[pixels] < 0]
        if len(left) > len(pixels) * config.overlap:
            flat[left] = slot
    return slots, best, scores


def first_at(values: np.ndarray, highest: np.ndarray) -> np.ndarray:
    """Return ``values.argmax(0)``, (r, c) of (s, r, c), of which `highest` is the maximum; much faster, as numpy's walks along columns."""
    equal = (values == highest).reshape(len(values), -1).astype(np.float32)
    place = np.arange(len(values), dtype=np.float32) @ equal  # (r c,): the sum of the places that are highest
    tied = np.ones(len(values), np.float32) @ equal > 1
    index = place.astype(np.int64)
    index[tied] = equal[:, tied].argmax(0)
    return index.reshape(highest.shape)


def upsampled(
    maps: np.ndarray, size: tuple[int, int], stride: int | None, always: np.ndarray | None = None
) -> Iterator[tuple[tuple[slice, slice], np.ndarray, np.ndarray]]:
    """Upsample maps (h, w, S) to `size`, bilinear. Yields for each block: (rows, columns), (s, r, c) float32, and the indices of its slots.

    A block leaves out slots whose probability is below 1e-10 everywhere in it.

    Args:
        maps: The maps.
        size: Height and width.
        stride: Stride of the maps; None for aligned corners.
        always: (S,) bool, slots whose probabilities among themselves count too, so that only slots below these are left out.
    """
    maps = np.ascontiguousarray(maps.transpose(2, 0, 1))  # (S, h, w)
    rows, columns = (_pieces(length, side, stride, step) for length, side, step in zip(size, maps.shape[1:], (ROWS, COLUMNS)))
    for row, above, row_matrix in rows:
        lines = maps[:, above]  # (S, i, w)
        for column, before, column_matrix in columns:
            part = lines[:, :, before].reshape(len(maps), -1)  # (S, i j)
            high, low = part.max(1), part.min(1)
            bound = low.max() if always is None or not always.any() else min(low.max(), low[always].max())
            chosen = np.flatnonzero(high > bound - NEGLIGIBLE)
            matrix = np.einsum("ir,jc->ijrc", row_matrix, column_matrix).reshape(part.shape[1], -1)  # (i j, r c)
            grown = (part if len(chosen) == len(part) else part[chosen]) @ matrix
            yield (row, column), grown.reshape(len(chosen), row_matrix.shape[1], -1), chosen  # (s, r, c)


def _pieces(length: int, side: int, stride: int | None, step: int) -> list[tuple[slice, slice, np.ndarray]]:
    """Return, for every `step` pixels of an axis: these, the positions that they are made of, and the matrix from positions to pixels."""
    low, high, share = _places(length, side, stride)
    pieces = []
    for start in range(0, length, step):
        stop = min(start + step, length)
        first, last = int(low[start]), int(high[stop - 1]) + 1
        matrix, at = np.zeros((last - first, stop - start), np.float32), np.arange(stop - start)
        np.add.at(matrix, (low[start:stop] - first, at), 1 - share[start:stop])
        np.add.at(matrix, (high[start:stop] - first, at), share[start:stop])
        pieces.append((slice(start, stop), slice(first, last), matrix))
    return pieces


def _places(length: int, side: int, stride: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for each of `length` pixels, the positions before and after it among `side`, and its fraction of the way between them."""
    place = np.arange(length) * ((side - 1) / max(length - 1, 1)) if stride is None else np.minimum(np.arange(length) / stride, side - 1)
    low = np.minimum(place.astype(np.int64), max(side - 2, 0))
    return low, np.minimum(low + 1, side - 1), (place - low).astype(np.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the softmax over the last axis."""
    part = np.exp(logits - logits.max(-1, keepdims=True))
    return part / part.sum(-1, keepdims=True)
