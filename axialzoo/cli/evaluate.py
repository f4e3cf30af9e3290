"""``axialzoo evaluate``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from axialzoo.cli.shared import (
    Device,
    Hflip,
    Json,
    NoFused,
    OnBadLabel,
    Overlap,
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
    data: Annotated[
        Path, typer.Option(help="Data set, such as CIFAR-10's archives; docs/guide/data.md lists the kinds.", metavar="FOLDER")
    ],
    framework: Annotated[str | None, typer.Option(help="torch, keras or native; default the first installed.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images computed at once.")] = 32,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many images.")] = None,
    split: Annotated[str | None, typer.Option(help="train, val or test; default test or, without one, val.")] = None,
    save_vis: Annotated[Path | None, typer.Option(help="Draw results beside the ground truth, worst first.", metavar="FOLDER")] = None,
    tile: Tile = None,
    overlap: Overlap = None,
    hflip: Hflip = False,
    scales: Scales = None,
    card_examples: Annotated[int, typer.Option(min=0, help="Show so many pictures, from worst to best, in the folder's card.")] = 0,
    update_card: Annotated[bool, typer.Option("--update-card", help="Write the result into the folder's config and card.")] = False,
    no_fused: NoFused = False,
    device: Device = "auto",
    on_bad_label: OnBadLabel = "error",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a model on the test images of a data set.

    Examples:
      axialzoo evaluate axial_resnet_cifar10 --data cifar10
      axialzoo evaluate ./folder --data photos --framework keras --json
      axialzoo evaluate runs/cifar10/model --data cifar10 --update-card
      axialzoo evaluate runs/nuclei/model --data nuclei --save-vis worst/
      axialzoo evaluate runs/nuclei/model --data nuclei --hflip --scales 0.75,1,1.25 --json
      axialzoo evaluate runs/nuclei/model --data nuclei --split val --card-examples 6
    """
    from axialzoo import train as training
    from axialzoo.runtime.frameworks import choose

    (name,) = choose_one(framework, lambda names: choose(names, native=True)) if framework else choose(None, native=True)
    with stdout_kept_clean():
        if not no_fused:
            say_if_compiling(quiet)
        more: dict[str, Any] = {
            "split": split,
            "save_vis": save_vis,
            "card_examples": card_examples,
            "on_bad_label": on_bad_label,
            **tta_options(tile, overlap, hflip, scales),
        }
        metrics: dict[str, Any] = training.evaluate(
            source, data, framework=name, batch_size=batch_size, limit=limit, optimize=not no_fused, device=device, **more
        )
        if update_card:
            training.write_metrics(source, metrics, data)
    if as_json:
        emit({"source": source, **metrics})
        return
    for text in metrics.pop("warnings", ()):
        say(f"warning: {text}")
    for kind, count in metrics.get("skipped_labels", {}).items():
        say(f"skipped: {count:,} x {kind}")
    shown = table("", ">", title=source)
    for key, value in metrics.items():
        if key not in ABOUT and value is not None:
            shown.add_row(key, _figure(value))
    shown.add_row(f"{metrics['split']} images", f"{metrics['images']:,}")
    shown.add_row("seconds", f"{metrics['seconds']:.1f}")
    if not quiet:
        shown.add_row("framework", name + (f" ({metrics['backend']})" if metrics["backend"] else ""))
    parts = ("per_class", "per_kind", "skipped_labels")
    show(shown, *(_rows(name.removeprefix("per_"), metrics[name]) for name in parts if metrics.get(name)))


def _figure(value: Any) -> str:
    return f"{100 * value:.2f} %" if isinstance(value, float) else str(value)


def _rows(name: str, figures: Mapping[str, Any]) -> Any:
    """Table with a row for each class or kind and a column for each figure."""
    rows = {name: values if isinstance(values, Mapping) else {"": values} for name, values in figures.items()}
    headings = list(dict.fromkeys(key for values in rows.values() for key in values))
    shown = table(name, *(f">{heading}" for heading in headings))
    for name, values in rows.items():
        shown.add_row(name, *("-" if values.get(key) is None else _figure(values[key]) for key in headings))
    return shown
