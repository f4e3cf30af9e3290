"""Preprocessing of a picture for a model."""

from __future__ import annotations

from dataclasses import dataclass

from axialzoo.spec.check import require, require_choice, require_count, require_number


@dataclass(frozen=True)
class Preprocessing:
    """Resize, crop the centre, scale to [0, 1], normalise per channel.

    Attributes:
        size: Height and width that the model gets, in pixels.
        resize: ``"shorter"``: the shorter side to `size / crop`, then the centre is cropped;
            ``"longer"``: as large as fits into `size` with its proportions kept, at the top left; the rest is padding of the
            mean colour, which is about 0 once normalised;
            ``"squash"``: both sides to `size`; ``"none"``: the picture as it is.
        interpolation: Pillow's filter.
        crop: Share of the resized picture that the centre crop keeps, per side.
        mean, std: Per channel, of values in [0, 1].
        per_image: First stretch the picture's own values: its 0.1 to 99.9 percentiles, of all channels together, become 0 to 255.
            For pictures without a common exposure, such as microscopy.
        channel_order: ``"rgb"``, or ``"bgr"`` for weights that were trained on pictures read by OpenCV. Pictures and tensors to preprocess
            are always RGB; `mean` and `std` are in the model's order.
    """

    size: tuple[int, int] = (224, 224)
    resize: str = "shorter"
    interpolation: str = "bicubic"
    crop: float = 0.875
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    per_image: bool = False
    channel_order: str = "rgb"

    def __post_init__(self):
        require(len(self.size) == 2, f"Preprocessing.size: expected (height, width), found {self.size!r}")
        for side in self.size:
            require_count("Preprocessing", "size", side)
        require_choice("Preprocessing", "resize", self.resize, ("shorter", "longer", "squash", "none"))
        require_choice("Preprocessing", "interpolation", self.interpolation, ("nearest", "bilinear", "bicubic", "lanczos", "box"))
        require_number("Preprocessing", "crop", self.crop, 0.01, 1.0)
        require(isinstance(self.per_image, bool), f"Preprocessing.per_image: expected a bool, found {self.per_image!r}")
        require(
            len(self.mean) == len(self.std) and len(self.mean) > 0,
            f"Preprocessing.mean and .std: expected one value per channel in each, found {self.mean!r} and {self.std!r}",
        )
        require_choice("Preprocessing", "channel_order", self.channel_order, ("rgb", "bgr"))
        require(
            self.channel_order == "rgb" or len(self.mean) == 3,
            f"Preprocessing.channel_order: expected 'rgb' for {len(self.mean)} channels, found {self.channel_order!r}",
        )
        for value in self.mean:
            require_number("Preprocessing", "mean", value, -1e6, 1e6)
        for value in self.std:
            require_number("Preprocessing", "std", value, 1e-12, 1e6)
