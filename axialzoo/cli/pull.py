"""``axialzoo pull``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer

from axialzoo.cli.shared import Json, Quiet, emit, say, show, stdout_kept_clean, table


def run(
    name: Annotated[str | None, typer.Argument(help="The weights; without a name all are listed.", metavar="[NAME.TAG]")] = None,
    url: Annotated[str | None, typer.Option(help="Fetch them from here instead, or take this file.", metavar="ADDRESS")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the archive, too.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Fetch and import again, though they are there.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch official weights from their own address, import and check them, and keep them for `pretrained=` and every command.

    A download that was cut goes on where it stopped. The digest of what was imported first is recorded, and checked ever after.
    Addresses are those of the projects' own pages and are unverified; `--url` names another. They are kept in AXIALZOO_HOME,
    by default ~/.cache/axialzoo.

    Examples:
      axialzoo pull
      axialzoo pull axial_swidernet_1_1_1.cityscapes
      axialzoo pull axial_resnet26_s.imagenet1k --url ~/Downloads/axial26s.pth
      axialzoo predict street.png --model axial_deeplab_max_s.cityscapes
    """
    from axialzoo.runtime.pulling import pull

    if name is None:
        _list(as_json)
        return
    with stdout_kept_clean(), _progress(quiet or as_json) as update:
        done = pull(name, address=url, force=force, keep=keep, progress=update, log=lambda text: say(text, quiet))
    if as_json:
        emit(done)
    else:
        say(f"{name}: {done['folder']} ({'fetched' if done['fetched'] else 'there already'}), {done['model']}, {done['digest']}", quiet)
        say(f"licence: {done['licence']}", quiet)


def _list(as_json: bool) -> None:
    from axialzoo.hub.catalogue import OFFICIAL
    from axialzoo.hub.pulled import pulled_dir

    if as_json:
        rows = []
        for weights in OFFICIAL.values():
            here = {"least_bytes": weights.least_bytes, "pulled": pulled_dir(weights.name).exists()}
            rows.append({**vars(weights), "published": dict(weights.published), **here})
        emit({"weights": rows})
        return
    shown = table("name", "published", ">weights alone", "here", "address, unverified")
    for weights in OFFICIAL.values():
        figures = ", ".join(f"{key} {100 * value:.1f} %" for key, value in weights.published.items())
        here = "yes" if pulled_dir(weights.name).exists() else "no"
        shown.add_row(weights.name, figures or "-", f"{weights.least_bytes / 1e6:,.0f} MB", here, weights.address)
    show(shown)


@contextlib.contextmanager
def _progress(silent: bool) -> Iterator[Callable[[int, int | None], None]]:
    """Show a progress bar on a terminal, or a line for each tenth in a file."""
    if silent:
        yield lambda done, total: None
        return
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    with Progress(BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task: Any = None

        def update(done: int, total: int | None) -> None:
            nonlocal task
            task = bar.add_task("", total=total) if task is None else task
            bar.update(task, completed=done, total=total)

        yield update


def _lines() -> Callable[[int, int | None], None]:
    last = 0

    def update(done: int, total: int | None) -> None:
        nonlocal last
        if total and 10 * done // total > last:
            last = 10 * done // total
            say(f"{done / 1e6:,.1f} of {total / 1e6:,.1f} MB")

    return update
