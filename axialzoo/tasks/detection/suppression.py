"""Non-maximum suppression within each class: greedy, and Soft-NMS (arXiv:1704.04503).

The overlap of two boxes is their intersection over union. It is 0 for a box of no area, which neither suppresses nor is suppressed.
Among boxes of equal score the lower index comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

BLOCK = 128  # boxes decided together; a block against CHUNK others takes half a MiB an array, which stays in the cache
CHUNK = 512


def suppress(boxes: np.ndarray, scores: np.ndarray, indices: np.ndarray, *, overlap: float = 0.6, limit: int | None = None) -> np.ndarray:
    """Return the boxes that stay: best first, each removes those of its class that it overlaps by more than `overlap`.

    Args:
        boxes: (n, 4) left, top, right, bottom.
        scores: (n,).
        indices: (n,) the class of each.
        overlap: Intersection over union, 0 to 1, above which a box is taken away.
        limit: How many stay at most; None for all.

    Returns:
        (k,) int64 positions, by falling score.

    Raises:
        ValueError: for arrays that do not fit together or are not finite, or an overlap outside of 0 to 1.

    Example:
        >>> import numpy as np
        >>> boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]])
        >>> suppress(boxes, np.array([0.8, 0.9, 0.7]), np.array([0, 0, 0])).tolist()
        [1, 2]
    """
    boxes, scores, indices = _checked(boxes, scores, indices, overlap)
    keep = [members[_greedy(boxes[members], overlap, limit)] for members in _classes(scores, indices)]
    return _best(np.concatenate([*keep, np.zeros(0, np.int64)]), scores, limit)


def suppress_softly(
    boxes: np.ndarray,
    scores: np.ndarray,
    indices: np.ndarray,
    *,
    method: str = "gaussian",
    sigma: float = 0.5,
    overlap: float = 0.3,
    threshold: float = 0.001,
    limit: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Apply Soft-NMS: a box lowers the scores of boxes of its class that it overlaps, instead of removing them.

    Args:
        boxes, scores, indices, limit: As for :func:`suppress`.
        method: ``"gaussian"`` multiplies a score by exp(-overlap^2 / sigma); ``"linear"`` by 1 - overlap, where that is above `overlap`.
        sigma: Of ``"gaussian"``.
        overlap: Of ``"linear"``: intersection over union from which a score is lowered.
        threshold: Boxes whose score falls below are dropped.

    Returns:
        Positions, (k,) int64, by falling lowered score; and those scores, (k,).

    Raises:
        ValueError: as :func:`suppress`, and for another method.
    """
    if method not in ("gaussian", "linear"):
        raise ValueError(f"method: expected 'gaussian' or 'linear', found {method!r}")
    if not sigma > 0:
        raise ValueError(f"sigma: expected more than 0, found {sigma}")
    boxes, scores, indices = _checked(boxes, scores, indices, overlap)

    def share(overlaps: np.ndarray) -> np.ndarray:
        return np.exp(-(overlaps**2) / sigma) if method == "gaussian" else np.where(overlaps > overlap, 1 - overlaps, 1.0)

    lowered = scores.copy()
    keep = []
    for members in _classes(scores, indices):
        picked, values = _soft(boxes[members], scores[members], share, threshold, limit)
        keep.append(members[picked])
        lowered[members[picked]] = values
    best = _best(np.concatenate([*keep, np.zeros(0, np.int64)]), lowered, limit)
    return best, lowered[best]


