"""The published card: the card in the folder, with the repository's own name and the metadata that the Hub reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from axialzoo.checkpoint import Config
from axialzoo.hub.card import model_card
from axialzoo.hub.metadata import dataset_of, front_matter, licence_of
from axialzoo.hub.tables import metric_lines, parity_lines
from axialzoo.spec import is_registered

PLACEHOLDER = "ORG/REPO"
EXAMPLE = re.compile(r"```python\n(?:(?!```).)*from axialzoo\.torch import create_model(?:(?!```).)*```\n*", re.DOTALL)
FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
LAST = ("Provenance",)
ABOUT = {
    "config.json": "what the weights compute: spec, labels, preprocessing, provenance, digests",
    "model.safetensors": "the weights, in PyTorch's layout; both frameworks read this file",
    "golden.json": "golden activations: what the weights computed for a made input (`axialzoo verify` compares)",
    "SHA256SUMS": "of every file but this card: `sha256sum -c SHA256SUMS`",
    "labels.txt": "the classes, one a line, in order",
}


def published_card(
    config: Config,
    repo_id: str,
    own: str | None = None,
    *,
    files: Iterable[str] = (),
    report: Mapping[str, Any] | None = None,
    evaluations: Sequence[Mapping[str, Any]] = (),
    base_model: str | None = None,
) -> str:
    """Return the text of the published ``README.md``.

    Args:
        config: Of the weights.
        repo_id: Where they are published.
        own: The card that lies in the folder: its sections are kept, unless it is of other weights.
        files: What is published beside the card.
        report: Of ``axialzoo verify``, for the table of parity.
        evaluations: Of ``axialzoo evaluate``, for the table of figures.
        base_model: The repository on the Hub whose weights these started from.
    """
    text = own if own is not None and config.digest in own else model_card(config, repo_id)
    intro, sections = _sections(FRONT.sub("", text.replace(PLACEHOLDER, repo_id)))
    names = list(files)
    generated = [
        _usage(config, repo_id),
        metric_lines(config, evaluations),
        parity_lines(report, repo_id),
        _pictures(names, text),
        _licences(config),
        _files(names),
    ]
    ours = {lines[0].removeprefix("## "): "\n".join(lines) for lines in generated if lines}
    own_sections = {heading: body for heading, body in sections.items() if heading not in ours}
    if "What to know" not in own_sections:
        own_sections.setdefault("Limits", f"## Limits\n\n* Nobody has written down its limits. {_known_of(config)}")
    last = [own_sections.pop(heading) for heading in LAST if heading in own_sections]
    first = [ours.pop(heading) for heading in ("Use it", "Figures", "Parity") if heading in ours]
    front = front_matter(config, repo_id, base_model)
    return "\n\n".join([front, EXAMPLE.sub("", intro).strip(), *first, *own_sections.values(), *ours.values(), *last]) + "\n"


def _sections(text: str) -> tuple[str, dict[str, str]]:
    """Split a card into the text before its first ``##`` heading and its sections by heading; headings in fenced blocks do not count."""
    parts, fenced = [[]], False
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        if line.startswith("## ") and not fenced:
            parts.append([])
        parts[-1].append(line)
    intro, *rest = ("\n".join(part).strip() for part in parts)
    return intro, {part.partition("\n")[0].removeprefix("## ").strip(): part for part in rest}


def _usage(config: Config, repo_id: str) -> list[str]:
    name = config.model if is_registered(config.model) else "custom"
    lines = ["## Use it", "", "    pip install 'axialzoo[torch]'  # or axialzoo[keras-tensorflow], axialzoo[keras-jax]"]
    for title, package, mode in (("PyTorch", "torch", ".eval()"), ("Keras 3, on TensorFlow, JAX or PyTorch", "keras", "")):
        lines += [
            "",
            f"{title}:",
            "",
            "```python",
            f"from axialzoo.{package} import create_model",
            "",
            f'model = create_model("{name}", pretrained="{repo_id}"){mode}',
            'outputs = model(model.preprocess("picture.jpg"))',
            "```",
        ]
    return [
        *lines,
        "",
        "Either framework, as results in the picture's own pixels, and on the command line:",
        "",
        "```python",
        "import axialzoo",
        "",
        f'result = axialzoo.load_runner("{repo_id}").predict("picture.jpg")',
        "```",
        "",
        f"    axialzoo predict picture.jpg --model {repo_id} --out result.png",
        f"    axialzoo verify {repo_id}",
        f"    axialzoo evaluate {repo_id} --data FOLDER --framework torch",
        f"    axialzoo evaluate {repo_id} --data FOLDER --framework keras",
        "",
        f'`"{repo_id}@REVISION"` names a tag, branch or commit.',
    ]


def _known_of(config: Config) -> str:
    name = dataset_of(config)[1]
    return (
        f"It was measured on {name} alone; how it does on other pictures is not known."
        if name
        else "It was measured on nothing that is known."
    )


def _licences(config: Config) -> list[str]:
    provenance = config.provenance
    data = provenance.get("data")
    lines = ["## Licences", "", f"* Weights: {provenance.get('weights_licence') or provenance.get('licence') or licence_of(config)}."]
    if isinstance(data, Mapping):
        lines.append(
            f"* Data: {data.get('name', 'not named')}, {data.get('source', 'source not said')}; licence: {data.get('licence', 'not said')}."
        )
    else:
        lines.append("* Data: not said; ask whoever trained the weights before you use them.")
    return [*lines, "* Code of axialzoo: Apache-2.0."]


def _files(names: Sequence[str]) -> list[str]:
    known = [f"| `{name}` | {ABOUT[name]} |" for name in names if name in ABOUT]
    return ["## Files", "", "| file | what |", "|---|---|", *known] if known else []


def _pictures(names: Sequence[str], text: str) -> list[str]:
    """Return lines with the pictures that the card does not show yet."""
    shown = [name for name in names if name.lower().endswith((".png", ".jpg", ".jpeg", ".webp")) and name not in text]
    return ["## Pictures", "", *(f"![{name.rpartition('/')[2]}]({name})" for name in shown)] if shown else []
