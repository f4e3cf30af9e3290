"""``axialzoo info``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

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
      axialzoo info --system
    """
    if system == (model is not None):
        raise typer.BadParameter("info: expected the name of a model, or --system without one")
    if model is None:
        run_system(as_json, quiet)
        return
    found = _named(model, size, output_stride, attention) if _is_name(model) else _saved(model, size, output_stride, attention)
    if as_json:
        emit(found)
        return
    show(_heading(found), "", _costs(found), "", _stages(found))
    if not quiet:
        show("", _about(found))
    if spec:
        show("", json.dumps(found["spec"], indent=2))


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
    """What a checkpoint says of itself as plain JSON, and its config."""
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


def _heading(found: dict) -> str:
    names = ", ".join([found["name"], *found.get("aliases", ())])
    lines = [names]
    lines += [found[key] for key in ("summary", "source") if found.get(key)]
    lines.append(f"{found['task']}, {found['classes']} classes" if found["classes"] else "features")
    return "\n".join(lines)


def _costs(found: dict) -> Any:
    at = "x".join(str(side) for side in found["input_size"])
    published = found["published"]
    shown = table("", ">here", ">published", title=f"cost an image of {at}")

    def theirs(key: str, text) -> str:
        own_size = found["spec"]["input_size"] == found["input_size"]
        return text(published[key]) if key in published and (own_size or key == "parameters") else "-"

    shown.add_row("parameters", f"{found['parameters']:,}", theirs("parameters", lambda value: f"{value:,}"))
    shown.add_row("multiply-adds", billions(found["multiply_adds"]), theirs("multiply_adds", billions))
    shown.add_row("  of which attention", billions(found["attention_multiply_adds"]), "-")
    shown.add_row("activations, float32", f"{found['activation_bytes'] / 2**20:.1f} MiB", "-")
    metrics = _metrics(found)
    for key in dict.fromkeys([*metrics, *published]):
        if isinstance(metrics.get(key, published.get(key)), float) and key not in ("parameters", "multiply_adds"):
            shown.add_row(key, _share(metrics.get(key)), _share(published.get(key)))
    return shown


def _metrics(found: dict) -> dict:
    metrics = ((found.get("checkpoint") or {}).get("provenance") or {}).get("metrics")
    return metrics if isinstance(metrics, dict) else {}


def _share(value: object) -> str:
    return f"{100 * value:.2f} %" if isinstance(value, (int, float)) and not isinstance(value, bool) else "-"


def _stages(found: dict) -> Any:
    shown = table("stage", ">stride", ">channels", ">size", "blocks", title="stages")
    for stage in found["stages"]:
        blocks = [f"{stage['blocks'].count(kind)} {kind}" for kind in dict.fromkeys(stage["blocks"])]
        size = "x".join(str(side) for side in stage["size"])
        shown.add_row(stage["name"], str(stage["stride"]), str(stage["channels"]), size, ", ".join(blocks))
    return shown


def _about(found: dict) -> Any:
    shown = table("", "", title="weights")
    for tag, place in found.get("weights", {}).items():
        shown.add_row(tag, place)
    saved = found.get("checkpoint")
    if not saved:
        if not found.get("weights"):
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
