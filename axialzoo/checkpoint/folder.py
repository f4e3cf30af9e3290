"""A checkpoint folder: ``config.json`` and ``model.safetensors``, each knowing the other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from axialzoo.checkpoint.checkpoint_error import CheckpointError
from axialzoo.checkpoint.config import MAX_BYTES, Config
from axialzoo.checkpoint.migrate import SAME_TENSORS, VERSION, migrate_tensors
from axialzoo.checkpoint.safe_open import read_small
from axialzoo.checkpoint.safetensors import Tensors, read_safetensors, write_safetensors
from axialzoo.checkpoint.tensors import check_digest, check_tensors, digest
from axialzoo.files import check_output, write_text
from axialzoo.spec import did_you_mean

CONFIG, WEIGHTS = "config.json", "model.safetensors"
NEXT = ".config.json.next"  # the config of weights that are about to replace those in the folder
FILES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".weights.h5", ".keras")  # of weights, which can be converted
OTHERS = {  # files that people try instead -> the way on
    (".onnx", ".pt2", ".tflite"): "of another runtime, which runs it without a checkpoint; load the folder that it was exported from",
    (".zip", ".tar", ".tar.gz", ".tgz"): "that holds others; unpack it and load the folder with both files in it",
    (".h5", ".hdf5"): "of Keras; save the model there as .keras, run `axialzoo convert` on it and load the new folder",
    (".pkl", ".pickle", ".npz", ".npy", ".msgpack"): "of arrays; save the weights as .safetensors and run `axialzoo convert` on it",
}
METADATA = ("axialzoo", "format")


@dataclass(frozen=True)
class Checkpoint:
    """Weights and their config.

    Attributes:
        config: From ``config.json``.
        tensors: Canonical names, PyTorch's layout; read-only views of the memory-mapped file.
        folder: Where it lies on this machine.
    """

    config: Config
    tensors: Tensors
    folder: Path


def load_checkpoint(folder: str | os.PathLike[str], *, verify: bool = True) -> Checkpoint:
    """Load the checkpoint in a folder; :func:`axialzoo.hub.fetch_checkpoint` takes names and the Hub's addresses too.

    Args:
        folder: With ``config.json`` and ``model.safetensors``.
        verify: Whether to look for values that are not finite and to compute the digest; names, shapes and dtypes
            are checked always.

    Raises:
        CheckpointError: for anything that is missing, damaged, or does not belong together.
        SpecError: for a spec that describes no model.

    Example:
        >>> load_checkpoint("axialzoo/weights/axial_resnet_cifar10").config.model
        'axial_resnet_cifar10'
    """
    if not isinstance(folder, (str, os.PathLike)) or not str(folder):
        raise CheckpointError(f"checkpoint: expected a folder, found {folder!r}")
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: expected a folder with {CONFIG} and {WEIGHTS}, found {_advice(folder)}")
    advice = f"a checkpoint is a folder with {CONFIG} and {WEIGHTS}"
    config = _read_config(folder / (CONFIG if (folder / CONFIG).exists() or not (folder / NEXT).exists() else NEXT), advice)
    tensors, metadata = read_safetensors(folder / WEIGHTS)
    config = _completed(folder, config, metadata)
    _check_metadata(folder, config, metadata)
    if verify and not config.digest:
        raise CheckpointError(f"{folder / CONFIG}: expected the digest of {WEIGHTS}, found none; write the folder with save_checkpoint")
    config, tensors = validate_and_migrate(config, tensors, str(folder / WEIGHTS), check_finite=verify)
    return Checkpoint(config, tensors, folder)


def _advice(path: Path) -> str:
    """Return what lies at `path` instead of a folder, and what to do with it."""
    if not path.exists():
        return "nothing"
    if path.name == WEIGHTS and (path.parent / CONFIG).is_file():
        return f"the file in it; load the folder, {path.parent}"
    if path.name.lower().endswith(FILES):
        stem = path.name[: next(-len(suffix) for suffix in FILES if path.name.lower().endswith(suffix))]
        target = path.with_name(stem or "folder")
        return (
            f"a file; make the folder with `axialzoo convert {path} {target}`, with --model NAME where the file does not say which model "
            f"it is, and load {target}"
        )
    for suffixes, way in OTHERS.items():
        if path.name.lower().endswith(suffixes):
            return f"a file {way}"
    return "a file"


def validate_and_migrate(config: Config, tensors: Tensors, where: str, *, check_finite: bool = True) -> tuple[Config, Tensors]:
    """Check a config and its tensors as they were read, and migrate them to the current version.

    Args:
        config: Of any version that can be read, with or without a digest.
        tensors: Under that version's names.
        where: File or folder, for the message.
        check_finite: Whether to look for values that are not finite and to compute the digest.

    Raises:
        CheckpointError: where the tensors are not exactly those of the config.
    """
    if config.version >= SAME_TENSORS:
        check_tensors(tensors, config.spec, where=where, check_finite=check_finite, expected_digest=config.digest if check_finite else "")
        return replace(config, version=VERSION), tensors
    if check_finite and config.digest:
        check_digest(tensors, config.digest, where)
    tensors = migrate_tensors(tensors, config.version)
    check_tensors(tensors, config.spec, where=where, check_finite=check_finite)
    return replace(config, digest=digest(tensors) if config.digest else "", version=VERSION), tensors


def save_checkpoint(folder: str | os.PathLike[str], config: Config, tensors: Tensors, *, overwrite: bool = False) -> Config:
    """Write ``config.json`` and ``model.safetensors`` to `folder`, or nothing.

    The digest is filled in; a provenance that belongs to tensors of another digest becomes ``based_on``. The config is written into
    ``model.safetensors`` too, which then describes itself.
    Equal configs and tensors give equal files.

    Args:
        folder: Output folder; created if it does not exist.
        config: Config of the tensors.
        tensors: Canonical names, PyTorch's layout.
        overwrite: Whether a checkpoint that is there already may be replaced.

    Returns:
        The config as written.

    Raises:
        FileExistsError: where `folder` has one of the two files and `overwrite` is not said.
        CheckpointError: where the tensors are not exactly those of the config's spec, or not finite.
    """
    folder = check_checkpoint_output(folder, overwrite=overwrite)
    check_tensors(tensors, config.spec, where=str(folder))
    config = config.with_digest(digest(tensors))
    write_text(folder / NEXT, config.to_json())
    try:
        write_safetensors(folder / WEIGHTS, tensors, to_metadata(config))
    except BaseException:
        (folder / NEXT).unlink(missing_ok=True)
        raise
    try:
        os.replace(folder / NEXT, folder / CONFIG)  # a process that is killed before this leaves NEXT, which load_checkpoint reads
    except FileNotFoundError:  # another process that writes to this folder has renamed it
        write_text(folder / CONFIG, config.to_json())
    return config


def check_checkpoint_output(folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Validate the output folder of a checkpoint before anything is computed, and return it.

    Raises:
        FileExistsError: where it is a file, or has a checkpoint and `overwrite` is not said.
        ValueError: for an empty path.
    """
    path = check_output(folder, overwrite=True)
    if path.exists() and not path.is_dir():
        raise FileExistsError(f"{path}: expected a folder to write a checkpoint to, found a file; choose another path")
    if not overwrite:
        for name in (CONFIG, WEIGHTS):
            if os.path.lexists(path / name):
                raise FileExistsError(
                    f"{path / name}: exists already and is not replaced; choose another folder, or say so (--force, overwrite=True)"
                )
    return path


