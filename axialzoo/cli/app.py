"""The command ``axialzoo`` and its subcommands."""

from __future__ import annotations

from typing import Annotated

import typer

from axialzoo.cli import (
    benchmark,
    compare,
    convert,
    evaluate,
    explain,
    export,
    import_weights,
    info,
    inspect,
    listing,
    page,
    predict,
    publish,
    pull,
    space,
    train,
    verify,
)
from axialzoo.cli.renamed import Group
from axialzoo.cli.shared import command

app = typer.Typer(
    name="axialzoo",
    cls=Group,
    help="Axial attention networks in PyTorch and Keras 3, from one spec and one checkpoint file.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(show: bool) -> None:
    if show:
        from axialzoo import __version__

        typer.echo(f"axialzoo {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Axial attention networks in PyTorch and Keras 3, from one spec and one checkpoint file."""


command(app, "list")(listing.run)
command(app, "info")(info.run)
command(app, "predict")(predict.run)
command(app, "convert")(convert.run)
command(app, "import")(import_weights.run)
command(app, "export")(export.run)
command(app, "verify")(verify.run)
command(app, "pull")(pull.run)
command(app, "publish")(publish.run)
command(app, "train")(train.run)
command(app, "evaluate")(evaluate.run)
command(app, "inspect")(inspect.run)
command(app, "compare")(compare.run)
command(app, "explain")(explain.run)
command(app, "benchmark")(benchmark.run)
command(app, "app")(page.run)
command(app, "publish-space")(space.run)
