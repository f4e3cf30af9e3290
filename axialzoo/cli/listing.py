"""``axialzoo list``."""

from __future__ import annotations

from typing import Annotated

import typer

from axialzoo.cli.completion import complete_task
from axialzoo.cli.shared import Json, Quiet, billions, emit, show, table
from axialzoo.info import model_info
from axialzoo.spec import SpecError, aliases, did_you_mean, get_entry, list_models

METRICS = {"top1": "ImageNet", "cityscapes_pq": "Cityscapes PQ", "coco_pq": "COCO PQ"}  # of `ModelEntry.published`


def run(
    patterns: Annotated[
        list[str] | None, typer.Argument(help="Names to show, with wildcards as in a shell; default all.", metavar="[PATTERN]...")
    ] = None,
    size: Annotated[str | None, typer.Option(help="Input for the multiply-adds: SIDE or HEIGHTxWIDTH; default each model's own.")] = None,
    task: Annotated[
        str | None, typer.Option(help="Only models of a task: classify, detect, segment, semantic.", autocompletion=complete_task)
    ] = None,
    pretrained: Annotated[bool, typer.Option("--pretrained", help="Only models with weights.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table of the documentation.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the models: parameters, multiply-adds, weights.

    Examples:
      axialzoo list
      axialzoo list 'axial_resnet*_s' 'max_deeplab*'
      axialzoo list --pretrained --json
      axialzoo list --task detect
      axialzoo list --markdown
    """
    if markdown and as_json:
        raise SpecError("--markdown and --json: expected one of them")
    names = _matching(patterns or ["*"], pretrained)
    if task is not None:
        name = task_named(task)
        names = [model for model in names if get_entry(model).spec.task == name]
    models = [model_info(name, size) for name in names]
    if as_json:
        keys = ("name", "aliases", "summary", "task", "classes", "input_size", "parameters", "multiply_adds", "weights")
        emit({"models": [{**{key: info[key] for key in keys}, "weights": list(info["weights"])} for info in models]})
        return
    if markdown:
        typer.echo(as_markdown(models))
        return
    shown = table("name", "task", ">parameters", ">multiply-adds", ">at", "weights", "")
    for info in models:
        name = info["name"] + (f" (= {', '.join(info['aliases'])})" if info["aliases"] else "")
        at = "x".join(str(side) for side in info["input_size"])
        weights = _tags(list(info["weights"]))
        shown.add_row(
            name, info["task"], f"{info['parameters']:,}", billions(info["multiply_adds"]), at, weights, "" if quiet else info["summary"]
        )
    show(shown)


def as_markdown(models: list[dict]) -> str:
    """Return the table of the models as Markdown, a row a model."""
    lines = ["| model | parameters | multiply-adds | at | published | weights |", "|---|--:|--:|---|---|---|"]
    for info in models:
        name = f"`{info['name']}`" + "".join(f" (`{alias}`)" for alias in info["aliases"])
        height, width = info["input_size"]
        known = {title: info["published"][key] for key, title in METRICS.items() if key in info["published"]}
        published = ", ".join(f"{title} {100 * share:.1f} %" for title, share in known.items())
        spent = f"{info['parameters']:,} | {info['multiply_adds'] / 1e9:.3f} B"
        weights = _tags([f"`{tag}`" for tag in info["weights"]])
        lines.append(f"| {name} | {spent} | {height} x {width} | {published or '-'} | {weights} |")
    return "\n".join(lines)


def task_named(task: str) -> str:
    """Return the name of a task from it, or from that of its recipe.

    Raises:
        SpecError: for an unknown task.
    """
    from axialzoo.train.automatic import task_recipes

    tasks = {name: module.TASK for name, module in task_recipes().items()}
    if task not in (*tasks, *tasks.values()):
        raise SpecError(f"--task: expected one of {', '.join(tasks)}, found {task!r}{did_you_mean(task, [*tasks, *tasks.values()])}")
    return tasks.get(task, task)


def _tags(tags: list[str]) -> str:
    """The first two of many; `axialzoo info` shows all."""
    return ", ".join(tags if len(tags) < 4 else [*tags[:2], f"{len(tags) - 2} more"]) or "-"


def _matching(patterns: list[str], pretrained: bool) -> list[str]:
    """Names that match one of the patterns, by alias too, in the registry's order.

    Raises:
        SpecError: for a pattern that matches nothing.
    """
    import fnmatch

    matches: set[str] = set()
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
        matches |= mine
    return [name for name in list_models() if name in matches]
