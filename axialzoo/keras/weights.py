"""Canonical tensors into and out of Keras models."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

import keras
import numpy as np

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
from axialzoo.spec import Label, Model, Parameter, Preprocessing, parameters
from axialzoo.spec.check import check_trainable

BLOCK = 32  # rows of a tensor that are transposed together; twice as fast as all at once


def to_tensors(model: keras.Model) -> dict[str, np.ndarray]:
    """Return every tensor of `model` by its canonical name, in PyTorch's layout, on the CPU.

    Raises:
        CheckpointError: for dtypes that numpy does not have.
    """
    return {parameter.name: _to_numpy(parameter, variable) for parameter, variable in variables(model)}


def load_tensors(model: keras.Model, tensors: Tensors, *, replace: Collection[str] = (), verified: bool = False) -> None:
    """Copy `tensors` into `model`, each into exactly one of its tensors; on an error, copy none.

    Args:
        model: A model of :func:`axialzoo.keras.build`, of a dtype that holds the tensors' exactly.
        tensors: Canonical names, PyTorch's layout.
        replace: Names of tensors that keep the model's values.
        verified: The tensors come from :func:`axialzoo.checkpoint.load_checkpoint`, which has checked every value.

    Raises:
        CheckpointError: with the list of what is missing, left over, misshapen, of the wrong dtype or not finite.
    """
    where = type(model).__name__
    targets = {parameter.name: (parameter, variable) for parameter, variable in variables(model) if parameter.name not in replace}
    sources = {name: array for name, array in tensors.items() if name not in replace}
    check_match(sources, {name: parameter.shape for name, (parameter, _) in targets.items()}, where)
    if not verified:
        check_tensors(tensors, spec_of(model), where=where, ignore=replace)
    lossy = [
        f"{name} ({array.dtype} into {_dtype(targets[name][1])})"
        for name, array in sources.items()
        if not _holds(_dtype(targets[name][1]), array.dtype)
    ]
    if lossy:
        raise CheckpointError(
            f"{where}: of the wrong dtype ({len(lossy)}): {', '.join(lossy)}; nothing was loaded; build the model with the tensors' "
            "dtype (dtype='float64', dtype='float32')"
        )
    for name, source in iter_and_release_pages(sources):
        parameter, variable = targets[name]
        memory = _memory(variable)
        if memory is None:
            variable.assign(_transposed(source, parameter.keras_order, np.empty(variable.shape, source.dtype)))
        else:
            _transposed(source, parameter.keras_order, memory)


def save_model(
    model: keras.Model,
    folder: str | os.PathLike[str],
    *,
    labels: Collection[str | Label] = (),
    preprocessing: Preprocessing | None = None,
    provenance: Mapping[str, object] | None = None,
    overwrite: bool = False,
) -> Config:
    """Write `model` as a checkpoint folder that every framework reads; return its config as written.

    Options that are left out come from ``model.config``, if the model was loaded from weights. The provenance does so only if the weights
    have not changed since. Otherwise it becomes ``based_on``, with the name, digest and licence of the weights that were loaded.
    Only ``overwrite=True`` replaces a checkpoint in `folder`.

    Raises:
        FileExistsError: where `folder` has a checkpoint and `overwrite` is False.
        CheckpointError: for values that are not finite or dtypes other than float16, float32, float64.
    """
    tensors = to_tensors(model)  # first, since its error names variables that no longer fit the spec
    return save_checkpoint(folder, describe(model, labels, preprocessing, provenance), tensors, overwrite=overwrite)


def describe(
    model: keras.Model,
    labels: Collection[str | Label] = (),
    preprocessing: Preprocessing | None = None,
    provenance: Mapping[str, object] | None = None,
) -> Config:
    """Return the config of `model` as it is: see :func:`save_model`."""
    return describe_model(model, spec_of(model), labels, preprocessing, provenance)


def spec_of(model: keras.Model) -> Model:
    """Return the spec of `model`.

    Raises:
        CheckpointError: for a model of other code, or one that was cut from a model of this package.
        ValueError: for a model that has been optimised for inference.
    """
    spec = getattr(model, "spec", None)
    if not isinstance(spec, Model):
        raise CheckpointError(
            f"{model.name}: expected a model of axialzoo.keras, which has a spec, found {type(model).__name__}; for another number of "
            "classes, take what model.reset_classifier(num_classes) gives; models cut from ours are saved by Keras: model.save('a.keras')"
        )
    check_trainable(model, "its weights")
    return spec


def variables(model: keras.Model) -> list[tuple[Parameter, keras.Variable]]:
    """Return each parameter of the model's spec with its variable, matched by the variable's path.

    Raises:
        CheckpointError: where they do not match one to one.
    """
    by_name = {variable.path.replace("/", "."): variable for variable in model.weights}
    expected = parameters(spec_of(model))
    missing = [parameter.name for parameter in expected if parameter.keras_name not in by_name]
    present = [parameter for parameter in expected if parameter.keras_name in by_name]
    reshaped = [parameter.name for parameter in present if tuple(by_name[parameter.keras_name].shape) != parameter.keras_shape]
    left = sorted(set(by_name) - {parameter.keras_name for parameter in expected})
    if reshaped:
        raise CheckpointError(
            f"{model.name}: its variables are no longer those of its spec: {', '.join(reshaped[:8])}; for another number of classes, take "
            "what model.reset_classifier(num_classes) gives"
        )
    if missing or left or len(by_name) != len(model.weights):
        raise CheckpointError(
            f"{model.name}: expected a model of axialzoo.keras.build, with a variable for each parameter of its spec; "
            f"missing: {', '.join(missing) or 'none'}; left over: {', '.join(left) or 'none'}"
        )
    return [(parameter, by_name[parameter.keras_name]) for parameter in expected]


def _dtype(variable: keras.Variable) -> str:
    """Return the dtype of a variable's value: JAX keeps float32 for float64 unless its jax_enable_x64 is on."""
    return keras.backend.standardize_dtype(variable.value.dtype)


def _to_numpy(parameter: Parameter, variable: keras.Variable) -> np.ndarray:
    if _dtype(variable) not in ("float16", "float32", "float64"):
        raise CheckpointError(f"{parameter.name} is {_dtype(variable)}; expected float16, float32 or float64: build the model in float32")
    array = np.asarray(keras.ops.convert_to_numpy(variable.value))
    return array if parameter.keras_order is None else np.ascontiguousarray(array.transpose(np.argsort(parameter.keras_order)))


def _memory(variable: keras.Variable) -> np.ndarray | None:
    """Return the memory of `variable` if it may be written to: that of PyTorch's tensors on the CPU."""
    value = variable.value
    if keras.backend.backend() != "torch" or value.device.type != "cpu" or not value.is_contiguous():
        return None
    return value.detach().numpy()


def _transposed(array: np.ndarray, order: tuple[int, ...] | None, out: np.ndarray) -> np.ndarray:
    """Copy `array` with its axes in `order` to `out`: TensorFlow and JAX may keep the result, so it is no view of the mapped file."""
    moved = array if order is None else array.transpose(order)
    size = out.shape[-1] if order is None or order[-1] != 0 else BLOCK
    for begin in range(0, out.shape[-1], size):  # (..., O) from (O, ...): each cache line is read once
        out[..., begin : begin + size] = moved[..., begin : begin + size]
    return out


def _holds(target: str, source: np.dtype) -> bool:
    """Return True if `target` holds every value of `source` exactly."""
    return target != "bfloat16" and np.can_cast(source, np.dtype(target), "safe")
