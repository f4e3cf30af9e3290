"""Random colours: brightness, contrast, gamma, color cast, saturation, hue, negatives. Of pictures alone; labels do not see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps


@dataclass(frozen=True)
class Colours:
    """A change of a picture's colours: brightness, contrast, gamma, color cast, then saturation, hue and the negative.

    Attributes:
        brightness, contrast, saturation: Factors; contrast is about the picture's mean, saturation about its grey.
        gamma: Exponent of values from 0 to 1.
        color_cast: Factors of red, green and blue, as of another light or another camera's white balance.
        hue: How far the hue turns, as a share of the colour circle.
        invert: Whether the result is the negative: 255 less each value.
    """

    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    gamma: float = 1.0
    color_cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    hue: float = 0.0
    invert: bool = False

    def picture(self, picture: Image.Image) -> Image.Image:
        """Return `picture` (8-bit RGB) with other colours, of the same size."""
        values = np.arange(256) / 255
        counts = np.asarray(picture.convert("L").histogram())
        mean = float(counts @ values / counts.sum())
        values = (values * self.brightness - mean * self.brightness) * self.contrast + mean * self.brightness
        values = np.clip(values, 0, 1) ** self.gamma * np.array(self.color_cast)[:, None]  # (3, 256)
        out = picture.point(np.round(255 * values.clip(max=1)).astype(np.int64).reshape(-1).tolist())
        if self.saturation != 1.0:
            out = Image.blend(out.convert("L").convert("RGB"), out, self.saturation)
        if self.hue:
            hue, saturation, value = out.convert("HSV").split()
            turn = round(256 * self.hue)
            hue = hue.point([(level + turn) % 256 for level in range(256)])
            out = Image.merge("HSV", (hue, saturation, value)).convert("RGB")
        return ImageOps.invert(out) if self.invert else out


def draw_colours(strength: float, rng: np.random.Generator, color_cast: float = 0.0) -> Colours:
    """Draw each factor between ``1 - strength`` and ``1 + strength``; gamma between their inverse and themselves, so that the middle is 1.

    Factors of red, green and blue are between ``1 - color_cast`` and ``1 + color_cast``, each drawn alone.
    """
    brightness, contrast, saturation = 1 + rng.uniform(-strength, strength, 3)
    gamma = float(np.exp(rng.uniform(-strength, strength)))
    red, green, blue = 1 + rng.uniform(-color_cast, color_cast, 3) if color_cast else (1.0, 1.0, 1.0)
    return Colours(brightness, contrast, saturation, gamma, (red, green, blue))
