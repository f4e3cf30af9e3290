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

USUAL_KINDS = ("axial", "axial_local", "global", "local", "window")


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
    path: str | os.PathLike[str],
    point: tuple[int, int],
    *,
    kinds: Sequence[str] | None,
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
        kinds: Kinds of attention that replace the model's own. Where the model has trained weights, a kind without any is skipped. None:
            the usual ones, without those that would be skipped.
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
    for kind in USUAL_KINDS if kinds is None else kinds:
        kind_probe = probe.with_kind(kind)
        if kinds is None and isinstance(kind_probe, str):
            continue
        log(kind)
        probes[kind] = kind_probe
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
    layer_weights = sum(weights / weights.max() for weights in probe.attention.values())
    effective = ", ".join(f"{name} {part['effective_positions']:.1f}" for name, part in report["attention"].items())
    trained = "Trained weights." if probe.weights == "trained" else f"Random weights (seed {report['seed']}), an untrained model."
    notes = (
        f"The feature map of block {report['layer']} has {height} x {width} positions. All weights are means over the attention heads.",
        trained,
        "",
        "Effective positions: exp of the entropy of the weights, the number of equal weights with the same entropy. "
        "Effective pixels: the same measure of the receptive field.",
    )
    panels = [
        Panel("input image", f"{report['input_size'][0]} x {report['input_size'][1]} pixels"),
        Panel(f"{' and '.join(probe.attention)}, {probe.weights} weights", f"effective positions: {effective}", np.asarray(layer_weights)),
    ]
    reach_panels, field_panels = [], []
    for kind, kind_probe in probes.items():
        if isinstance(kind_probe, str):
            reach_panels.append(Panel(kind, missing=kind_probe))
            field_panels.append(Panel(kind, missing=kind_probe))
            continue
        numbers, title = report["kinds"][kind], f"{kind}, {kind_probe.weights} weights"
        reach, field = (numbers[name]["effective_positions"] for name in ("reach", "field"))
        reach_panels.append(Panel(title, f"{reach:.0f} of {kind_probe.reach.size:,} effective positions", kind_probe.reach))
        field_panels.append(Panel(title, f"{field:,.0f} of {kind_probe.field.size:,} effective pixels", kind_probe.field))
    rows = [
        Row("Attention weights of the query point in each layer of the block", panels, notes),
        Row("Attention weights through the whole block, by kind of attention (axial: height layer, then width layer)", reach_panels),
        Row("Effective receptive field of the block's output, by kind of attention: |gradient of the output by each pixel|", field_panels),
    ]
    x, y = report["point"]
    caption = f"{report['model']}   |   {report['layer']}   |   query point ({x}, {y}) of {Path(report['image']).name}"
    title = f"Attention and receptive field of {report['model']} at one point of an image"
    draw_grid(view_of_photo.photo, view_of_photo.share, rows, caption, out, title=title)
