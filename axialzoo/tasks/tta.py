"""Test-time augmentation: tiles (a sliding window), horizontal flip and several scales."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import numpy as np

from axialzoo.spec import SpecError
from axialzoo.spec.model import size_pair
from axialzoo.spec.renamed import renamed_hint

tile_progress: ContextVar[Callable[[int, int], None] | None] = ContextVar("tile_progress", default=None)
"""Gets the number of finished tiles of a picture and of all its tiles, where it is set."""

Compute = Callable[[np.ndarray], Mapping[str, Any]]
"""From model inputs (N, H, W, C) to outputs by name, the batch first."""


@dataclass(frozen=True)
class TTA:
    """Test-time augmentation. `tta_from_options` makes one from a user's options.

    Attributes:
        tile: Height and width of overlapping tiles, in pixels of the model's input; None for the whole picture at once.
        overlap: Rows and columns that neighbouring tiles share at least.
        hflip: Predict the mirrored picture too, and take the mean.
        scales: Predict the picture at these sizes, as multiples of the model's input, and take the mean.
    """

    tile: tuple[int, int] | None = None
    overlap: tuple[int, int] = (0, 0)
    hflip: bool = False
    scales: tuple[float, ...] = (1.0,)

    def __post_init__(self):
        if self.tile is not None and not all(0 <= common < side for common, side in zip(self.overlap, self.tile)):
            raise SpecError(f"overlap: expected from 0 to less than the tile's {_by(self.tile)}, found {_by(self.overlap)}")
        if self.tile is None and self.overlap != (0, 0):
            raise SpecError(f"overlap: expected with tile alone, found {_by(self.overlap)} and no tile")
        if not self.scales or not all(math.isfinite(scale) and 0.1 <= scale <= 10 for scale in self.scales):
            scales = ", ".join(f"{scale:g}" for scale in self.scales)
            raise SpecError(f"scales: expected one or more numbers from 0.1 to 10, found {scales}")
        if len(set(self.scales)) < len(self.scales):
            raise SpecError(f"scales: expected each once, found {', '.join(f'{scale:g}' for scale in self.scales)}")

    @property
    def options(self) -> dict[str, Any]:
        """Options that differ from the default, as JSON; empty without test-time augmentation."""
        options: dict[str, Any] = {}
        if self.tile is not None:
            options |= {"tile": _by(self.tile), "overlap": _by(self.overlap)}
        if self.hflip:
            options["hflip"] = True
        return options if self.scales == (1.0,) else {**options, "scales": list(self.scales)}

    def ways(self, size: tuple[int, int]) -> Iterator[tuple[tuple[int, int], bool]]:
        """Yield the height and width of each view of an input of `size`, and whether it is mirrored."""
        for scale in self.scales:
            scaled = max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)
            for hflip in (False, True) if self.hflip else (False,):
                yield scaled, hflip


class TTAOptions(TypedDict, total=False):
    """Keyword arguments of test-time augmentation.

    Attributes:
        tile: A side, (height, width) or ``"513x513"``, in pixels of the model's input; None for the whole picture at once.
        overlap: Pixels, or (rows, columns), that neighbouring tiles share at least; default a quarter of the tile.
        hflip: Whether to predict the mirrored picture too.
        scales: Sizes at which to predict the picture, as multiples of the model's input.
    """

    tile: int | str | Sequence[int] | None
    overlap: int | Sequence[int] | None
    hflip: bool
    scales: Sequence[float]


def tta_from_options(**options: Unpack[TTAOptions]) -> TTA:
    """Return the test-time augmentation of a user's options: see :class:`TTAOptions`.

    Raises:
        SpecError: for values that do not fit.

    Example:
        >>> tta_from_options(tile="512x640", hflip=True).options
        {'tile': '512x640', 'overlap': '128x160', 'hflip': True}
    """
    unknown = sorted(set(options) - set(TTAOptions.__annotations__))
    if unknown:
        known = (*TTAOptions.__annotations__, "save_vis", "card_examples")  # the last two of `evaluate`
        hints = "".join(renamed_hint(name, known) for name in unknown)
        raise SpecError(f"tta: expected some of {', '.join(TTAOptions.__annotations__)}, found {', '.join(unknown)}{hints}")
    tile, overlap = options.get("tile"), options.get("overlap")
    sides = None if tile is None else size_pair(tile)
    if overlap is None:
        common = (0, 0) if sides is None else (sides[0] // 4, sides[1] // 4)
    else:
        common = (overlap, overlap) if isinstance(overlap, int) else tuple(overlap)
    if len(common) != 2 or not all(isinstance(pixels, int) for pixels in common):
        raise SpecError(f"overlap: expected whole pixels or (rows, columns), found {overlap!r}")
    scales = tuple(float(scale) for scale in options.get("scales", (1.0,)))
    return TTA(sides, (common[0], common[1]), bool(options.get("hflip")), scales)


MEANING = {"tile": "tiles of a picture", "hflip": "mirrored pictures", "scales": "pictures at several sizes"}


def check_tta(task: str, supported: Sequence[str], tta: TTA) -> None:
    """Refuse test-time augmentations that a task does not support.

    Args:
        task: Its name.
        supported: Those of ``"tile"``, ``"hflip"`` and ``"scales"`` that it supports.
        tta: The requested augmentations.

    Raises:
        SpecError: saying what to leave out.
    """
    for name in tta.options:
        if name in MEANING and name not in supported:
            instead = f"supported: {', '.join(supported)}" if supported else "there is no test-time augmentation for them"
            raise SpecError(f"{name}: models of {task} do not support {MEANING[name]}; leave {name} out ({instead})")


def _by(pair: tuple[int, int]) -> str:
    return f"{pair[0]}x{pair[1]}"
