"""What a layer attends to from a point of a photograph, what reaches that point, and what its output depends on."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from axialzoo.analysis.cases import attention_blocks, find_block
from axialzoo.analysis.picture import Panel, Row, draw_grid
from axialzoo.analysis.seeing import AttentionProbe, Source, View, find_source, view
from axialzoo.analysis.weights import spread
from axialzoo.runtime.device import AUTO, find_device
from axialzoo.spec import SpecError

__all__ = ["Source", "View", "explain", "find_source", "view"]


@dataclass(frozen=True)
class Drawn:
    """What is drawn at random.

    Attributes:
        samples: Random combinations of channels that the receptive field averages over.
        seed: Of random weights and of those.
        device: Where to compute: see :class:`axialzoo.runtime.Runner`.
    """

    samples: int = 8
    seed: int = 0
    device: str = AUTO


def explain(
    source: Source,
    path: str | os.PathLike,
    point: tuple[int, int],
    *,
    kinds: Sequence[str],
    layer: str | None = None,
    drawn: Drawn,
    out: Path | None = None,
    told: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """The numbers that ``axialzoo explain --json`` prints; `out` gets the picture.

    Args:
        source: A model.
        path: A photograph.
        point: (x, y) in its pixels.
        kinds: Kinds of attention to compare in the place of the model's own; one without trained weights is skipped where the model has
            some.
        layer: A block with attention; default the middle one.
        drawn: What is random, and where it is computed.
        out: Where the picture goes; the caller has checked it.
    """
    known = list(attention_blocks(source.spec))
    if not known:
        raise SpecError(f"{source.name} has no attention to explain: its blocks are convolutions")
    block = known[len(known) // 2] if layer is None else find_block(source.spec, layer)
    shown = view(path, point, source.preprocessing)
    told(f"{source.name} as it is")
    own = AttentionProbe(source, block, shown, drawn.samples, drawn.seed, find_device(drawn.device))
    height, width = own.map
    found: dict[str, Any] = {
        "model": source.name,
        "weights": own.weights,
        "digest": source.digest,
        "seed": drawn.seed,
        "image": str(path),
        "point": list(point),
        "input_size": list(shown.image.shape[2:]),
        "layer": block,
        "map": [height, width],
        "position": list(own.position),
        "attention": {name: spread(weights, *own.position) for name, weights in own.attention.items()},
        "kinds": {},
    }
    seen: dict[str, AttentionProbe | str] = {}
    for kind in kinds:
        told(kind)
        seen[kind] = own.beside(kind)
        found["kinds"][kind] = _numbers(seen[kind])
    if out is not None:
        _draw(found, own, seen, shown, out)
        found["picture"] = str(out)
    return found


def _numbers(seen: AttentionProbe | str) -> dict[str, Any]:
    if isinstance(seen, str):
        return {"skipped": seen}
    return {
        "weights": seen.weights,
        "digest": seen.digest,
        "skipped": None,
        "reach": spread(seen.reach, *seen.position),
        "field": spread(seen.field, *seen.pixel),
    }


def _draw(found: dict[str, Any], own: AttentionProbe, seen: dict[str, AttentionProbe | str], shown: View, out: Path) -> None:
    height, width = found["map"]
    cross = sum(weights / weights.max() for weights in own.attention.values())
    numbers = ", ".join(f"{name} {part['effective_positions']:.1f}" for name, part in found["attention"].items())
    learned = "Trained weights." if own.weights == "trained" else f"Random weights (seed {found['seed']}): nothing is learned here."
    words = (
        f"{found['model']}, {found['layer']}: a map of {height} x {width} positions, averages over its heads.",
        learned,
        "",
        "Numbers are effective positions: so many, with equal weights, would be spread as widely (exp of the entropy). "
        "The photograph is what the model sees of it.",
    )
    panels = [
        Panel("photograph", f"as {found['input_size'][0]} x {found['input_size'][1]} pixels"),
        Panel(" and ".join(own.attention), numbers, np.asarray(cross)),
    ]
    first = Row("What the point attends to", panels, words)
    reached, fields = [], []
    for kind, one in seen.items():
        if isinstance(one, str):
            reached.append(Panel(kind, missing=one))
            fields.append(Panel(kind, missing=one))
            continue
        numbers, weights = found["kinds"][kind], f"{one.weights} weights"
        reached.append(Panel(kind, f"{numbers['reach']['effective_positions']:.0f} of {one.reach.size}, {weights}", one.reach))
        fields.append(Panel(kind, f"{numbers['field']['effective_positions']:,.0f} of {one.field.size:,} pixels, {weights}", one.field))
    rows = [
        first,
        Row("What reaches the point through this block's attention (axial: height, then width)", reached),
        Row("What the block's output at the point depends on: effective receptive field, |d output / d pixel|", fields),
    ]
    caption = f"{found['model']}   |   {found['layer']}   |   point {found['point'][0]}, {found['point'][1]} of {Path(found['image']).name}"
    draw_grid(shown.photo, shown.share, rows, caption, out)
