"""The card of a published checkpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from axialzoo.checkpoint import Config
from axialzoo.files import write_text
from axialzoo.spec import cost
from axialzoo.tasks import task_of

CURVE = "learning_curve.png"


def write_card(folder: Path, config: Config, repo_id: str = "ORG/REPO") -> Path:
    """Writes ``README.md`` into a checkpoint's folder, in place of the one that is there; arguments as of `model_card`."""
    card = folder / "README.md"
    write_text(card, model_card(config, repo_id, curve=(folder / CURVE).exists()))
    return card


def model_card(config: Config, repo_id: str = "ORG/REPO", *, curve: bool = False) -> str:
    """The text of ``README.md``: front matter that the Hub reads, figures, examples, provenance and how to load it.

    Args:
        config: Its ``provenance`` may hold ``licence``, ``metrics`` (name -> number), ``notes`` (sentences), ``examples`` (of each
            ``file``, relative to the card, and ``text``) and anything else.
        repo_id: Where it is published, for the example.
        curve: Whether ``learning_curve.png`` lies beside it.
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
    examples = config.provenance.get("examples")
    if isinstance(examples, list):
        lines += ["", "## Examples", ""]
        lines += ["What is true and what the model says, from the worst of these images to the best, by each image's own figure."]
        for one in examples:
            lines += ["", f"{one['text']}:", "", f"![{one['text']}]({one['file']})"]
    if curve:
        lines += ["", "## Training", "", f"![Learning curve]({CURVE})"]
    rest = {key: value for key, value in config.provenance.items() if key not in ("metrics", "notes", "examples")}
    if rest:
        lines += ["", "## Provenance", "", "```json", json.dumps(rest, indent=2, ensure_ascii=False, sort_keys=True), "```"]
    return "\n".join([*lines, ""])
