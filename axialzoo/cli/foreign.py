"""``axialzoo import`` and ``axialzoo export``: weights of other code bases."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from axialzoo.cli.shared import Json, Quiet, emit, say, stdout_kept_clean
from axialzoo.spec import SpecError, did_you_mean

Zoo = Annotated[str, typer.Argument(help="Whose format: axial-deeplab, deeplab2.", metavar="ZOO")]


def run_import(
    zoo: Zoo,
    file: Annotated[Path, typer.Argument(help="The foreign checkpoint: a file, or a TF2 prefix, folder or archive.", metavar="FILE")],
    out: Annotated[Path, typer.Option(help="Folder to write config.json and model.safetensors to.", metavar="FOLDER")],
    model: Annotated[
        str | None, typer.Option(help="Which registered model it is; default: recognised by its tensors.", metavar="NAME")
    ] = None,
    backbone_only: Annotated[bool, typer.Option("--backbone-only", help="Leave out classifiers, heads and decoders.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Import another code base's weights into a folder that both frameworks load.

    Examples:
      axialzoo import axial-deeplab axial26s.pth --model axial_resnet26_s --out folder
      axialzoo import deeplab2 resnet50_beta_imagenet1k.tar.gz --out folder
      axialzoo import deeplab2 runs/cityscapes/ckpt-60000 --model axial_deeplab_max_s --out folder
      axialzoo import deeplab2 runs/cityscapes/ckpt-60000 --backbone-only --out folder
    """
    from axialzoo.checkpoint import save_checkpoint

    reader = converter(zoo)
    with stdout_kept_clean():
        config, tensors = reader.import_checkpoint(file, model, backbone_only=backbone_only)
        save_checkpoint(out, config, tensors)
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


def run_export(
    zoo: Zoo,
    source: Annotated[str, typer.Argument(help="A folder, a name with weights, or org/repo.", metavar="FOLDER")],
    file: Annotated[Path, typer.Argument(help="What to write: a file, or for deeplab2 a new folder.", metavar="FILE")],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Export weights as another code base reads them.

    Examples:
      axialzoo export axial-deeplab folder axial26s.pth
      axialzoo export deeplab2 folder ckpt-dir
    """
    from axialzoo.checkpoint import load_checkpoint

    writer = converter(zoo)
    with stdout_kept_clean():
        checkpoint = load_checkpoint(source)
        writer.export_checkpoint(checkpoint.config, checkpoint.tensors, file)
    if as_json:
        emit({"source": source, "file": str(file), "model": checkpoint.config.model, "tensors": len(checkpoint.tensors)})
    else:
        say(f"{source} -> {file}: {checkpoint.config.model}, {len(checkpoint.tensors)} tensors, each used once", quiet)


def converter(zoo: str) -> ModuleType:
    """The module that reads and writes the weights of `zoo`.

    Raises:
        SpecError: naming those there are.
    """
    package = _package()
    known = {name.replace("_", "-"): name for _, name, _ in pkgutil.iter_modules(package.__path__)}
    known = {name: module for name, module in known.items() if hasattr(_module(package, module), "import_checkpoint")}
    name = zoo.replace("_", "-")
    if name not in known:
        raise SpecError(f"unknown code base {zoo!r}{did_you_mean(name, known)}; known: {', '.join(known)}")
    return _module(package, known[name])


def _module(package: ModuleType, name: str) -> ModuleType:
    return importlib.import_module(f"{package.__name__}.{name}")


def _package() -> ModuleType:
    """``axialzoo.converters``; in a clone that is not installed it lies at the top."""
    try:
        return importlib.import_module("axialzoo.converters")
    except ModuleNotFoundError as error:
        if error.name != "axialzoo.converters":
            raise
        return importlib.import_module("converters")