def to_metadata(config: Config) -> dict[str, str]:
    """Return the metadata of a ``model.safetensors`` that describes itself."""
    return {"axialzoo": config.to_json(), "format": "pt"}  # "pt": the layout, as other readers ask for


def config_from_metadata(metadata: Mapping[str, str], where: str) -> Config | None:
    """Return the config that the metadata of a safetensors file holds, if any."""
    return Config.from_json(metadata["axialzoo"], f"{where}: metadata") if "axialzoo" in metadata else None


def _read_config(path: Path, advice: str) -> Config:
    return Config.from_json(read_small(path, MAX_BYTES, advice), str(path))


def _completed(folder: Path, config: Config, metadata: Mapping[str, str]) -> Config:
    """Return the config of the weights: `config`, or that of a process which was killed between its two files."""
    if not (folder / NEXT).is_file():
        return config
    inside = config_from_metadata(metadata, str(folder / WEIGHTS))
    if inside is None or (inside.spec, inside.digest) == (config.spec, config.digest):
        return config
    following = _read_config(folder / NEXT, "remove it")
    return following if (inside.spec, inside.digest) == (following.spec, following.digest) else config


def _check_metadata(folder: Path, config: Config, metadata: Mapping[str, str]) -> None:
    where = str(folder / WEIGHTS)
    for key in metadata:
        if key not in METADATA:
            near = did_you_mean(key[:80], METADATA)
            raise CheckpointError(f"{where}: unknown metadata {key[:80]!r}{near} (known: {', '.join(METADATA)})")
    if metadata.get("format", "pt") != "pt":
        raise CheckpointError(f"{where}: expected the layout 'pt', found {metadata['format'][:80]!r}")
    inside = config_from_metadata(metadata, where)
    if inside is not None and (inside.spec != config.spec or inside.digest != config.digest):
        what = "spec" if inside.spec != config.spec else "digest"
        raise CheckpointError(
            f"{folder}: {CONFIG} and the copy of it in {WEIGHTS} differ in {what}; expected a pair written together: "
            "fetch or write both again"
        )
