"""The converters of weights of other code bases, looked up by the name of the code base."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from axialzoo.checkpoint import Config, Tensors, save_checkpoint
from axialzoo.checkpoint.folder import check_checkpoint_output
from axialzoo.files import check_output
from axialzoo.hub import fetch_checkpoint
from axialzoo.spec import SpecError, did_you_mean


def import_foreign(
    zoo: str, file: Path, out: Path, model: str | None = None, *, backbone_only: bool = False, overwrite: bool = False
) -> tuple[Config, Tensors]:
    """Write the weights of another code base as a checkpoint folder, and return its config and tensors.

    Args:
        zoo: ``"axial-deeplab"``, ``"deeplab2"``, ``"kmax-deeplab"``, ``"medical-transformer"``.
        file: The foreign checkpoint.
        out: The folder.
        model: Registered name; default: recognised by the tensors.
        backbone_only: Leave out what is not the backbone.
        overwrite: Whether to replace a checkpoint that exists in `out`.
    """
    reader = converter(zoo)
    check_output(out, inputs=[file], overwrite=True)
    check_checkpoint_output(out, overwrite=overwrite)
    config, tensors = reader.import_checkpoint(file, model, backbone_only=backbone_only)
    return save_checkpoint(out, config, tensors, overwrite=overwrite), tensors


def export_foreign(zoo: str, source: str, file: Path, *, overwrite: bool = False) -> tuple[Config, Tensors]:
    """Write a checkpoint as another code base reads it, and return its config and tensors; `overwrite` as for :func:`import_foreign`."""
    writer = converter(zoo)
    check_output(file, overwrite=overwrite or file.is_dir())  # the converter checks a folder: it accepts an empty one only
    checkpoint = fetch_checkpoint(source)
    check_output(file, inputs=[checkpoint.folder, *checkpoint.folder.iterdir()], overwrite=True)
    writer.export_checkpoint(checkpoint.config, checkpoint.tensors, file)
    return checkpoint.config, checkpoint.tensors


def converter(zoo: str) -> ModuleType:
    """Return the module that reads and writes the weights of `zoo`.

    Raises:
        SpecError: for an unknown code base; the message lists the known ones.
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
    """Return the package ``axialzoo.converters``, which a clone that is not installed has as ``converters``."""
    try:
        return importlib.import_module("axialzoo.converters")
    except ModuleNotFoundError as error:
        if error.name != "axialzoo.converters":
            raise
        return importlib.import_module("converters")
