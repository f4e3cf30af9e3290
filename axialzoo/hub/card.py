"""The card of a published checkpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from axialzoo.checkpoint import Config
from axialzoo.spec import cost
from axialzoo.tasks import task_of


def model_card(config: Config, repo_id: str = "ORG/REPO") -> str:
    """The text of ``README.md``: front matter that the Hub reads, figures, provenance and how to load it.

    Args:
        config: Its ``provenance`` may hold ``licence``, ``metrics`` (name -> number) and anything else.
        repo_id: Where it is published, for the example.
    """
    spec, figures = config.spec, cost(config.spec)
    tag = None if spec.head is None else task_of(spec.head).pipeline_tag
    licence, metrics = str(config.provenance.get("licence") or "other").lower(), config.provenance.get("metrics")
    lines = [
        "---",
        f"license: {licence if re.fullmatch('[a-z0-9.-]+', licence) else 'other'}",
        "library_name: axialzoo",
        *([] if tag is None else [f"pipeline_tag: {tag}"]),
        "tags: [axial-attention, pytorch, keras]",
        "---",
        "",
        f"# {config.model}",
        "",
        "Axial attention, one checkpoint for PyTorch and Keras 3.",
        "",
        "| | |",
        "|---|---|",
        f"| classes | {spec.num_classes} |",
        f"| input | {spec.input_size[0]} x {spec.input_size[1]}, {spec.backbone.in_channels} channels |",
        f"| parameters | {figures.parameters:,} |",
        f"| multiply-adds | {figures.multiply_adds / 1e9:.3f} billion |",
        f"| digest | `{config.digest}` |",
    ]
    if isinstance(metrics, Mapping):
        lines += [f"| {name} | {value:.4f} |" if isinstance(value, float) else f"| {name} | {value} |" for name, value in metrics.items()]
    lines += [
        "",
        "```python",
        "from axialzoo.torch import create_model  # or: from axialzoo.keras import create_model",
        "",
        f'model = create_model("{config.model}", pretrained="{repo_id}")',
        "```",
    ]
    notes = config.provenance.get("notes")
    if isinstance(notes, list):
        lines += ["", "## What to know", "", *(f"* {note}" for note in notes)]
    rest = {key: value for key, value in config.provenance.items() if key not in ("metrics", "notes")}
    if rest:
        lines += ["", "## Provenance", "", "```json", json.dumps(rest, indent=2, ensure_ascii=False, sort_keys=True), "```"]
    return "\n".join([*lines, ""])
