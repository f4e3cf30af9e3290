"""Progress on standard error: a bar in a terminal, a line now and then in a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SHARE, SECONDS = 0.05, 60.0  # a line in a file each time so much is done, and not before so long


@contextmanager
def progress(title: str, total: int, done: int = 0, shown: bool = True) -> Iterator[Callable[[int, str], None]]:
    """Yields ``update(done, note)``."""
    if not shown:
        yield lambda done, note="": None
    elif not sys.stderr.isatty():
        yield _lines(title, total, done)
    else:
        with _bar(title, total, done) as update:
            yield update


def _lines(title: str, total: int, begun: int) -> Callable[[int, str], None]:
    """Prints at most a line a minute, and one for each twentieth that is done."""
    last, when, started = begun, time.monotonic(), time.monotonic()

    def update(done: int, note: str = "") -> None:
        nonlocal last, when
        now = time.monotonic()
        if done - last < SHARE * total or now - when < SECONDS:
            return
        left = (total - done) * (now - started) / max(done - begun, 1)
        print(f"{title}: {done} of {total}, about {left / 60:.0f} min left{', ' + note if note else ''}", file=sys.stderr, flush=True)
        last, when = done, now

    return update


@contextmanager
def _bar(title: str, total: int, done: int) -> Iterator[Callable[[int, str], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=done, note="")
        yield lambda done, note="": bar.update(task, completed=done, note=note)