def overlaps(boxes: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return intersection and union, (n, m) each, of boxes (n, 4) with boxes (m, 4)."""
    x1, y1, x2, y2 = boxes.T[:, :, None]  # (n, 1) each
    left, top, right, bottom = others.T  # (m,) each
    width = np.maximum(np.minimum(x2, right) - np.maximum(x1, left), 0)  # (n, m)
    intersection = np.maximum(np.minimum(y2, bottom) - np.maximum(y1, top), 0)
    intersection *= width
    union = (x2 - x1) * (y2 - y1) + (right - left) * (bottom - top) - intersection
    return intersection, union


def _greedy(boxes: np.ndarray, overlap: float, limit: int | None) -> np.ndarray:
    """Return the positions of the boxes that stay, of boxes sorted by falling score.

    A block is decided at once; then the boxes that it suppresses are removed from the rest. The rest lies in chunks from left to right,
    and a chunk is compared only with the boxes of the block that reach it.
    """
    chunks = np.split(np.argsort(boxes[:, 0], kind="stable"), range(CHUNK, len(boxes), CHUNK))
    alive = np.ones(len(boxes), bool)
    keep: list[np.ndarray] = []
    count = 0
    while alive.any() and (limit is None or count < limit):
        block = np.flatnonzero(alive)[:BLOCK]
        alive[block] = False
        near = _near(boxes[block], boxes[block], overlap)  # (B, B)
        stays = np.ones(len(block), bool)
        for row in np.flatnonzero(near.sum(1) > 1):  # those that overlap others than themselves
            if stays[row]:
                stays[row + 1 :] &= ~near[row, row + 1 :]
        block = block[stays]
        keep.append(block)
        count += len(block)
        chunks = [chunk for chunk in (chunk[alive[chunk]] for chunk in chunks) if len(chunk)]
        for chunk in chunks:
            left, right = boxes[chunk[0], 0], boxes[chunk, 2].max()
            reach = block[(boxes[block, 0] < right) & (boxes[block, 2] > left)]
            alive[chunk[_near(boxes[reach], boxes[chunk], overlap).any(0)]] = False
    return np.concatenate([*keep, np.zeros(0, np.int64)])


def _near(boxes: np.ndarray, others: np.ndarray, overlap: float) -> np.ndarray:
    """Return (n, m) bool: whether boxes overlap by more than `overlap`. It does not divide, so boxes of no area are safe."""
    intersection, union = overlaps(boxes, others)
    union *= overlap
    return intersection > union


def _soft(boxes: np.ndarray, scores: np.ndarray, share: Callable, threshold: float, limit: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and lowered scores, in the order of picking, of boxes sorted by falling score."""
    rest = np.flatnonzero(scores >= threshold)
    scores = scores[rest]
    picked, values = [], []
    while len(rest) and (limit is None or len(picked) < limit):
        best = int(np.argmax(scores))  # the first of equals
        picked.append(rest[best])
        values.append(scores[best])
        intersection, union = overlaps(boxes[rest[best]][None], boxes[rest])  # (1, m)
        scores = scores * share(intersection[0] / np.where(union[0] > 0, union[0], 1))
        stays = scores >= threshold
        stays[best] = False
        rest, scores = rest[stays], scores[stays]
    return np.array(picked, np.int64), np.array(values)


def _classes(scores: np.ndarray, indices: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the positions of each class by falling score; the lower of equals comes first."""
    order = np.lexsort((-scores, indices))  # stable
    if len(order):
        yield from np.split(order, np.flatnonzero(np.diff(indices[order])) + 1)


def _best(keep: np.ndarray, scores: np.ndarray, limit: int | None) -> np.ndarray:
    return keep[np.lexsort((keep, -scores[keep]))][:limit]


def _checked(boxes: np.ndarray, scores: np.ndarray, indices: np.ndarray, overlap: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    boxes, scores, indices = np.asarray(boxes, np.float64), np.asarray(scores, np.float64), np.asarray(indices)
    n = len(boxes)
    if boxes.shape != (n, 4) or scores.shape != (n,) or indices.shape != (n,):
        raise ValueError(
            f"boxes, scores, indices: expected (n, 4), (n,), (n,), found {boxes.shape}, {np.shape(scores)}, {np.shape(indices)}"
        )
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise ValueError("boxes, scores: expected finite numbers, found NaN or infinity; the network's outputs are not usable")
    if (boxes[:, :2] > boxes[:, 2:]).any():
        bad = boxes[np.flatnonzero((boxes[:, :2] > boxes[:, 2:]).any(1))[0]].tolist()
        raise ValueError(f"boxes: expected left, top, right, bottom with left <= right and top <= bottom, found {bad}")
    if not 0 <= overlap <= 1:
        raise ValueError(f"overlap: expected 0 to 1, found {overlap}")
    return boxes, scores, indices
