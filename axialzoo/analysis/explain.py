"""Explanation of a point of a photograph: what a layer attends to, what reaches the point, and the effective receptive field."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from axialzoo.analysis.attention_probe import AttentionProbe, Source, View, find_source, view
from axialzoo.analysis.cases import attention_blocks, find_block
from axialzoo.analysis.picture import Panel, Row, draw_grid
from axialzoo.analysis.weights import spread
from axialzoo.runtime.device import AUTO, find_device
from axialzoo.spec import SpecError

__all__ = ["Source", "View", "explain", "find_source", "view"]


@dataclass(frozen=True)
class Sampling:
    """The random samples of an explanation, and the device.

    Attributes:
        samples: Number of random combinations of channels that the receptive field averages over.
        seed: Seed of random weights and of the samples.
        device: Device that computes: see :class:`axialzoo.runtime.Runner`.
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
    sampling: Sampling,
    out: Path | None = None,
    log: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Explain a point, and return the report that ``axialzoo explain --json`` prints; `out` gets the picture.

    Args:
        source: A model.
        path: A photograph.
        point: (x, y) in its pixels.
        kinds: Kinds of attention that replace the model's own. Where the model has trained weights, a kind without any is skipped.
        layer: A block with attention; default the middle one.
        drawn: Random samples, and the device.
        out: File of the picture; the caller has checked it.
        log: Gets a line for each kind.
    """
    block_names = list(attention_blocks(source.spec))
    if not block_names:
        raise SpecError(f"{source.name} has no attention to explain: its blocks are convolutions")
    block = block_names[len(block_names) // 2] if layer is None else find_block(source.spec, layer)
    view_of_photo = view(path, point, source.preprocessing)
    log(f"{source.name} as it is")
    probe = AttentionProbe(source, block, view_of_photo, sampling.samples, sampling.seed, find_device(sampling.device))
    height, width = probe.map
    report: dict[str, Any] = {
        "model": source.name,
        "weights": probe.weights,
        "digest": source.digest,
        "seed": sampling.seed,
        "image": str(path),
        "point": list(point),
        "input_size": list(view_of_photo.image.shape[2:]),
        "layer": block,
        "map": [height, width],
        "position": list(probe.position),
        "attention": {name: spread(weights, *probe.position) for name, weights in probe.attention.items()},
        "kinds": {},
    }
    probes: dict[str, AttentionProbe | str] = {}
    for kind in kinds:
        log(kind)
        probes[kind] = probe.with_kind(kind)
        report["kinds"][kind] = _numbers(probes[kind])
    if out is not None:
        _draw(report, probe, probes, view_of_photo, out)
        report["picture"] = str(out)
    return report


def _numbers(probe: AttentionProbe | str) -> dict[str, Any]:
    if isinstance(probe, str):
        return {"skipped": probe}
    return {
        "weights": probe.weights,
        "digest": probe.digest,
        "skipped": None,
        "reach": spread(probe.reach, *probe.position),
        "field": spread(probe.field, *probe.pixel),
    }


def _draw(report: dict[str, Any], probe: AttentionProbe, probes: dict[str, AttentionProbe | str], view_of_photo: View, out: Path) -> None:
    height, width = report["map"]
    cross = sum(weights / weights.max() for weights in probe.attention.values())
    numbers = ", ".join(f"{name} {part['effective_positions']:.1f}" for name, part in report["attention"].items())
    learned = "Trained weights." if probe.weights == "trained" else f"Random weights (seed {report['seed']}): nothing is learned here."
    words = (
        f"{report['model']}, {report['layer']}: a map of {height} x {width} positions, averages over its heads.",
        learned,
        "",
        "Numbers are effective positions: so many, with equal weights, would be spread as widely (exp of the entropy). "
        "The photograph is what the model sees of it.",
    )
    panels = [
        Panel("photograph", f"as {report['input_size'][0]} x {report['input_size'][1]} pixels"),
        Panel(" and ".join(probe.attention), numbers, np.asarray(cross)),
    ]
    first = Row("What the point attends to", panels, words)
    reach_panels, field_panels = [], []
    for kind, kind_probe in probes.items():
        if isinstance(kind_probe, str):
            reach_panels.append(Panel(kind, missing=kind_probe))
            field_panels.append(Panel(kind, missing=kind_probe))
            continue
        numbers, weights = report["kinds"][kind], f"{kind_probe.weights} weights"
        reach_panels.append(
            Panel(kind, f"{numbers['reach']['effective_positions']:.0f} of {kind_probe.reach.size}, {weights}", kind_probe.reach)
        )
        field_panels.append(
            Panel(kind, f"{numbers['field']['effective_positions']:,.0f} of {kind_probe.field.size:,} pixels, {weights}", kind_probe.field)
        )
    rows = [
        first,
        Row("What reaches the point through this block's attention (axial: height, then width)", reach_panels),
        Row("What the block's output at the point depends on: effective receptive field, |d output / d pixel|", field_panels),
    ]
    caption = (
        f"{report['model']}   |   {report['layer']}   |   point {report['point'][0]}, {report['point'][1]} of {Path(report['image']).name}"
    )
    draw_grid(view_of_photo.photo, view_of_photo.share, rows, caption, out)
