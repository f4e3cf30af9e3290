"""``axialzoo compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from axialzoo.cli.shared import Device, Force, Json, Quiet, billions, emit, say, show, stdout_kept_clean, table

COMPARED = "axial,axial_local,global,local,window"
SIZES = "SIDE or HEIGHTxWIDTH, separated by commas: pixels, or with --layer positions; default 224,448,896, or 28,56,112,224."
MEASURES = {"seconds": "time", "memory_bytes": "memory", "multiply_adds": "multiply-adds"}


def run(
    model: Annotated[str, typer.Argument(help="A model's name.", metavar="NAME")],
    kinds: Annotated[str, typer.Option(help="Kinds of attention, separated by commas.")] = COMPARED,
    sizes: Annotated[str | None, typer.Option(help=SIZES)] = None,
    layer: Annotated[str | None, typer.Option(help="Only the attention of this block, such as stages.0.blocks.0.", metavar="BLOCK")] = None,
    span: Annotated[int | None, typer.Option(min=1, help="Odd window of axial_local, in positions; default 15.")] = None,
    train: Annotated[bool, typer.Option("--train", help="A training step (forward and backward) instead of a forward pass.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write compare.json and plots (PNG; needs matplotlib).", metavar="FOLDER")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at once.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="Short runs of each kind and size, in turn.")] = 3,
    timeout: Annotated[float, typer.Option(min=1, help="Skip what takes longer, per run.")] = 60,
    memory_limit: Annotated[float | None, typer.Option(min=0.01, help="GiB; skip what needs more; default 80 % of what is free.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Of PyTorch; default all cores.")] = None,
    device: Device = "auto",
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure kinds of attention side by side: time, memory and multiply-adds, and how each grows with the positions of a map.

    A cost grows as positions ** exponent: 1 is linear, 2 quadratic. Position tables are as long as the map asks for,
    so that each kind sees what its name says at every size. In PyTorch only. What needs more memory or time than there is
    is skipped, and said so.

    Examples:
      axialzoo compare axial_resnet50_s --kinds axial,axial_local,global,local,window --sizes 224,448,896 --out plots/
      axialzoo compare axial_resnet50_s --layer stages.0.blocks.0 --sizes 28,56,112,224
      axialzoo compare axial_resnet50_s --layer stages.0.blocks.0 --train --json
      axialzoo compare axial_resnet50_s --layer stages.0.blocks.0 --kinds axial_local --span 65 --sizes 65x129,128x256 --train
    """
    from axialzoo.analysis import cases as making
    from axialzoo.runtime.device import find_device
    from axialzoo.runtime.frameworks import choose
    from axialzoo.spec import get_entry

    choose("torch")
    device = find_device(device)
    spec = get_entry(model).spec
    block = None if layer is None else making.find_block(spec, layer)
    names = making.parse_kinds(kinds)
    side_pairs = making.parse_sizes(sizes or making.SIDES["model" if block is None else "layer"])
    if out is not None:
        _check_plotting()
    from axialzoo.analysis.compare import Measuring, Workload, compare

    measuring = Measuring(repeats, timeout, None if memory_limit is None else int(memory_limit * 2**30), threads or 0, device)
    with stdout_kept_clean():
        report = compare(
            model, names, side_pairs, Workload(block, span, train, batch_size), measuring,
            out=out, overwrite=force, log=lambda text: say(text, quiet),
        )  # fmt: skip
    if as_json:
        emit(report)
        return
    show(*_tables(report))
    for path in report.get("plots", ()):
        say(f"drawn: {path}", quiet)


def _check_plotting() -> None:
    from axialzoo.runtime.frameworks import require_packages

    require_packages("--out: drawing plots", {"matplotlib": "train"})


def _tables(report: dict[str, Any]) -> list[Any]:
    what = report["model"] if report["layer"] is None else f"the attention of {report['layer']} in {report['model']}"
    said = f"{report['mode']}, batch {report['batch']}, {report['device']}, {report['threads']} thread(s), {report['framework']}"
    costs = table("kind", f">{'pixels' if report['layer'] is None else 'positions'}", ">time", ">memory", ">multiply-adds", "", title=what)
    growth = table("kind", *(f">{name}" for name in MEASURES.values()), "sizes", title="growth: cost ~ positions ** exponent")
    for kind, of_kind in report["kinds"].items():
        for row in of_kind["sizes"]:
            size = "x".join(map(str, row["size"]))
            costs.add_row(
                kind, size, milliseconds(row["seconds"]), mebibytes(row["memory_bytes"]), billions(row["multiply_adds"]),
                f"skipped: {row['skipped']}" if row["skipped"] else "",
            )  # fmt: skip
        done = [row for row in of_kind["sizes"] if not row["skipped"]]
        sizes = f"{len(done)} of {len(of_kind['sizes'])} measured"
        growth.add_row(kind, *(_power(of_kind["exponents"][key]) for key in MEASURES), sizes)
    return [costs, said, "", growth]


def _power(exponent: float | None) -> str:
    return "-" if exponent is None else f"{exponent:.2f}"


def milliseconds(seconds: float | None) -> str:
    """Format seconds as a table cell, in milliseconds below 10 s."""
    return "-" if seconds is None else f"{1e3 * seconds:,.1f} ms" if seconds < 10 else f"{seconds:,.1f} s"


def mebibytes(size: int | None) -> str:
    """Format bytes as a table cell, in MiB."""
    return "-" if size is None else f"{size / 2**20:,.1f} MiB"
