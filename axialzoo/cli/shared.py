"""Options, output and errors that the commands share."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer

from axialzoo.cli.renamed import Command
from axialzoo.errors import EXPECTED, as_text
from axialzoo.files import printable

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing besides the result.")]
NoFused = Annotated[bool, typer.Option("--no-fused", help="Compute as in training: without the faster form for inference.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there already; never an input.")]
Device = Annotated[
    str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps; auto is the accelerator that the framework finds.", metavar="DEVICE")
]
Tile = Annotated[str | None, typer.Option(help="Cut large pictures into overlapping tiles, such as 513x513.", metavar="HEIGHTxWIDTH")]
Overlap = Annotated[int | None, typer.Option(min=0, help="Pixels that tiles share; default a quarter of the tile.")]
OnBadLabel = Annotated[
    str, typer.Option(help="error lists all bad labels and stops; skip leaves them out and counts them.", metavar="error|skip")
]
Hflip = Annotated[bool, typer.Option("--hflip", help="Look at the mirrored picture too, and take the mean.")]
Scales = Annotated[str | None, typer.Option(help="Look at these sizes and take the mean, such as 0.75,1,1.25.", metavar="LIST")]


def command(app: typer.Typer, name: str) -> Callable[[Callable], Callable]:
    """Register a function as the command `name`: its docstring is the help, its errors one message and exit code 1."""

    def register(function: Callable) -> Callable:
        @functools.wraps(function)
        def guarded(*args, **kwargs):
            try:
                with _plain_warnings():
                    return function(*args, **kwargs)
            except BrokenPipeError:  # the reader had enough, as `head` does
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(0) from None
            except (typer.Exit, typer.Abort, typer.BadParameter):
                raise
            except EXPECTED as error:
                if os.environ.get("AXIALZOO_TRACEBACK"):
                    raise
                say(f"error: {as_text(error)}")
                raise typer.Exit(1) from None

        return app.command(name, cls=Command, help=_help(function))(guarded)

    return register


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Warnings as messages: whoever runs a command has no use for the line of source that gave it."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: say(f"warning: {message}")
        yield


def _help(function: Callable) -> str:
    """The docstring, its examples kept line by line."""
    return inspect.cleandoc(function.__doc__ or "").replace("\n\nExamples:", "\n\n\b\nExamples:")


def tta_options(tile: str | None, overlap: int | None, hflip: bool, scales: str | None) -> dict[str, Any]:
    """Return ``--tile``, ``--overlap``, ``--hflip`` and ``--scales`` as keyword arguments of `axialzoo.tasks.tta_from_options`.

    Raises:
        ValueError: for scales that are no numbers.
    """
    options: dict[str, Any] = {"tile": tile, "overlap": overlap, "hflip": hflip}
    if scales is None:
        return options
    try:
        return {**options, "scales": tuple(float(scale) for scale in scales.split(","))}
    except ValueError:
        raise ValueError(f"--scales: expected numbers with commas between them, such as 0.75,1,1.25, found {scales!r}") from None


def say(text: str, quiet: bool = False) -> None:
    """Print a message for people on stderr, so that stdout holds the result alone."""
    if not quiet:
        print(printable(text), file=sys.stderr, flush=True)


def say_if_compiling(quiet: bool = False) -> None:
    """Announce that the CPU kernel is compiled, before its first use."""
    from axialzoo.ops.kernels import needs_compiling

    if needs_compiling():
        say("compiling the CPU kernel, once for this user: a quarter of a minute ...", quiet)


def emit(data: dict[str, Any]) -> None:
    """Print the one JSON object of ``--json``."""
    print(json.dumps(_printable(data), indent=2, allow_nan=False, ensure_ascii=False))


def _printable(value: Any) -> Any:
    """`value` with :func:`printable` texts."""
    if isinstance(value, dict):
        return {name: _printable(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_printable(item) for item in value]
    return printable(value) if isinstance(value, str) else value


@contextlib.contextmanager
def stdout_kept_clean() -> Iterator[None]:
    """Redirect the output of frameworks to stderr, so that stdout holds the result alone."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def show(*parts: Any) -> None:
    """Tables and text on stdout, in colour where that is a terminal."""
    from rich.console import Console

    piped = not sys.stdout.isatty()
    console = Console(soft_wrap=piped, highlight=False, markup=False, width=1000 if piped else None)
    for part in parts:
        console.print(part)


def table(*headings: str, title: str | None = None) -> Any:
    """A plain table; a heading that begins with ``>`` aligns right."""
    from rich.table import Table

    title = None if title is None else printable(title)
    grid = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for index, heading in enumerate(headings):
        last = index == len(headings) - 1  # the one that wraps on a narrow terminal
        grid.add_column(heading.lstrip(">"), justify="right" if heading.startswith(">") else "left", no_wrap=not last)
    return grid


def billions(count: float) -> str:
    """``1.812 G``, ``46.2 M``."""
    return f"{count / 1e9:.3f} G" if count >= 1e9 else f"{count / 1e6:.1f} M"
