"""``axialzoo evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from axialzoo.cli.shared import Json, Quiet, emit, show, stdout_kept_clean, table
from axialzoo.cli.train import choose_one


def run(
    source: Annotated[str, typer.Argument(help="A folder, a name with weights, or org/repo.", metavar="FOLDER")],
    data: Annotated[Path, typer.Option(help="Images: test/ with a folder a class, or CIFAR-10's archives.", metavar="FOLDER")],
    framework: Annotated[str | None, typer.Option(help="torch or keras; default the first installed.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images computed at once.")] = 128,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many images.")] = None,
    record: Annotated[bool, typer.Option("--record", help="Write the result into the folder's config and card.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a model's accuracy on the test images of a data set.

    Examples:
      axialzoo evaluate axial_resnet_cifar10 --data cifar10
      axialzoo evaluate ./folder --data photos --framework keras --json
      axialzoo evaluate runs/cifar10/model --data cifar10 --record
    """
    from axialzoo import train as training
    from axialzoo.runtime.frameworks import choose

    (name,) = choose_one(framework, choose) if framework else choose(None)
    with stdout_kept_clean():
        found: dict[str, Any] = training.evaluate(source, data, framework=name, batch_size=batch_size, limit=limit)
        if record:
            training.record(source, found, data)
    if as_json:
        emit({"source": source, **found})
        return
    shown = table("", ">", title=source)
    shown.add_row("top1", f"{100 * found['top1']:.2f} %")
    shown.add_row("top5", f"{100 * found['top5']:.2f} %")
    shown.add_row("images", f"{found['images']:,}")
    shown.add_row("seconds", f"{found['seconds']:.1f}")
    if not quiet:
        shown.add_row("framework", name + (f" ({found['backend']})" if found["backend"] else ""))
    show(shown)
