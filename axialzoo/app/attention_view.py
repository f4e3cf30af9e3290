"""Attention from a point of a picture: the steps of axial attention, and another kind of attention for comparison."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from axialzoo.app.models import checkpoint_of
from axialzoo.spec import KINDS

SIDE = 420  # pixels of the longer side of a panel
WORDS = {  # layer -> the positions that it attends to
    "height": "along its column",
    "width": "along its row",
    "attention": "all positions that its kind reaches at once",
}


@dataclass(frozen=True)
class Panel:
    """A picture of attention weights.

    Attributes:
        title: Title of the picture.
        note: Reach of the weights, in words.
        picture: The photograph with the weights as a heat map and a ring around the point; None where there are no weights.
    """

    title: str
    note: str
    picture: Image.Image | None


@dataclass(frozen=True)
class AttentionView:
    """The attention of a block from a point.

    Attributes:
        layer: Name of the block.
        map: Height and width of its map.
        weights: ``"trained"`` or ``"random"``.
        steps: A panel per step: for axial attention the weights of the last layer, then the reach through both layers.
        other: Another kind of attention in the same block.
    """

    layer: str
    map: tuple[int, int]
    weights: str
    steps: tuple[Panel, ...]
    other: Panel


def blocks(source: str) -> list[str]:
    """Return the names of the blocks with attention, which may be none; the page shows the middle one by default."""
    from axialzoo.analysis.cases import attention_blocks

    return list(attention_blocks(_source(source).spec))


def visible(source: str, picture: Image.Image, share: tuple[float, float] | None = None) -> Image.Image:
    """Return the part of a picture that a model sees, with a ring around a point."""
    from axialzoo.analysis.attention_probe import view_at

    photo = view_at(picture, (0.5, 0.5), _source(source).preprocessing).photo
    return _drawn(photo, share) if share else _fitted(photo)


def attention_view(
    source: str, picture: Image.Image, share: tuple[float, float], layer: str | None = None, kind: str = "axial_local"
) -> AttentionView:
    """Compute the attention of a block from a point.

    Args:
        source: A name with weights, a folder or ``org/repo``.
        picture: Upright RGB.
        share: The point, from 0 to 1 (left to right, top to bottom) of the part that the model sees.
        layer: A block with attention; default the middle one.
        kind: Another kind of attention to compare; its panel has a reason in place of a picture where there are no trained weights.

    Raises:
        SpecError: for a model without attention, an unknown block or kind.
    """
    from axialzoo.analysis.attention_probe import LAYERS, AttentionProbe, view_at
    from axialzoo.analysis.cases import find_block, parse_kinds
    from axialzoo.spec import SpecError

    model, known = _source(source), blocks(source)
    if not known:
        raise SpecError(f"{source} has no attention to look at: its blocks are convolutions")
    block = known[len(known) // 2] if layer is None else find_block(model.spec, layer)
    (kind,) = parse_kinds(kind)
    across, down = (min(max(coordinate, 0.0), 1 - 1e-9) for coordinate in share)
    view = view_at(picture, (across, down), model.preprocessing)
    probe = AttentionProbe(model, block, view)
    other = probe.with_kind(kind)
    if isinstance(other, str):
        beside = Panel(kind, f"skipped: {other}", None)
    else:
        what = KINDS[kind][0].partition(" (")[0]
        beside = _panel(f"{kind}: {what}", other.reach, other.position, view, f"{other.weights} weights")
    layers = [name for name in reversed(LAYERS["axial"] + LAYERS["attention"]) if name in probe.attention]
    return AttentionView(block, (probe.map[0], probe.map[1]), probe.weights, tuple(_steps(probe, layers, view)), beside)


def _steps(probe: Any, layers: list[str], view: Any) -> Iterator[Panel]:
    """Yield the weights of the last layer, then the reach through both layers."""
    first = layers[0]
    yield _panel(f"Step 1: {WORDS[first]}", probe.attention[first], probe.position, view)
    if len(layers) > 1:
        yield _panel(f"Step 2: from there {WORDS[layers[1]].replace('its', 'every')}", probe.reach, probe.position, view)


def _panel(title: str, weights: np.ndarray, position: tuple[int, int], view: Any, more: str = "") -> Panel:
    from axialzoo.analysis.picture import heat_over
    from axialzoo.analysis.weights import spread

    numbers = spread(weights, *position)
    note = f"reaches {100 * numbers['reached']:.0f} % of the map; as wide as {numbers['effective_positions']:,.0f} equal weights"
    return Panel(title, f"{note}, {more}" if more else note, _drawn(heat_over(_fitted(view.photo), weights), view.share))


def _fitted(photo: Image.Image) -> Image.Image:
    scale = SIDE / max(photo.size)
    return photo.resize((max(round(photo.width * scale), 1), max(round(photo.height * scale), 1)), Image.Resampling.LANCZOS)


def _drawn(photo: Image.Image, share: tuple[float, float]) -> Image.Image:
    from axialzoo.analysis.picture import mark_point

    photo = _fitted(photo)
    mark_point(photo, share)
    return photo


@lru_cache(maxsize=8)
def _source(source: str) -> Any:
    from axialzoo.analysis.attention_probe import find_source

    return find_source(source, fetch=checkpoint_of)
