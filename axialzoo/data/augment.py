"""Policies of augmentation: which geometry and which colours are drawn for a sample."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from axialzoo.data.colour import Colours, draw_colours
from axialzoo.data.dataset import Sample
from axialzoo.data.elastic import displacement, elastic_deform
from axialzoo.data.geometry import Geometry
from axialzoo.spec.check import require, require_count, require_number
from axialzoo.tasks.results import Segmentation

POLICIES = ("crop", "resized_crop", "scale_crop")


@dataclass(frozen=True)
class ScaleCrop:
    """Large-scale jitter for boxes and segments: resize by a random factor, cut or pad to size, mirror.

    Source: Ghiasi et al. 2021, "Simple Copy-Paste", section 3 (scales 0.1 to 2.0 there; 0.5 to 2.0 in DeepLab).

    Attributes:
        scales: Smallest and largest factor, 1 being where the picture just fits; drawn evenly in their logarithm.
        native: Whether factor 1 is the picture at its own resolution instead, of which a crop is cut: for pictures of any size whose
            objects have a size in pixels, as under a microscope.
        tries: Crops drawn at most until one shows an object, for segments; 1 takes the first, empty or not.
        hflip: Whether every other picture is mirrored.
        rot90: Whether to turn by a random number of quarters, for pictures without up and down.
        color_jitter: How far brightness, contrast, saturation and gamma move: 0.2 is 80 to 120 %; 0 for never.
        color_cast: How far red, green and blue move, each alone, as under another light: 0.2 is 80 to 120 %; 0 for never.
        hue: How far the hue turns either way, as a share of the colour circle: 0.05 is 18 degrees; 0 for never.
        gray: Share of the pictures that lose their colours.
        invert: Share of the pictures that become their negative: dark objects on light ground and the reverse.
        elastic: Standard deviation of elastic displacement in pixels of the picture, for segments; 0 for none.
        mosaic: Share of the samples that are four pictures in one; each then fills its quarter (factors from 1 on).
        min_visible: Objects of boxes are dropped where less of their area is left.
    """

    scales: tuple[float, float] = (0.5, 2.0)
    hflip: bool = True
    rot90: bool = False
    color_jitter: float = 0.2
    color_cast: float = 0.0
    hue: float = 0.0
    gray: float = 0.0
    invert: float = 0.0
    elastic: float = 0.0
    mosaic: float = 0.0
    min_visible: float = 0.25
    native: bool = False
    tries: int = 1

    def __post_init__(self):
        ok = len(self.scales) == 2 and 0 < self.scales[0] <= self.scales[1] <= 100
        require(ok, f"ScaleCrop.scales: expected a smaller and a larger factor above 0, found {self.scales!r}")
        for name in ("hflip", "rot90", "native"):
            require(isinstance(getattr(self, name), bool), f"ScaleCrop.{name}: expected a bool, found {getattr(self, name)!r}")
        for name in ("color_jitter", "color_cast"):
            require_number("ScaleCrop", name, getattr(self, name), 0.0, 0.9)
        require_count("ScaleCrop", "tries", self.tries)
        require_number("ScaleCrop", "hue", self.hue, 0.0, 0.5)
        require_number("ScaleCrop", "elastic", self.elastic, 0.0, 100.0)
        for name in ("mosaic", "min_visible", "gray", "invert"):
            require_number("ScaleCrop", name, getattr(self, name), 0.0, 1.0)

    def draw(self, height: int, width: int, size: tuple[int, int], rng: np.random.Generator) -> Geometry:
        """Draw a geometry for a picture of `height` x `width` on a canvas of `size`."""
        turns = int(rng.integers(4)) if self.rot90 else 0
        mirrored = bool(rng.integers(2)) if self.hflip else False
        target = size[::-1] if turns % 2 else size  # the canvas as the picture sees it before it is turned
        fitting = 1.0 if self.native else min(target[0] / height, target[1] / width)
        factor = np.exp(rng.uniform(*np.log(self.scales))) * fitting
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
        return Geometry((left, top, right, bottom), (taken[0], taken[1]), size, at, turns, mirrored, self.min_visible)

    def __call__(self, sample: Sample, size: tuple[int, int], fill: tuple[int, ...], rng: np.random.Generator) -> Sample:
        """Return `sample` augmented, its picture (H, W) of `size`; `fill` is the colour where there is no picture."""
        height, width = sample.picture.height, sample.picture.width
        colours = self.colours(rng)
        if colours is not None and not self.native:  # contrast is about the mean of the whole picture
            sample, colours = Sample(sample.name, colours.picture(sample.picture), sample.annotation), None
        if self.elastic:
            sample = elastic_deform(sample, displacement(height, width, self.elastic, rng))
        geometry = self.draw(height, width, size, rng)
        for _ in range(self.tries - 1):
            if not isinstance(sample.annotation, Segmentation) or shows_object(
                geometry.map(sample.annotation.segmentation), sample.annotation
            ):
                break
            geometry = self.draw(height, width, size, rng)
        if colours is None:
            return geometry.sample(sample, fill)
        # of a large picture only the part that is shown is recoloured
        return geometry.sample(sample, fill, colours.picture)

    def colours(self, rng: np.random.Generator) -> Colours | None:
        """Draw other colours, or None where nothing changes."""
        if not (self.color_jitter or self.color_cast or self.hue or self.gray or self.invert):
            return None
        colours = draw_colours(self.color_jitter, rng, self.color_cast)
        if not (self.hue or self.gray or self.invert):
            return colours
        hue = float(rng.uniform(-self.hue, self.hue))
        gray, invert = (bool(draw < share) for draw, share in zip(rng.uniform(size=2), (self.gray, self.invert)))
        return replace(colours, hue=hue, saturation=0.0 if gray else colours.saturation, invert=invert)


def shows_object(ids: np.ndarray, annotation: Segmentation) -> bool:
    """Return whether a cut of a map has a pixel of a thing; without labels each segment is a thing."""
    things = [
        segment["id"]
        for segment in annotation.segments_info
        if not annotation.categories or annotation.categories[segment["label_id"]].thing
    ]
    is_thing = np.zeros(int(annotation.segmentation.max(initial=0)) + 1, bool)
    is_thing[things] = True
    return bool(is_thing[ids].any())


def random_resized_crop(image: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
    """Cut 35 to 100 % of the picture's area, of aspect 3/4 to 4/3, resized to (size, size, 3), mirrored every other time."""
    width, height = image.size
    area, aspect = width * height * rng.uniform(0.35, 1.0), np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
    w, h = min(round((area * aspect) ** 0.5), width), min(round((area / aspect) ** 0.5), height)
    left, top = rng.integers(0, width - w + 1), rng.integers(0, height - h + 1)
    image = image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + max(w, 1), top + max(h, 1)))
    pixels = np.asarray(image.convert("RGB"))
    return pixels[:, ::-1] if rng.integers(2) else pixels
