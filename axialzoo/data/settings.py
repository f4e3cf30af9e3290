"""Settings of training data, the part of a recipe about batches and augmentation."""

from __future__ import annotations

from dataclasses import dataclass, field

from axialzoo.data.augment import POLICIES, ScaleCrop
from axialzoo.spec import Preprocessing
from axialzoo.spec.check import require, require_choice, require_count, require_number


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Settings of training batches.

    Attributes:
        preprocessing: At evaluation; training shares its mean and deviation.
        epochs: Passes over the training images.
        progressive_sizes: (share of the training, side): images are this size until this share is done.
        batch_size: Over all processes together.
        augment: ``"crop"``: mirrored every other epoch, shifted by up to `crop_padding` pixels, cropped to size;
            ``"resized_crop"``: mirrored at random, a random 35 to 100 % of the area resized to size;
            ``"scale_crop"``: boxes and segments moved along, as `scale_crop` says.
        crop_padding: Pixels of reflected border that ``"crop"`` adds.
        scale_crop: Settings of ``"scale_crop"``.
        kind_balance: How far kinds of pictures of which there are few are drawn more often: of a kind with n pictures each counts
            ``n ** -kind_balance``. 0: every picture once an epoch; 1: every kind equally often. For data that name kinds.
        seed: Of the order and the augmentation, and of a recipe's weights.
    """

    preprocessing: Preprocessing
    epochs: int = 10
    progressive_sizes: tuple[tuple[float, int], ...] = ()
    batch_size: int = 128
    augment: str = "crop"
    crop_padding: int = 4
    scale_crop: ScaleCrop = field(default_factory=ScaleCrop)
    kind_balance: float = 0.0
    seed: int = 0

    def __post_init__(self):
        owner = type(self).__name__
        for name, least in (("epochs", 1), ("batch_size", 1), ("crop_padding", 0), ("seed", 0)):
            require_count(owner, name, getattr(self, name), least)
        require_choice(owner, "augment", self.augment, POLICIES)
        for stage in self.progressive_sizes:
            ok = isinstance(stage, (tuple, list)) and len(stage) == 2
            require(
                ok, f"{owner}.progressive_sizes: expected pairs such as [[0.5, 128]], a share of the training and a side, found {stage!r}"
            )
            require_number(owner, "progressive_sizes", stage[0], 0.0, 1.0)
            require_count(owner, "progressive_sizes", stage[1])

    def size(self, step: int, steps: int) -> int:
        """Return the side of the training images at step `step` of `steps`."""
        for share, side in self.progressive_sizes:
            if step < share * steps:
                return side
        return self.preprocessing.size[0]
