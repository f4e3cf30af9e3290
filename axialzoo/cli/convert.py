"""``axialzoo convert``."""

from __future__ import annotations

from typing import Annotated

import typer

from axialzoo.cli.shared import Force, Json, Quiet, emit, say, stdout_kept_clean


def run(
    source: Annotated[str, typer.Argument(help="A folder, .safetensors, .pth, .weights.h5 or .keras.", metavar="SRC")],
    target: Annotated[str, typer.Argument(help="The same kinds; a path without a suffix is a folder.", metavar="DST")],
    model: Annotated[str | None, typer.Option(help="Which model it is, for weights that do not say.", metavar="NAME")] = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Convert weights between formats, bit for bit; every tensor is used once or the conversion is refused.

    Examples:
      axialzoo convert folder model.weights.h5
      axialzoo convert model.safetensors model.pth
      axialzoo convert plain.pth folder --model axial_resnet26_s
    """
    from axialzoo.runtime.convert import convert
    from axialzoo.runtime.frameworks import installed, prepare_keras

    with stdout_kept_clean():
        if installed("keras") and any(str(path).endswith((".h5", ".keras")) for path in (source, target)):
            prepare_keras()
        done = convert(source, target, model=model, overwrite=force)
    if as_json:
        emit(done)
    else:
        say(f"{source} -> {target}: {done['model']}, {done['tensors']} tensors, {done['digest']}", quiet)
