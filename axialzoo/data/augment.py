"""Policies of augmentation: which geometry and which colours are drawn for a sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from axialzoo.data.colour import draw_colours
from axialzoo.data.dataset import Sample
from axialzoo.data.elastic import bend, displacement
from axialzoo.data.geometry import Geometry
from axialzoo.spec.check import require, require_number

POLICIES = ("crop", "resized_crop", "scale_crop")


@dataclass(frozen=True)
class ScaleCrop:
    """Large-scale jitter for boxes and segments: resize by a random factor, cut or pad to size, mirror.

    Source: Ghiasi et al. 2021, "Simple Copy-Paste", section 3 (scales 0.1 to 2.0 there; 0.5 to 2.0 in DeepLab).

    Attributes:
        scales: Smallest and largest factor, 1 being where the picture just fits; drawn evenly in their logarithm.
        mirror: Whether every other picture is mirrored.
        turns: Whether to turn by a random number of quarters, for pictures without up and down.
        colour: How far brightness, contrast, saturation and gamma move: 0.2 is 80 to 120 %; 0 for never.
        tint: How far red, green and blue move, each alone, as under another light: 0.2 is 80 to 120 %; 0 for never.
        elastic: Standard deviation of elastic displacement in pixels of the picture, for segments; 0 for none.
        mosaic: Share of the samples that are four pictures in one; each then fills its quarter (factors from 1 on).
        visible: Objects of boxes are dropped where less of their area is left.
    """

    scales: tuple[float, float] = (0.5, 2.0)
    mirror: bool = True
    turns: bool = False
    colour: float = 0.2
    tint: float = 0.0
    elastic: float = 0.0
    mosaic: float = 0.0
    visible: float = 0.25

    def __post_init__(self):
        ok = len(self.scales) == 2 and 0 < self.scales[0] <= self.scales[1] <= 100
        require(ok, f"ScaleCrop.scales: expected a smaller and a larger factor above 0, found {self.scales!r}")
        for name in ("mirror", "turns"):
            require(isinstance(getattr(self, name), bool), f"ScaleCrop.{name}: expected a bool, found {getattr(self, name)!r}")
        for name in ("colour", "tint"):
            require_number("ScaleCrop", name, getattr(self, name), 0.0, 0.9)
        require_number("ScaleCrop", "elastic", self.elastic, 0.0, 100.0)
        for name in ("mosaic", "visible"):
            require_number("ScaleCrop", name, getattr(self, name), 0.0, 1.0)

    def draw(self, height: int, width: int, size: tuple[int, int], rng: np.random.Generator) -> Geometry:
        """A geometry for a picture of `height` x `width` on a canvas of `size`."""
        turns = int(rng.integers(4)) if self.turns else 0
        mirrored = bool(rng.integers(2)) if self.mirror else False
        target = size[::-1] if turns % 2 else size  # the canvas as the picture sees it before it is turned
        factor = np.exp(rng.uniform(*np.log(self.scales))) * min(target[0] / height, target[1] / width)
        places, taken = [], []
        for side, room in zip((height, width), target):
            scaled = max(round(side * factor), 1)
            shown = min(scaled, room)
            start = int(rng.integers(scaled - shown + 1))
            places.append((start * side / scaled, min((start + shown) * side / scaled, side)))
            taken.append(shown)
        (top, bottom), (left, right) = places
        rows, columns = taken[::-1] if turns % 2 else taken
        at = int(rng.integers(size[0] - rows + 1)), int(rng.integers(size[1] - columns + 1))
        return Geometry((left, top, right, bottom), (taken[0], taken[1]), size, at, turns, mirrored, self.visible)

    def __call__(self, sample: Sample, size: tuple[int, int], fill: tuple[int, ...], rng: np.random.Generator) -> Sample:
        """`sample` augmented, its picture (H, W) of `size`; `fill` is the colour where there is no picture."""
        if self.colour or self.tint:
            sample = Sample(sample.name, draw_colours(self.colour, rng, self.tint).picture(sample.picture), sample.truth)
        height, width = sample.picture.height, sample.picture.width
        if self.elastic:
            sample = bend(sample, displacement(height, width, self.elastic, rng))
        return self.draw(height, width, size, rng).sample(sample, fill)


def random_resized_crop(image: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
    """35 to 100 % of the picture's area, of aspect 3/4 to 4/3, resized to (size, size, 3), mirrored every other time."""
    width, height = image.size
    area, aspect = width * height * rng.uniform(0.35, 1.0), np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
    w, h = min(round((area * aspect) ** 0.5), width), min(round((area / aspect) ** 0.5), height)
    left, top = rng.integers(0, width - w + 1), rng.integers(0, height - h + 1)
    image = image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + max(w, 1), top + max(h, 1)))
    pixels = np.asarray(image.convert("RGB"))
    return pixels[:, ::-1] if rng.integers(2) else pixels
