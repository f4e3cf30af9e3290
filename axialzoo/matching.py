"""Matches each annotated mask with a slot: the Hungarian method, on the host, for every framework."""

from __future__ import annotations

import warnings

import numpy as np


class UnmatchedMasksWarning(UserWarning):
    """More annotated masks than slots: some masks are matched with none."""


def match_masks(similarity: np.ndarray, exists: np.ndarray) -> np.ndarray:
    """Match masks with slots so that their similarities sum to the most.

    Where an image has more masks than slots, those that fit worst are matched with none: the losses leave them out, and a warning
    counts them. (deeplab2 matches them with columns of padding instead, which drown the loss: arXiv:2012.00759 has no such case.)

    Args:
        similarity: (N, M, S) of each mask and slot, from 0 to 1.
        exists: (N, M) bool, which masks the images have.

    Returns:
        (N, M) int32: the slot of each mask; -1 for none.

    Raises:
        ValueError: for similarities that are not finite.

    Example:
        >>> match_masks(np.array([[[0.9, 0.8], [0.7, 0.1]]]), np.ones((1, 2), bool)).tolist()
        [[1, 0]]
    """
    from scipy.optimize import linear_sum_assignment

    similarity, exists = np.asarray(similarity, np.float64), np.asarray(exists).astype(bool)
    if not np.isfinite(similarity[exists]).all():
        raise ValueError("matching: expected finite similarities of masks and slots, found NaN or infinity; did training diverge?")
    slots, left_out = np.full(exists.shape, -1, np.int32), 0
    for image, present in enumerate(exists):
        masks = np.flatnonzero(present)
        rows, columns = linear_sum_assignment(similarity[image, masks], maximize=True)
        slots[image, masks[rows]] = columns
        left_out += len(masks) - len(rows)
    if left_out:
        warnings.warn(
            f"{left_out} masks of {len(exists)} images are matched with no slot, as there are {similarity.shape[2]} slots; "
            "the losses leave them out; take a model with more slots",
            UnmatchedMasksWarning,
            stacklevel=2,
        )
    return slots
