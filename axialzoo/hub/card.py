"""The card of a published checkpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from axialzoo.checkpoint import Config
from axialzoo.files import write_text
from axialzoo.hub.metadata import licence_of
from axialzoo.spec import cost

CURVE = "learning_curve.png"


EXAMPLES = "pictures/examples.json"


def write_card(folder: Path, config: Config, repo_id: str = "ORG/REPO") -> Path:
    """Write ``README.md`` into a checkpoint's folder, in place of an older one, with the learning curve and the examples in the folder.

    Arguments as for `model_card`.
    """
    card = folder / "README.md"
    write_text(card, model_card(config, repo_id, curve=(folder / CURVE).exists(), examples=examples_of(folder)))
    return card


def examples_of(folder: Path) -> list[dict[str, str]]:
    """Return ``file`` (relative to the folder) and ``text`` of each example of a checkpoint's results; an empty list without examples.

    Raises:
        ValueError: for a list of another form.
    """
    path = folder / EXAMPLES
    if not path.exists():
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    rows = content if isinstance(content, list) else [content]
    if not all(isinstance(row, dict) and re.fullmatch(r"pictures/[^/]+", str(row.get("file"))) and "text" in row for row in rows):
        raise ValueError(f"{path}: expected a list of objects with file (pictures/NAME) and text; remove it, and make the examples again")
    return [{"file": row["file"], "text": str(row["text"])} for row in rows]


def model_card(config: Config, repo_id: str = "ORG/REPO", *, curve: bool = False, examples: Sequence[Mapping[str, str]] = ()) -> str:
    """Return the text of ``README.md``: front matter that the Hub reads, figures, examples, provenance and how to load it.

    Args:
        config: Its ``provenance`` may hold ``licence``, ``metrics`` (name -> number), ``notes`` (sentences) and anything else.
        repo_id: Where it is published, for the example.
        curve: Whether ``learning_curve.png`` lies beside it.
        examples: Of each ``file``, relative to the card, and ``text``.
    """
    spec, figures = config.spec, cost(config.spec)
    tag = None if spec.head is None else spec.head.pipeline_tag
    metrics = config.provenance.get("metrics")
    lines = [
        "---",
        f"license: {licence_of(config)}",
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
        lines += [f"| {name} | {value:.4f} |" for name, value in metrics.items() if isinstance(value, float)]
        lines += [
            f"| {name} | {value} |" for name, value in metrics.items() if not isinstance(value, (float, Mapping)) and name != "digest"
        ]
    lines += [
        "",
        "```python",
        "from axialzoo.torch import create_model  # or: from axialzoo.keras import create_model",
        "",
        f'model = create_model("{config.model}", pretrained="{repo_id}")',
        "```",
    ]
    if isinstance(metrics, Mapping) and isinstance(metrics.get("per_kind"), Mapping):
        lines += ["", "## Figures of each kind", "", *_kinds_table(metrics["per_kind"])]
    notes = config.provenance.get("notes")
    if isinstance(notes, list):
        lines += ["", "## What to know", "", *(f"* {note}" for note in notes)]
    if examples:
        lines += [
            "",
            "## Examples",
            "",
            "What is true and what the model says, from the worst of these images to the best by its own figure.",
        ]
    for example in examples:
        lines += ["", f"{example['text']}:", "", f"![{example['text']}]({example['file']})"]
    if curve:
        lines += ["", "## Training", "", f"![Learning curve]({CURVE})"]
    provenance = {key: value for key, value in config.provenance.items() if key not in ("metrics", "notes")}
    if provenance:
        lines += ["", "## Provenance", "", "```json", json.dumps(provenance, indent=2, ensure_ascii=False, sort_keys=True), "```"]
    return "\n".join([*lines, ""])


def _kinds_table(per_kind: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the lines of a table with a row for each kind of picture and a column for each metric that all of them have."""
    names = [name for name in next(iter(per_kind.values()), {}) if all(name in metrics for metrics in per_kind.values())]
    rows = [
        "| " + " | ".join([kind, *(f"{value:.4f}" if isinstance(value, float) else str(value) for value in map(metrics.get, names))]) + " |"
        for kind, metrics in per_kind.items()
    ]
    return [f"| kind | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|", *rows]
