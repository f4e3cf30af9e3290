"""``axialzoo app``."""

from __future__ import annotations

from typing import Annotated

import typer

from axialzoo.cli.shared import Quiet, say, say_if_compiling


def run(
    model: Annotated[
        list[str] | None,
        typer.Option(help="Offer this one; may be said again. Default all whose weights are here.", metavar="NAME|FOLDER|ORG/REPO"),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="On this machine; 0 for any that is free.")] = 7860,
    host: Annotated[str, typer.Option(help="Address to serve on; 0.0.0.0 lets others in.")] = "127.0.0.1",
    quiet: Quiet = False,
) -> None:
    """Open a page in the browser that shows predictions for a picture, and the attention from a point of it.

    Works without a network. Ends with Ctrl-C.

    Examples:
      axialzoo app
      axialzoo app --model runs/nuclei/model --model org/repo --port 8000
    """
    from axialzoo.app import serve
    from axialzoo.runtime.frameworks import available

    if "torch" in available():
        say_if_compiling(quiet)
    serve(model or (), host=host, port=port, log=lambda text: say(text, quiet))
