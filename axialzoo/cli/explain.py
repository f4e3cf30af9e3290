"""``axialzoo explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from axialzoo.cli.shared import Device, Force, Json, Quiet, emit, say, show, stdout_kept_clean, table
from axialzoo.files import check_output


def run(
    model: Annotated[str, typer.Argument(help="A name, a folder, or org/repo.", metavar="NAME|FOLDER|ORG/REPO")],
    image: Annotated[Path, typer.Argument(help="A photograph.", metavar="IMAGE")],
    point: Annotated[str | None, typer.Option(help="A pixel of it: x from the left, y from the top.", metavar="X,Y")] = None,
    slot: Annotated[int | None, typer.Option(help="A slot of a mask transformer, from 0, in place of a point.", metavar="NUMBER")] = None,
    out: Annotated[Path | None, typer.Option(help="Draw the picture.", metavar="PICTURE")] = None,
    kinds: Annotated[
        str | None, typer.Option(help="Kinds of attention to compare, separated by commas; default those with weights.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="A block that attends; default the middle one.", metavar="BLOCK")] = None,
    size: Annotated[str | None, typer.Option(help="What the model gets: SIDE or HEIGHTxWIDTH; default its own.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Random combinations of channels behind the receptive field.")] = 8,
    seed: Annotated[int, typer.Option(help="Of those, and of random weights.")] = 0,
    random: Annotated[bool, typer.Option("--random", help="Random weights, even where there are trained ones.")] = False,
    device: Device = "auto",
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what a point of a photograph attends to, what reaches it, and what the output there depends on.

    The attention along height and width from the point; what reaches it through both, one after the other; and the
    effective receptive field, from gradients. Other kinds of attention stand in for the model's own, with weights trained for them
    (axial_resnet_cifar10_xs has some of several kinds) or the model's own where they fit (axial_local); others are left out, or
    skipped by name where --kinds names them. A model without weights is shown with random ones, and says so. In PyTorch only.

    Examples:
      axialzoo explain axial_resnet_cifar10_xs photo.jpg --point 120,80 --out picture.png
      axialzoo explain axial_resnet_cifar10 photo.jpg --point 120,80 --kinds axial,axial_local --out picture.png
      axialzoo explain axial_resnet50_s photo.jpg --point 120,80 --kinds axial,global --out picture.png
      axialzoo explain ./folder photo.jpg --point 120,80 --layer stages.2.blocks.1 --json
      axialzoo explain max_deeplab_nuclei_xs photo.jpg --slot 3 --out picture.png
    """
    from axialzoo.image.draw import picture_format
    from axialzoo.runtime.frameworks import choose

    choose("torch")
    if (point is None) == (slot is None):
        raise ValueError("explain: expected --point X,Y or --slot NUMBER, found " + ("neither" if point is None else "both"))
    place = None if point is None else _point(point)
    if out is not None:
        picture_format(out)  # before anything is computed
        check_output(out, inputs=[image], overwrite=force)
    from axialzoo.analysis.cases import parse_kinds
    from axialzoo.analysis.explain import Sampling, explain, find_source

    names = None if kinds is None else parse_kinds(kinds)
    with stdout_kept_clean():
        source = find_source(model, size, random)
        if source.tensors is None:
            say(f"{model}: random weights (seed {seed}); nothing is learned", quiet)
        stages = None
        if place is None:
            assert slot is not None
            from axialzoo.analysis.slots import explain_slot

            stages = explain_slot(source, image, slot, seed=seed, out=out, overwrite=force, log=lambda text: say(text, quiet))
    if stages is not None:
        emit(stages) if as_json else show(_stages(stages))
        return
    assert place is not None
    with stdout_kept_clean():
        report = explain(
            source, image, place, kinds=names, layer=layer, sampling=Sampling(samples, seed, device), out=out,
            log=lambda text: say(text, quiet),
        )  # fmt: skip
    if as_json:
        emit(report)
        return
    show(*_tables(report))
    if out is not None:
        say(f"drawn: {out}", quiet)


def _stages(report: dict[str, Any]) -> Any:
    name = f"{report['model']} ({report['weights']} weights), slot {report['slot']}"
    title = f"{name}: class {report['class']}, {100 * report['probability']:.1f} %"
    shown = table("stage", "kind", ">map", ">share of the pixels that it owns", title=title)
    for stage in report["stages"]:
        height, width = stage["map"]
        shown.add_row(stage["name"], stage["kind"], f"{height} x {width}", f"{100 * stage['share']:.1f} %")
    return shown


def _point(text: str) -> tuple[int, int]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        raise ValueError(f"--point: expected X,Y in pixels such as 120,80, found {text!r}")
    return int(parts[0]), int(parts[1])


def _tables(report: dict[str, Any]) -> list[Any]:
    height, width = report["map"]
    title = f"{report['model']} ({report['weights']} weights), {report['layer']}, map of {height} x {width}"
    headings = ("reached", "coverage", "effective", "mean distance")
    attention = table("attention", *(f">{name}" for name in headings), title=title)
    for name, part in report["attention"].items():
        attention.add_row(name, *_cells(part))
    shown = table("kind", "weights", *(f">reach: {name}" for name in headings), *(f">field: {name}" for name in headings))
    for kind, part in report["kinds"].items():
        if part["skipped"]:
            shown.add_row(kind, f"skipped: {part['skipped']}")
            continue
        shown.add_row(kind, part["weights"], *_cells(part["reach"]), *_cells(part["field"]))
    return [attention, "", shown, "", "reach in positions of the map, field in pixels of the input"]


def _cells(part: dict[str, float]) -> tuple[str, ...]:
    return (
        f"{100 * part['reached']:.1f} %",
        f"{100 * part['coverage']:.1f} %",
        f"{part['effective_positions']:,.0f}",
        f"{part['mean_distance']:.1f}",
    )
