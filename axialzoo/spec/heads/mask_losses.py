"""Constants, options and tensors that the losses of mask transformers share in both frameworks."""

from __future__ import annotations

from typing import Any, NamedTuple

from axialzoo.spec.heads.mask_transformer import MaskTransformer

MATCHED_WEIGHT = 0.75  # of matched slots; the others weigh 1 - 0.75
MIN_FACTOR = 1e-5  # of the losses of a mask or slot
TEMPERATURE = 0.3  # of similarities of pixels
SAMPLES = 4096  # pixels of the sampled instance discrimination


class Masks(NamedTuple):
    """Annotated masks at the stride of the predictions, as tensors.

    Attributes:
        one_hot: (N, P, M), 1 where a pixel is in a mask.
        classes: (N, M) integers, class of each mask; 0 where there is none.
        exists: (N, M) bool, masks that have a pixel.
        objects: (N, P), 1 at pixels of objects.
        void: (N, P), 1 where a pixel has no class.
    """

    one_hot: Any
    classes: Any
    exists: Any
    objects: Any
    void: Any


class Matching(NamedTuple):
    """Slot of each mask, and how well it fits, as tensors.

    Attributes:
        slots: (N, M, S), 1 where a mask has a slot.
        dice: (N, S), similarity of each slot and its mask; 0 without a mask.
        probability: (N, M), probability of a mask's class in its slot; 0 without a slot.
        void: (N, S), share of each slot's pixels that are void.
    """

    slots: Any
    dice: Any
    probability: Any
    void: Any


def resolve_options(head: MaskTransformer | None, sample_k: int | None) -> tuple[int, str]:
    """Return the number of sampled pixels, 0 for none, and the alignment of corners: those of the head's decoder if left out."""
    sampled = (SAMPLES if head is not None and head.kmeans is not None else 0) if sample_k is None else sample_k
    return sampled, "aligned" if head is None or head.pixel_decoder is None else head.pixel_decoder.corners
