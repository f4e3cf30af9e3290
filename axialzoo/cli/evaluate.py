"""``axialzoo evaluate``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from axialzoo.cli.shared import (
    Device,
    Flip,
    Json,
    OnBadLabel,
    Overlap,
    Plain,
    Quiet,
    Scales,
    Tile,
    emit,
    say,
    say_if_compiling,
    show,
    stdout_kept_clean,
    table,
    tta_options,
)
from axialzoo.cli.train import choose_one

ABOUT = ("images", "seconds", "framework", "backend", "split", "digest", "per_class", "per_kind", "skipped_labels")  # beside the figures


def run(
    source: Annotated[str, typer.Argument(help="A folder, a name with weights, or org/repo.", metavar="FOLDER")],
    data: Annotated[Path, typer.Option(help="A data set that the README lists, such as CIFAR-10's archives.", metavar="FOLDER")],
    framework: Annotated[str | None, typer.Option(help="torch or keras; default the first installed.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images computed at once.")] = 32,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many images.")] = None,
    split: Annotated[str | None, typer.Option(help="train, val or test; default test or, without one, val.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Draw results beside the truth, worst first.", metavar="FOLDER")] = None,
    tile: Tile = None,
    overlap: Overlap = None,
    flip: Flip = False,
    scales: Scales = None,
    examples: Annotated[int, typer.Option(min=0, help="Show so many pictures, from worst to best, in the folder's card.")] = 0,
    record: Annotated[bool, typer.Option("--record", help="Write the result into the folder's config and card.")] = False,
    on_bad_label: OnBadLabel = "error",
    plain: Plain = False,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a model on the test images of a data set.

    Examples:
      axialzoo evaluate axial_resnet_cifar10 --data cifar10
      axialzoo evaluate ./folder --data photos --framework keras --json
      axialzoo evaluate runs/cifar10/model --data cifar10 --record
      axialzoo evaluate runs/nuclei/model --data nuclei --pictures worst/
      axialzoo evaluate runs/nuclei/model --data nuclei --hflip --scales 0.75,1,1.25 --json
      axialzoo evaluate runs/nuclei/model --data nuclei --split val --examples 6
    """
    from axialzoo import train as training
    from axialzoo.runtime.frameworks import choose

    (name,) = choose_one(framework, choose) if framework else choose(None)
    with stdout_kept_clean():
        if not plain:
            say_if_compiling(quiet)
        more: dict[str, Any] = {"split": split, "pictures": pictures, "examples": examples, **tta_options(tile, overlap, flip, scales)}
        found: dict[str, Any] = training.evaluate(
            source,
            data,
            framework=name,
            batch_size=batch_size,
            limit=limit,
            optimize=not plain,
            device=device,
            on_bad_label=on_bad_label,
            **more,
        )
        if record:
            training.write_metrics(source, found, data)
    if as_json:
        emit({"source": source, **found})
        return
    for text in found.pop("warnings", ()):
        say(f"warning: {text}")
    for kind, count in found.get("skipped_labels", {}).items():
        say(f"skipped: {count:,} x {kind}")
    shown = table("", ">", title=source)
    for key, value in found.items():
        if key not in ABOUT and value is not None:
            shown.add_row(key, _figure(value))
    shown.add_row(f"{found['split']} images", f"{found['images']:,}")
    shown.add_row("seconds", f"{found['seconds']:.1f}")
    if not quiet:
        shown.add_row("framework", name + (f" ({found['backend']})" if found["backend"] else ""))
    show(shown, *(_rows(name.removeprefix("per_"), found[name]) for name in ("per_class", "per_kind", "skipped_labels") if found.get(name)))


def _figure(value: Any) -> str:
    return f"{100 * value:.2f} %" if isinstance(value, float) else str(value)


def _rows(name: str, figures: Mapping[str, Any]) -> Any:
    """Table with a row for each class or kind and a column for each figure."""
    rows = {name: one if isinstance(one, Mapping) else {"": one} for name, one in figures.items()}
    headings = list(dict.fromkeys(key for one in rows.values() for key in one))
    shown = table(name, *(f">{heading}" for heading in headings))
    for name, one in rows.items():
        shown.add_row(name, *("-" if one.get(key) is None else _figure(one[key]) for key in headings))
    return shown
