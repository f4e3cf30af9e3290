"""PyTorch's own files: a plain ``state_dict`` whose ``_metadata`` holds the config."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

from axialzoo.checkpoint import (
    CheckpointError,
    Config,
    Tensors,
    atomic_write,
    check_tensors,
    check_torch_file,
    digest,
    validate_and_migrate,
)
from axialzoo.checkpoint.unwrap import fit_config, inner_state, names_of, unwrap
from axialzoo.files import check_output


def read_native(path, config: Config | None = None) -> tuple[Config, dict[str, np.ndarray]]:
    """Read the config and the canonical tensors of a ``.pth`` file.

    Args:
        path: A ``state_dict`` with canonical names.
        config: Config of the weights, for a file without one.

    Raises:
        CheckpointError: for a file that is damaged, holds more than tensors, or does not say what it is.
    """
    path = Path(path)
    state, inside = read_state(path)
    config = Config.from_json(inside, f"{path}: _metadata") if inside is not None else config
    if config is None:
        raise CheckpointError(
            f"{path}: does not say which model it is; expected a config in it or beside it, or the model's name: "
            f"axialzoo convert {path} FOLDER --model NAME"
        )
    if inside is None:
        state = unwrap(inner_state(state, str(path)), names_of(config.spec), str(path))
    tensors = {name: to_array(path, name, value) for name, value in state.items()}
    config = fit_config(config, tensors) if inside is None and not config.digest else config
    config, current = validate_and_migrate(config, tensors, str(path))
    return config, dict(current)


def write_native(path, config: Config, tensors: Tensors, *, overwrite: bool = False) -> None:
    """Write a file that ``torch.load(path, weights_only=True)`` and ``load_state_dict(strict=True)`` read.

    Raises:
        FileExistsError: where `path` exists and `overwrite` is False.
        CheckpointError: where the tensors are not exactly those of the config's spec, or not finite.
    """
    check_output(path, overwrite=overwrite)
    check_tensors(tensors, config.spec, where=str(path))
    config = config.with_digest(digest(tensors))
    state = OrderedDict((name, torch.from_numpy(np.array(tensors[name]))) for name in sorted(tensors))
    vars(state)["_metadata"] = OrderedDict({"": {"version": 1, "axialzoo": config.to_json()}})  # PyTorch keeps versions in this attribute
    with atomic_write(Path(path)) as temporary:
        torch.save(state, temporary)


def read_state(path: Path) -> tuple[dict, str | None]:
    """Read the dictionary of a ``.pth`` file and the config in it, without executing anything in the file.

    Raises:
        CheckpointError: for anything but a dictionary of plain values and tensors.
    """
    check_torch_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old formats and the code of refused files
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises whatever a damaged stream leads it to
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{path}: damaged, or holds more than weights; only files that weights_only=True reads are accepted: {reason}"
        ) from None
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise CheckpointError(f"{path}: expected a state_dict, found a {type(state).__name__}")
    metadata = getattr(state, "_metadata", None)
    top = metadata.get("") if isinstance(metadata, dict) else None
    inside = top.get("axialzoo") if isinstance(top, dict) else None
    if inside is not None and not isinstance(inside, str):
        raise CheckpointError(f"{path}: expected the config in _metadata as text, found a {type(inside).__name__}")
    return state, inside


def to_array(path: Path, name: str, value: object) -> np.ndarray:
    """Return a tensor of a state dict as a numpy array."""
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
        raise CheckpointError(f"{path}: {name}: expected a dense tensor, found a {type(value).__name__}")
    if value.dtype not in (torch.float16, torch.float32, torch.float64):
        raise CheckpointError(f"{path}: {name} is {value.dtype}; expected float16, float32 or float64: convert it first")
    span = value.untyped_storage().nbytes()
    if value.numel() * value.element_size() > span:
        raise CheckpointError(f"{path}: {name} claims {tuple(value.shape)} of a storage of {span} bytes; expected each value stored once")
    return value.detach().resolve_conj().resolve_neg().contiguous().numpy()
