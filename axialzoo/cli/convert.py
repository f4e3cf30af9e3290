"""``axialzoo convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from axialzoo.cli.shared import Force, Json, Quiet, emit, say, stdout_kept_clean
from axialzoo.spec import SpecError


def run(
    source: Annotated[str, typer.Argument(help="A folder, .safetensors, .pth, .weights.h5 or .keras.", metavar="SRC")],
    target: Annotated[str, typer.Argument(help="The same kinds; a path without a suffix is a folder.", metavar="DST")],
    to: Annotated[
        str | None, typer.Option(help="Write for other code: axial-deeplab, deeplab2, kmax-deeplab, medical-transformer.", metavar="ZOO")
    ] = None,
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
      axialzoo convert folder axial26s.pth --to axial-deeplab
      axialzoo convert folder ckpt-dir --to deeplab2
      axialzoo convert folder medt.pth --to medical-transformer

    With --to the source is a folder, a name with weights, or org/repo; for deeplab2 the target is a new folder.
    """
    if to is not None:
        _convert_to(to, source, target, model, force, as_json, quiet)
        return
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


def _convert_to(zoo: str, source: str, file: str, model: str | None, force: bool, as_json: bool, quiet: bool) -> None:
    """Write weights as another code base reads them."""
    from axialzoo.runtime.foreign import export_foreign

    if model is not None:
        raise SpecError(f"--model {model}: expected none beside --to, whose source says which model it is")
    with stdout_kept_clean():
        config, tensors = export_foreign(zoo, source, Path(file), overwrite=force)
    if as_json:
        emit({"source": source, "file": file, "model": config.model, "tensors": len(tensors)})
    else:
        say(f"{source} -> {file}: {config.model}, {len(tensors)} tensors, each used once", quiet)
