"""``axialzoo list``."""

from __future__ import annotations

from typing import Annotated

import typer

from axialzoo.cli.shared import Json, Quiet, billions, emit, show, table
from axialzoo.info import model_info
from axialzoo.spec import SpecError, aliases, did_you_mean, list_models

METRICS = {"top1": "ImageNet", "cityscapes_pq": "Cityscapes PQ", "coco_pq": "COCO PQ"}  # of `Entry.published`


def run(
    patterns: Annotated[
        list[str] | None, typer.Argument(help="Names to show, with wildcards as in a shell; default all.", metavar="[PATTERN]...")
    ] = None,
    size: Annotated[str | None, typer.Option(help="Input for the multiply-adds: SIDE or HEIGHTxWIDTH; default each model's own.")] = None,
    pretrained: Annotated[bool, typer.Option("--pretrained", help="Only models with weights.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table that the README has.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the models: parameters, multiply-adds, weights.

    Examples:
      axialzoo list
      axialzoo list 'axial_resnet*_s' 'max_deeplab*'
      axialzoo list --pretrained --json
      axialzoo list --markdown
    """
    if markdown and as_json:
        raise SpecError("--markdown and --json: expected one of them")
    names = _matching(patterns or ["*"], pretrained)
    models = [model_info(name, size) for name in names]
    if as_json:
        keys = ("name", "aliases", "summary", "task", "classes", "input_size", "parameters", "multiply_adds", "weights")
        emit({"models": [{**{key: found[key] for key in keys}, "weights": list(found["weights"])} for found in models]})
        return
    if markdown:
        typer.echo(as_markdown(models))
        return
    shown = table("name", ">parameters", ">multiply-adds", ">at", "weights", "")
    for found in models:
        name = found["name"] + (f" (= {', '.join(found['aliases'])})" if found["aliases"] else "")
        at = "x".join(str(side) for side in found["input_size"])
        weights = _tags(list(found["weights"]))
        shown.add_row(name, f"{found['parameters']:,}", billions(found["multiply_adds"]), at, weights, "" if quiet else found["summary"])
    show(shown)


def as_markdown(models: list[dict]) -> str:
    """What :func:`axialzoo.model_info` says of each, a row a model."""
    lines = ["| model | parameters | multiply-adds | at | published | weights |", "|---|--:|--:|---|---|---|"]
    for found in models:
        name = f"`{found['name']}`" + "".join(f" (`{alias}`)" for alias in found["aliases"])
        height, width = found["input_size"]
        known = {title: found["published"][key] for key, title in METRICS.items() if key in found["published"]}
        published = ", ".join(f"{title} {100 * share:.1f} %" for title, share in known.items())
        spent = f"{found['parameters']:,} | {found['multiply_adds'] / 1e9:.3f} B"
        weights = _tags([f"`{tag}`" for tag in found["weights"]])
        lines.append(f"| {name} | {spent} | {height} x {width} | {published or '-'} | {weights} |")
    return "\n".join(lines)


def _tags(tags: list[str]) -> str:
    """The first two of many; `axialzoo info` shows all."""
    return ", ".join(tags if len(tags) < 4 else [*tags[:2], f"{len(tags) - 2} more"]) or "-"


def _matching(patterns: list[str], pretrained: bool) -> list[str]:
    """Names that match one of the patterns, by alias too, in the registry's order.

    Raises:
        SpecError: for a pattern that matches nothing.
    """
    import fnmatch

    found: set[str] = set()
    for pattern in patterns:
        mine = {
            name
            for name in list_models(pretrained=pretrained)
            if any(fnmatch.fnmatchcase(candidate, pattern) for candidate in (name, *aliases(name)))
        }
        if not mine:
            known = [*list_models(), *(alias for name in list_models() for alias in aliases(name))]
            kind = "model with weights" if pretrained else "model"
            raise SpecError(f"no {kind} matches {pattern!r}{did_you_mean(pattern.strip('*'), known)}; `axialzoo list` shows all")
        found |= mine
    return [name for name in list_models() if name in found]
