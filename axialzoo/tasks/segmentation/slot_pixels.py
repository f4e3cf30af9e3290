"""Slots of single pixels: mask logits are resized bilinearly on the way, by the compiled kernel or block by block in numpy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from axialzoo.ops.kernels import kernel, needs_compiling
from axialzoo.ops.kernels.structures import AxialSlots

ROWS, COLUMNS = 4, 64  # pixels of a block, whose logits stay in the cache
NEGLIGIBLE = 24.0  # how far below another logit one has no part in a softmax in float32
LEFT_OUT = -1e30  # added to the logits of slots that a softmax leaves out


@dataclass(frozen=True, eq=False)
class SlotPixels:
    """The two best slots of each pixel.

    Attributes:
        best: (H, W) int32, slot with the largest logit.
        scores: (H, W) float32, largest probability of a slot.
        second: (H, W) int32, next slot; -1 where its probability is below 2 / 7. None where slots are left out of the softmax.
        second_scores: (H, W) float32, its probability; or None.
    """

    best: np.ndarray
    scores: np.ndarray
    second: np.ndarray | None
    second_scores: np.ndarray | None

    def members(self, threshold: np.float32) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return pixels, slots and probabilities, (n,) each, of all pairs above `threshold`, which is at least a third."""
        assert self.second is not None and self.second_scores is not None
        pairs = []
        for slots, scores in ((self.best, self.scores), (self.second, self.second_scores)):
            place = np.flatnonzero(scores > threshold)
            pairs.append((place, slots.reshape(-1)[place], scores.reshape(-1)[place]))
        places, owners, scores = (np.concatenate(arrays) for arrays in zip(*pairs))
        return places, owners, scores


def two_best_slots(
    maps: np.ndarray, size: tuple[int, int], stride: int | None = None, counted: np.ndarray | None = None
) -> SlotPixels | None:
    """Return the best slots of maps (h, w, S) at `size`, or None where there is no compiled kernel.

    Args:
        maps: Logits.
        size: Height and width of the result.
        stride: Stride of the maps; None for aligned corners.
        counted: (S,) bool, slots that the softmax is over, one at least; None for all.
    """
    compiled = None if needs_compiling() else kernel()  # numpy is faster than a compiler
    if compiled is None:
        return None
    maps = np.ascontiguousarray(maps, np.float32)
    axes = [_places(length, side, stride) for length, side in zip(size, maps.shape[:2])]
    (row, row_after, row_share), (column, column_after, column_share) = axes
    offsets = None
    if counted is not None and not counted.all():
        offsets = np.zeros(-(-len(counted) // 64) * 64, np.float32)
        offsets[: len(counted)][~counted] = LEFT_OUT
    best, scores = np.empty(size, np.int32), np.empty(size, np.float32)
    second, second_scores = (None, None) if counted is not None else (np.empty_like(best), np.empty_like(scores))
    arrays = (maps, row, row_after, column, column_after, row_share, column_share, offsets, best, second, scores, second_scores)
    pointers = [None if array is None else array.ctypes.data for array in arrays]
    compiled.run("slots", AxialSlots(*size, *maps.shape[1:], *pointers))
    return SlotPixels(best, scores, second, second_scores)


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
