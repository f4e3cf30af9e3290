"""``axialzoo info``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from axialzoo.cli.plan import run_plan
from axialzoo.cli.shared import Json, Quiet, billions, emit, show, table
from axialzoo.cli.system import run_system
from axialzoo.info import describe, model_info
from axialzoo.spec import SpecError, adapt, get_entry, to_dict


def run(
    model: Annotated[str | None, typer.Argument(help="A name, a folder with config.json, or org/repo.", metavar="NAME|FOLDER")] = None,
    size: Annotated[str | None, typer.Option(help="Input: SIDE or HEIGHTxWIDTH; default the model's own.")] = None,
    attention: Annotated[str | None, typer.Option(help="Another kind of attention, such as local.", metavar="KIND")] = None,
    output_stride: Annotated[int | None, typer.Option(help="Of the last stage: 8, 16 or 32; default the model's own.")] = None,
    spec: Annotated[bool, typer.Option("--spec", help="Show the whole spec.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Show the operations of the native runtime, timed where there are weights.")] = False,
    system: Annotated[bool, typer.Option("--system", help="Show what this machine computes with, instead of a model.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show all that is known of a model: cost at a size, stages, published numbers, weights.

    With --system and no model: which paths of the kernels for CPUs and GPUs are in use and why, versions of the frameworks, threads.

    Examples:
      axialzoo info axial_resnet50_s --size 320x480
      axialzoo info axial_deeplab_s_backbone --output-stride 8
      axialzoo info ./folder --json
      axialzoo info axial_resnet_cifar10 --plan
      axialzoo info --system
    """
    if system == (model is not None):
        raise typer.BadParameter("info: expected the name of a model, or --system without one")
    if model is None:
        run_system(as_json, quiet)
        return
    if plan:
        if attention is not None or output_stride is not None:
            raise ValueError("--attention, --output-stride: not of --plan; expected --size alone beside it")
        run_plan(model, None if not _is_name(model) or get_entry(model).weights else get_entry(model).spec, size, as_json)
        return
    info = _named(model, size, output_stride, attention) if _is_name(model) else _saved(model, size, output_stride, attention)
    if as_json:
        emit(info)
        return
    show(_heading(info), "", _costs(info), "", _stages(info))
    if not quiet:
        show("", _about(info))
    if spec:
        show("", json.dumps(info["spec"], indent=2))


def _is_name(model: str) -> bool:
    return not (Path(model).exists() or "/" in model)


def _named(name: str, size: str | None, output_stride: int | None, attention: str | None) -> dict:
    """A registered model, with what its first weights say of themselves where they ship."""
    info = model_info(name, size, output_stride, attention)
    weights = get_entry(name).weights
    place = weights.get(name.partition(".")[2]) or next(iter(weights.values()), "")
    return {**info, "checkpoint": _checkpoint(place)[0] if place.startswith("package:") else None}


def _saved(source: str, size: str | None, output_stride: int | None, attention: str | None) -> dict:
    """A checkpoint; where it is of a registered model, with the numbers published for that."""
    checkpoint, config = _checkpoint(source)
    try:
        known = get_entry(config.model)
    except SpecError:
        known = None
    spec = adapt(config.spec, output_stride=output_stride, attention=attention)
    published = dict(known.published) if known is not None and known.spec == spec else {}
    return {"name": config.model, "published": published, **describe(spec, size), "checkpoint": checkpoint}


def _checkpoint(source: str) -> tuple[dict[str, Any], Any]:
    """Return the description of a checkpoint as plain JSON, and its config."""
    from axialzoo.hub import fetch_checkpoint

    loaded = fetch_checkpoint(source)
    config, folder = loaded.config, Path(loaded.folder)
    card = folder / "README.md"
    said = {
        "folder": str(folder),
        "digest": config.digest,
        "labels": [to_dict(label) for label in config.labels],
        "preprocessing": to_dict(config.preprocessing),
        "provenance": dict(config.provenance),
        "card": card.read_text(encoding="utf-8") if card.is_file() else None,
    }
    return said, config


def _heading(info: dict) -> str:
    names = ", ".join([info["name"], *info.get("aliases", ())])
    lines = [names]
    lines += [info[key] for key in ("summary", "source") if info.get(key)]
    lines.append(f"{info['task']}, {info['classes']} classes" if info["classes"] else "features")
    return "\n".join(lines)


def _costs(info: dict) -> Any:
    at = "x".join(str(side) for side in info["input_size"])
    published = info["published"]
    shown = table("", ">here", ">published", title=f"cost an image of {at}")

    def theirs(key: str, text) -> str:
        own_size = info["spec"]["input_size"] == info["input_size"]
        return text(published[key]) if key in published and (own_size or key == "parameters") else "-"

    shown.add_row("parameters", f"{info['parameters']:,}", theirs("parameters", lambda value: f"{value:,}"))
    shown.add_row("multiply-adds", billions(info["multiply_adds"]), theirs("multiply_adds", billions))
    shown.add_row("  of which attention", billions(info["attention_multiply_adds"]), "-")
    shown.add_row("activations, float32", f"{info['activation_bytes'] / 2**20:.1f} MiB", "-")
    metrics = _metrics(info)
    for key in dict.fromkeys([*metrics, *published]):
        if isinstance(metrics.get(key, published.get(key)), float) and key not in ("parameters", "multiply_adds"):
            shown.add_row(key, _share(metrics.get(key)), _share(published.get(key)))
    return shown


def _metrics(info: dict) -> dict:
    metrics = ((info.get("checkpoint") or {}).get("provenance") or {}).get("metrics")
    return metrics if isinstance(metrics, dict) else {}


def _share(value: object) -> str:
    return f"{100 * value:.2f} %" if isinstance(value, (int, float)) and not isinstance(value, bool) else "-"


def _stages(info: dict) -> Any:
    shown = table("stage", ">stride", ">channels", ">size", "blocks", title="stages")
    for stage in info["stages"]:
        blocks = [f"{stage['blocks'].count(kind)} {kind}" for kind in dict.fromkeys(stage["blocks"])]
        size = "x".join(str(side) for side in stage["size"])
        shown.add_row(stage["name"], str(stage["stride"]), str(stage["channels"]), size, ", ".join(blocks))
    return shown


def _about(info: dict) -> Any:
    shown = table("", "", title="weights")
    for tag, place in info.get("weights", {}).items():
        shown.add_row(tag, place)
    saved = info.get("checkpoint")
    if not saved:
        if not info.get("weights"):
            shown.add_row("none", "train with `axialzoo train`, or import with `axialzoo import`")
        return shown
    shown.add_row("folder", saved["folder"])
    shown.add_row("digest", saved["digest"])
    shown.add_row(
        "classes",
        ", ".join(label["name"] for label in saved["labels"][:12]) + (", ..." if len(saved["labels"]) > 12 else "") or "not named",
    )
    prepared = saved["preprocessing"]
    height, width = prepared["size"]
    shown.add_row("preprocessing", f"{prepared['resize']} to {height}x{width}, {prepared['interpolation']}, crop {prepared['crop']}")
    for key, value in saved["provenance"].items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        shown.add_row(key, text if len(text) <= 110 else text[:107] + "...")
    shown.add_row("card", f"{saved['folder']}/README.md" if saved["card"] else "none")
    return shown
