"""What attention sees from a point of a picture: its looks one after the other, and another kind of attention beside them."""

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
WORDS = {  # a layer -> what it sees from a point
    "height": "along its column",
    "width": "along its row",
    "attention": "all that its kind sees at once",
}


@dataclass(frozen=True)
class Panel:
    """One picture of weights.

    Attributes:
        title: What it shows.
        note: How far it reaches, in words.
        picture: The photograph, the weights over it and a ring around the point; None where there is nothing to show.
    """

    title: str
    note: str
    picture: Image.Image | None


@dataclass(frozen=True)
class AttentionView:
    """What is seen from a point.

    Attributes:
        layer: The block.
        map: Height and width of its map.
        weights: ``"trained"`` or ``"random"``.
        hops: One panel a look: of axial attention the last layer's first, then what reaches the point through both.
        other: Another kind of attention in its place.
    """

    layer: str
    map: tuple[int, int]
    weights: str
    steps: tuple[Panel, ...]
    other: Panel


def blocks(source: str) -> list[str]:
    """The blocks of a model that attend; the middle one is what is shown by default. None where nothing attends."""
    from axialzoo.analysis.cases import attention_blocks

    return list(attention_blocks(_source(source).spec))


def visible(source: str, picture: Image.Image, share: tuple[float, float] | None = None) -> Image.Image:
    """What a model sees of a picture, with a ring around a point of it."""
    from axialzoo.analysis.seeing import view_at

    photo = view_at(picture, (0.5, 0.5), _source(source).preprocessing).photo
    return _drawn(photo, share) if share else _fitted(photo)


def attention_view(
    source: str, picture: Image.Image, share: tuple[float, float], layer: str | None = None, kind: str = "axial_local"
) -> AttentionView:
    """What a block sees from a point.

    Args:
        source: A name with weights, a folder or ``org/repo``.
        picture: Upright RGB.
        share: The point, from 0 to 1 (left to right, top to bottom) of what the model sees.
        layer: A block that attends; default the middle one.
        kind: Another kind of attention, to stand beside the model's own; words alone where there are no trained weights of it.

    Raises:
        SpecError: for a model without attention, an unknown block or kind.
    """
    from axialzoo.analysis.cases import find_block, parse_kinds
    from axialzoo.analysis.seeing import LAYERS, AttentionProbe, view_at
    from axialzoo.spec import SpecError

    model, known = _source(source), blocks(source)
    if not known:
        raise SpecError(f"{source} has no attention to look at: its blocks are convolutions")
    block = known[len(known) // 2] if layer is None else find_block(model.spec, layer)
    (kind,) = parse_kinds(kind)
    across, down = (min(max(coordinate, 0.0), 1 - 1e-9) for coordinate in share)
    view = view_at(picture, (across, down), model.preprocessing)
    probe = AttentionProbe(model, block, view)
    other = probe.beside(kind)
    if isinstance(other, str):
        beside = Panel(kind, f"skipped: {other}", None)
    else:
        what = KINDS[kind][0].partition(" (")[0]
        beside = _panel(f"{kind}: {what}", other.reach, other.position, view, f"{other.weights} weights")
    layers = [name for name in reversed(LAYERS["axial"] + LAYERS["attention"]) if name in probe.attention]
    return AttentionView(block, (probe.map[0], probe.map[1]), probe.weights, tuple(_steps(probe, layers, view)), beside)


def _steps(probe: Any, layers: list[str], view: Any) -> Iterator[Panel]:
    """The last layer's weights, and what reaches through the one before as well."""
    first = layers[0]
    yield _panel(f"First look: {WORDS[first]}", probe.attention[first], probe.position, view)
    if len(layers) > 1:
        yield _panel(f"Second look: from all of these, {WORDS[layers[1]].replace('its', 'their')}s", probe.reach, probe.position, view)


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
    from axialzoo.analysis.seeing import find_source

    return find_source(source, fetch=checkpoint_of)
