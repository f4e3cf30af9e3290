"""``axialzoo import``: weights of other code bases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from axialzoo.cli.shared import Force, Json, Quiet, emit, say, stdout_kept_clean


def run(
    zoo: Annotated[str, typer.Argument(help="Whose format: axial-deeplab, deeplab2, kmax-deeplab, medical-transformer.", metavar="ZOO")],
    file: Annotated[Path, typer.Argument(help="The foreign checkpoint: a file, or a TF2 prefix, folder or archive.", metavar="FILE")],
    out: Annotated[Path, typer.Option(help="Folder to write config.json and model.safetensors to.", metavar="FOLDER")],
    model: Annotated[
        str | None, typer.Option(help="Which registered model it is; default: recognised by its tensors.", metavar="NAME")
    ] = None,
    backbone_only: Annotated[bool, typer.Option("--backbone-only", help="Leave out classifiers, heads and decoders.")] = False,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Import another code base's weights into a folder that both frameworks load.

    Examples:
      axialzoo import axial-deeplab axial26s.pth --model axial_resnet26_s --out folder
      axialzoo import medical-transformer medt.pth --model medical_transformer --out folder
      axialzoo import deeplab2 resnet50_beta_imagenet1k.tar.gz --out folder
      axialzoo import deeplab2 runs/cityscapes/ckpt-60000 --model axial_deeplab_max_s --out folder
      axialzoo import deeplab2 runs/cityscapes/ckpt-60000 --backbone-only --out folder
    """
    from axialzoo.runtime.foreign import import_foreign

    with stdout_kept_clean():
        config, tensors = import_foreign(zoo, file, out, model, backbone_only=backbone_only, overwrite=force)
    left_out, assumed = config.provenance.get("left_out", []), config.provenance.get("assumed", "")
    assert isinstance(left_out, list)
    if as_json:
        emit(
            {
                "source": str(file),
                "folder": str(out),
                "model": config.model,
                "tensors": len(tensors),
                "left_out": left_out,
                "assumed": assumed,
            }
        )
    else:
        say(f"{file} -> {out}: {config.model}, {len(tensors)} tensors, each used once", quiet)
        if assumed:
            say(f"assumed: {assumed}", quiet)
        if left_out:
            say(f"left out ({len(left_out)}): {', '.join(left_out)}", quiet)
