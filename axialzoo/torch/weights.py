"""Canonical tensors into and out of PyTorch models."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

import numpy as np
import torch
from torch import nn

from axialzoo.checkpoint import (
    CheckpointError,
    Config,
    Tensors,
    check_match,
    check_tensors,
    describe_model,
    iter_and_release_pages,
    save_checkpoint,
)
from axialzoo.spec import Label, Model, Preprocessing, parameters
from axialzoo.spec.check import check_trainable


def to_tensors(model: nn.Module) -> dict[str, np.ndarray]:
    """Return every tensor of `model` by its canonical name, without a copy on the CPU.

    Raises:
        CheckpointError: for dtypes that numpy does not have.
    """
    return {name: _to_numpy(name, tensor) for name, tensor in _unwrapped(model).state_dict().items()}


def load_tensors(model: nn.Module, tensors: Tensors, *, replace: Collection[str] = (), verified: bool = False) -> None:
    """Copy `tensors` into `model`, each into exactly one of its tensors; on an error, copy none.

    Args:
        model: A model of :func:`axialzoo.torch.build`, of a dtype that holds the tensors' exactly.
        tensors: Canonical names, PyTorch's layout.
        replace: Names of tensors that keep the model's values.
        verified: The tensors come from :func:`axialzoo.checkpoint.load_checkpoint`, which has checked every value.

    Raises:
        CheckpointError: with the list of what is missing, left over, misshapen, of the wrong dtype or not finite.
    """
    model = _unwrapped(model)
    where = type(model).__name__
    targets = {name: tensor for name, tensor in model.state_dict().items() if name not in replace}
    sources = {name: array for name, array in tensors.items() if name not in replace}
    check_match(sources, {name: tuple(tensor.shape) for name, tensor in targets.items()}, where)
    if not verified:
        check_tensors(tensors, spec_of(model), where=where, ignore=replace)
    lossy = [
        f"{name} ({array.dtype} into {targets[name].dtype})"
        for name, array in sources.items()
        if not _holds(targets[name].dtype, array.dtype)
    ]
    if lossy:
        raise CheckpointError(
            f"{where}: of the wrong dtype ({len(lossy)}): {', '.join(lossy)}; nothing was loaded; load into a model of the tensors' "
            "dtype (model.double(), model.float()), then convert the model"
        )
    with torch.no_grad():
        for name, source in iter_and_release_pages(sources):
            target = targets[name]
            if target.device.type == "cpu" and target.is_contiguous():
                np.copyto(target.numpy(), source)  # directly from the mapped file
            else:
                target.copy_(torch.from_numpy(np.array(source)))


def save_model(
    model: nn.Module,
    folder: str | os.PathLike[str],
    *,
    labels: Collection[str | Label] = (),
    preprocessing: Preprocessing | None = None,
    provenance: Mapping[str, object] | None = None,
    overwrite: bool = False,
) -> Config:
    """Write `model` as a checkpoint folder that every framework reads; return its config as written.

    The model in a wrapper of PyTorch (``DataParallel``, ``AveragedModel``, ``torch.compile``) is saved without it.
    Options that are left out come from ``model.config``, if the model was loaded from weights. The provenance does so only if the weights
    have not changed since. Otherwise it becomes ``based_on``, with the name, digest and licence of the weights that were loaded.
    Only ``overwrite=True`` replaces a checkpoint in `folder`.

    Raises:
        FileExistsError: where `folder` has a checkpoint and `overwrite` is False.
        CheckpointError: for values that are not finite or dtypes other than float16, float32, float64.
    """
    return save_checkpoint(folder, describe(model, labels, preprocessing, provenance), to_tensors(model), overwrite=overwrite)


def describe(
    model: nn.Module,
    labels: Collection[str | Label] = (),
    preprocessing: Preprocessing | None = None,
    provenance: Mapping[str, object] | None = None,
) -> Config:
    """Return the config of `model` as it is: see :func:`save_model`."""
    model = _unwrapped(model)
    return describe_model(model, spec_of(model), labels, preprocessing, provenance)


def spec_of(model: nn.Module) -> Model:
    """Return the spec of `model`.

    Raises:
        CheckpointError: for a module of other code, or one whose tensors are no longer those of its spec.
        ValueError: for a model that has been optimised for inference.
    """
    model = _unwrapped(model)
    spec = getattr(model, "spec", None)
    if not isinstance(spec, Model):
        raise CheckpointError(
            f"{type(model).__name__}: expected a model of axialzoo.torch, which has a spec; of a module that holds one, save that: "
            "save_model(module.model, folder)"
        )
    check_trainable(model, "its weights")
    expected = {parameter.name: parameter.shape for parameter in parameters(spec)}
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if isinstance(tensor, torch.Tensor)}
    if shapes != expected:
        changed = sorted(name for name in {*expected, *shapes} if expected.get(name) != shapes.get(name))
        raise CheckpointError(
            f"{type(model).__name__}: its tensors are no longer those of its spec: {', '.join(changed[:8])}"
            f"{', ...' if len(changed) > 8 else ''}; for another number of classes, call model.reset_classifier(num_classes)"
        )
    return spec


def _unwrapped(model: nn.Module) -> nn.Module:
    """Return the model in wrappers of PyTorch: ``DataParallel``, ``DistributedDataParallel``, ``AveragedModel``, ``torch.compile``."""
    while not isinstance(vars(model).get("spec"), Model):
        inner = model._modules.get("_orig_mod", model._modules.get("module"))
        if inner is None:
            return model
        model = inner
    return model


def _to_numpy(name: str, tensor: torch.Tensor) -> np.ndarray:
    if tensor.dtype not in (torch.float16, torch.float32, torch.float64):
        raise CheckpointError(f"{name} is {tensor.dtype}; expected float16, float32 or float64: convert the model first (model.float())")
    return tensor.detach().cpu().numpy()


def _holds(target: torch.dtype, source: np.dtype) -> bool:
    """Return True if `target` holds every value of `source` exactly."""
    return torch.promote_types(target, torch.from_numpy(np.zeros(0, source)).dtype) == target
