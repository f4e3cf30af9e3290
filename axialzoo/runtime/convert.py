"""Conversion between the formats of axialzoo, bit by bit. Functions import a framework where its own format needs it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from axialzoo.checkpoint import (
    CheckpointError,
    Config,
    Tensors,
    check_tensors,
    config_from_metadata,
    default_config,
    digest,
    read_safetensors,
    read_small,
    save_checkpoint,
    to_metadata,
    validate_and_migrate,
    write_safetensors,
)
from axialzoo.checkpoint.config import MAX_BYTES
from axialzoo.checkpoint.folder import CONFIG, WEIGHTS, check_checkpoint_output
from axialzoo.checkpoint.unwrap import fit_config, names_of, unwrap
from axialzoo.files import check_output
from axialzoo.hub import fetch_checkpoint, resolve
from axialzoo.spec import did_you_mean, get_entry, same_architecture

FORMATS = {
    ".safetensors": "safetensors",
    ".pth": "torch",
    ".pt": "torch",
    ".ckpt": "torch",
    ".bin": "torch",
    ".weights.h5": "keras",
    ".keras": "keras",
}


def convert(source, target, model: str | None = None, *, overwrite: bool = False) -> dict[str, object]:
    """Convert the checkpoint `source` to `target`; the names of both say their formats.

    Args:
        source: A folder with ``config.json`` and ``model.safetensors`` (or a name that :func:`axialzoo.hub.resolve`
            resolves), a ``.safetensors``, ``.pth``, ``.weights.h5`` or ``.keras`` file.
        target: A folder or a file of one of these formats; a name without suffix is a folder.
        model: Registered name, for a file that neither says what it is nor has a ``config.json`` in its folder.
        overwrite: Whether to replace a checkpoint that exists at `target`.

    Returns:
        ``source``, ``target``, their formats ``from`` and ``to``, ``model``, ``tensors`` and ``values`` (how many),
        ``digest`` (of the target, read back: it equals the source's).

    Raises:
        CheckpointError: for a wrong suffix, file or model; then nothing is written.
        FileExistsError: where `target` exists and `overwrite` is False.
        ValueError: for an empty `target`, and one that is the source.

    Example:
        >>> convert("folder", "model.weights.h5")  # doctest: +SKIP
    """
    check_output(target, overwrite=True)  # an empty name would be the current folder
    source, target = str(source), Path(target)
    source_format, target_format = format_of(source), format_of(target)
    folder = resolve(source) if source_format == "folder" else Path(source)
    check_target(target, overwrite, inputs=(folder, folder / CONFIG, folder / WEIGHTS))
    config, tensors = read_any(folder, model)
    before = config.digest
    write_any(target, config, tensors, overwrite=overwrite)
    after = digest(read_any(target, model)[1])
    if after != before:
        raise CheckpointError(f"{target}: expected what was written, digest {before}, read {after}; do not use it, and report this")
    return {
        "source": source,
        "target": str(target),
        "from": source_format,
        "to": target_format,
        "model": config.model,
        "tensors": len(tensors),
        "values": sum(math.prod(array.shape) for array in tensors.values()),
        "digest": after,
    }


def format_of(path) -> str:
    """Return the format that a path's name says: ``"folder"``, ``"safetensors"``, ``"torch"`` or ``"keras"``.

    Raises:
        CheckpointError: for a suffix that is none of them.
    """
    name = str(path)
    if Path(name).is_dir():
        return "folder"
    for suffix, kind in FORMATS.items():
        if name.lower().endswith(suffix):
            return kind
    suffix = Path(name).suffix
    if suffix in (".h5", ".hdf5", ".json", ".onnx", ".npz", ".tar", ".zip") or Path(name).is_file():
        advice = "; Keras wants .weights.h5" if suffix == ".h5" else did_you_mean(suffix, FORMATS)
        raise CheckpointError(
            f"{name}: expected a folder or a file ending in {', '.join(FORMATS)}, found {suffix or 'no suffix'!r}{advice}"
        )
    return "folder"


def read_any(source, model: str | None = None) -> tuple[Config, Tensors]:
    """Return the config and the verified tensors of a checkpoint in any format; `model` as for :func:`convert`."""
    kind = format_of(source)
    if kind == "folder":
        checkpoint = fetch_checkpoint(source)
        _refuse_other(str(source), checkpoint.config, model)
        return checkpoint.config, checkpoint.tensors
    path = Path(source)
    reader: Callable = _read_lone if kind == "safetensors" else _native(kind).read_native
    config, tensors = reader(path, _config_outside(path, model))
    _refuse_other(str(path), config, model)
    return replace(config, digest=config.digest or digest(tensors)), tensors


def check_target(target: str | Path, overwrite: bool = False, inputs: Sequence[Path] = ()) -> None:
    """Refuse a target that is one of `inputs`, or that exists and `overwrite` is False."""
    target = Path(target)
    for path in (target, target / CONFIG, target / WEIGHTS):
        check_output(path, inputs=inputs, overwrite=True)
    if format_of(target) == "folder":
        check_checkpoint_output(target, overwrite=overwrite)
    else:
        check_output(target, overwrite=overwrite)


def write_any(target, config: Config, tensors: Tensors, *, overwrite: bool = False) -> None:
    """Write a checkpoint in the format that `target` names, whole or not at all.

    Raises:
        FileExistsError: where `target` exists and `overwrite` is False.
    """
    kind = format_of(target)
    if kind == "folder":
        save_checkpoint(target, config, tensors, overwrite=overwrite)
    elif kind == "safetensors":
        check_output(target, overwrite=overwrite)
        check_tensors(tensors, config.spec, where=str(target))
        write_safetensors(target, tensors, to_metadata(config.with_digest(digest(tensors))))
    else:
        _native(kind).write_native(Path(target), config, tensors, overwrite=overwrite)


def _read_lone(path: Path, config: Config | None) -> tuple[Config, Tensors]:
    tensors, metadata = read_safetensors(path)
    if "axialzoo_state" in metadata:
        raise CheckpointError(
            f"{path}: the state of a run, which `axialzoo train ... --resume` goes on from; expected a model: {path.parent / 'model'} once "
            f"the run has ended, {path.parent / 'best'} where samples are held out"
        )
    inside = config_from_metadata(metadata, str(path))
    config = inside or config
    if config is None:
        raise CheckpointError(
            f"{path}: does not say which model it is; expected a config in it or beside it, or the model's name (--model)"
        )
    if inside is None and not config.digest:
        tensors = unwrap(tensors, names_of(config.spec), str(path))
        config = fit_config(config, tensors)
    return validate_and_migrate(config, tensors, str(path))


def _config_outside(path: Path, model: str | None) -> Config | None:
    """Return the config of a file that has none of its own: from ``config.json`` in its folder, else from the name of the model."""
    beside = path.parent / "config.json"
    if beside.is_file():
        return Config.from_json(read_small(beside, MAX_BYTES), str(beside))
    return None if model is None else default_config(get_entry(model).spec, get_entry(model).name)


def _refuse_other(where: str, config: Config, model: str | None) -> None:
    if model is not None and not same_architecture(get_entry(model).spec, config.spec):
        raise CheckpointError(f"{where}: says that it is {config.model!r}, expected {get_entry(model).name!r}; leave out the model's name")


def _native(kind: str):
    try:
        if kind == "torch":
            from axialzoo.torch import native
        else:
            from axialzoo.keras import native
    except ImportError as error:
        extra = "torch" if kind == "torch" else "keras-tensorflow"
        raise CheckpointError(f"this format needs {error.name or kind}: pip install 'axialzoo[{extra}]'") from error
    return native
