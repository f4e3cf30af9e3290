"""``axialzoo inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from axialzoo.cli.shared import Force, Json, OnBadLabel, Quiet, emit, say, show, table
from axialzoo.files import check_output


def run(
    data: Annotated[Path, typer.Argument(help="Folder of a data set, or a data.yaml of Ultralytics.", metavar="FOLDER")],
    kind: Annotated[str | None, typer.Option(help="classes, boxes or segments, where the folder serves several.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Contact sheet with the labels drawn; default FOLDER_labels.png in the current folder.", metavar="FILE.png"),
    ] = None,
    pictures: Annotated[int, typer.Option(min=1, help="Pictures on the contact sheet.")] = 24,
    on_bad_label: OnBadLabel = "error",
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Report on a data set: format, splits, classes, sizes, labels, suspicions; and draw a contact sheet with the labels.

    Examples:
      axialzoo inspect photos
      axialzoo inspect export --kind segments --out sheet.png
      axialzoo inspect coco/data.yaml --on-bad-label skip --json
    """
    from axialzoo.data.contact_sheet import contact_sheet
    from axialzoo.data.inspection import inspect_data
    from axialzoo.image.draw import write
    from axialzoo.train.progress import progress

    sheet = out or Path(f"{data.resolve().stem or 'data'}_labels.png")
    if out is not None or force or not sheet.exists():
        check_output(sheet, inputs=[data], overwrite=force)
    else:
        say(f"{sheet} exists already and is not replaced (--force replaces it, --out names another)", quiet)
        sheet = None
    with progress("inspecting the data", 100, shown=not quiet) as update:
        report, dataset = inspect_data(
            data, kind, on_bad_label, lambda done, total: update(100 * done // max(total, 1), f"{done} of {total}")
        )
    if sheet is not None:
        write(contact_sheet(dataset, pictures), sheet)
    report["contact_sheet"] = None if sheet is None else str(sheet)
    if as_json:
        emit(report)
        return
    _show(report)


def _show(report: dict[str, Any]) -> None:
    """Print a report."""
    splits = report["splits"]
    head = table("", "", title=report["folder"])
    head.add_row("format", f"{report['reader']}, {report['kind']}")
    for name, split in splits.items():
        same = f", the same pictures as {split['same_as']}" if "same_as" in split else ""
        without = f", {split['without']:,} without objects" if split.get("without") else ""
        crowds = f", {split['crowds']:,} crowds" if split.get("crowds") else ""
        head.add_row(name, f"{split['pictures']:,} pictures{without}{crowds}{same}")
    sizes = report["sizes"]
    head.add_row("sizes", ", ".join(f"{name} {width} x {height}" for name, (width, height) in sizes.items()))
    head.add_row("depth", ", ".join(f"{count:,} of {kind}" for kind, count in report["depth"].items()))
    for name, text in (("per_picture", "objects a picture"), ("side", "side of an object")):
        if values := report["labels"].get(name):
            unit = " pixels" if name == "side" else ""
            head.add_row(text, ", ".join(f"{which} {value:g}" for which, value in values.items()) + unit)
    if report["contact_sheet"]:
        head.add_row("contact sheet", report["contact_sheet"])
    classes = table("class", *(f">{name}" for name in splits))
    for name in report["classes"]:
        classes.add_row(name, *(f"{split['objects'][name]:,}" for split in splits.values()))
    show(head, "", classes)
    skipped = next(iter(splits.values())).get("skipped", {})
    lines = [f"skipped: {count:,} x {kind}" for kind, count in skipped.items()]
    lines += [f"note: {note}" for note in report["notes"]]
    lines += [f"suspicion: {sentence}" for sentence in report["suspicions"]]
    show(*(["", *lines] if lines else []))
