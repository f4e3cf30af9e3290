"""A checkpoint to a file of another runtime, which is run and compared before it has its name."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from axialzoo.checkpoint import Checkpoint
from axialzoo.exports import keras_routes, torch_routes
from axialzoo.exports.routes import FORMATS, PACKAGES, ROUTES, format_of
from axialzoo.exports.run import channels_last, load_exported
from axialzoo.files import atomic_write, check_output, folder_written_beside
from axialzoo.hub import fetch_checkpoint
from axialzoo.runtime.frameworks import choose, installed, process_backend, require_packages
from axialzoo.runtime.local import keras_model, torch_model
from axialzoo.spec import Model
from axialzoo.spec.model import size_pair

LIMIT = 1e-5  # of the largest difference over the largest value of an output
BATCHES = (1, 3)
SHARES = ((0.31, 0.45), (0.58, 0.37), (0.93, 1.0), (1.17, 0.83), (1.61, 1.31), (2.1, 0.7))  # of the model's own size: below it and above


class ExportError(ValueError):
    """An export that can't be had, or that computes something else than its original."""


def export_model(
    source: str | os.PathLike,
    target: str | os.PathLike[str],
    *,
    framework: str | None = None,
    size: Any = None,
    dynamic_shapes: bool = False,
    overwrite: bool = False,
    told: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Writes a checkpoint for another runtime; any batch, one height and width or any.

    Args:
        source: A folder, a name with weights, or ``org/repo``.
        target: ``model.pt2`` (torch.export), ``model.onnx``, ``model.tflite`` or a folder (a TensorFlow SavedModel).
        framework: ``"torch"`` or ``"keras"``, the latter on the back end of this process; default the one that writes the format.
        size: A side, (height, width) or ``"320x480"``; default the model's own.
        dynamic_shapes: Leave height and width free.
        overwrite: Whether what is at `target` may be replaced.
        told: Gets a line before each step.

    Returns:
        ``target``, ``format``, ``framework``, ``sizes`` (``"any"`` or [height, width]), ``compared`` (of each batch and size, the largest
        difference over the largest value), ``bytes``.

    Raises:
        ExportError: where the framework can't write the format so, saying why and what can; and where what was written computes
            something else than the original by more than 1e-5. Nothing is left at `target` then.
        FileExistsError: where something is at `target` already and `overwrite` is not said.

    Example:
        >>> export_model("axial_resnet_cifar10", "model.pt2", framework="torch")  # doctest: +SKIP
    """
    if dynamic_shapes and size is not None:
        raise ExportError("export: expected a size or any size, found both; leave one out")
    suffix, sizes = format_of(target), "any" if dynamic_shapes else "fixed"
    place = _place(framework, suffix)
    reason = ROUTES[place, suffix].reason(sizes)
    if reason:
        raise ExportError(f"{target}: {FORMATS[suffix]} of {'any' if dynamic_shapes else 'one'} size can't be had from {place}: {reason}")
    require_packages(f"writing {FORMATS[suffix]}", PACKAGES.get(suffix, {}))
    checkpoint = fetch_checkpoint(source)
    check_output(target, inputs=(checkpoint.folder,), overwrite=overwrite)
    spec = checkpoint.config.spec
    fixed = None if dynamic_shapes else size_pair(size) if size is not None else spec.input_size
    original, write = _prepared(place, suffix, checkpoint, fixed)
    told(f"writing {FORMATS[suffix]} from {place} ...")
    beside = folder_written_beside if suffix == "" else atomic_write
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters' own, of what is compared below
        with beside(target) as path:
            write(path)
            told("comparing it with its original ...")
            compared = compare(
                original, load_exported(path, suffix, place), comparison_shapes(spec, fixed), str(target), _exact(place, checkpoint)
            )
    target = Path(target)
    count = sum(file.stat().st_size for file in target.rglob("*") if file.is_file()) if target.is_dir() else target.stat().st_size
    return {
        "target": str(target),
        "format": FORMATS[suffix],
        "framework": place,
        "sizes": "any" if fixed is None else list(fixed),
        "compared": compared,
        "bytes": count,
    }


def comparison_shapes(spec: Model, fixed: tuple[int, int] | None) -> list[tuple[int, int, int]]:
    """(batch, height, width) of the comparison: two batches, and where sizes are free, six odd ones below and above the model's own."""
    if fixed is not None:
        return [(batch, *fixed) for batch in BATCHES]
    height, width = spec.input_size
    free = [(int(height * a) | 1, int(width * b) | 1) for a, b in SHARES]
    return [(batch, *size) for batch, size in zip(BATCHES * len(free), [*free, (height, width)])]


def compare(
    original: Callable, exported: Callable, shapes: list[tuple[int, int, int]], target: str, exact: Callable | None = None
) -> list[dict[str, Any]]:
    """The largest difference over the largest value, of every output at each (batch, height, width).

    Args:
        exact: The same in float64: where the two are further apart than the limit, what was written counts as equal if it is within the
            limit of that, for the original itself rounds more in some models.

    Returns:
        Of each shape ``batch``, ``height``, ``width`` and ``error``; ``exact``, the distance from float64, where that was asked.

    Raises:
        ExportError: for a difference above the limit, and where an output is missing or of another shape.
    """
    random, found = np.random.default_rng(0), []
    for batch, height, width in shapes:
        x = random.standard_normal((batch, height, width, original.channels), "float32")
        expected, given = original(x), exported(x)
        where = f"{target}: at batch {batch} and {height} x {width}"
        if [a.shape for a in expected] != [b.shape for b in given]:
            raise ExportError(f"{where} gives {[b.shape for b in given]}, its original {[a.shape for a in expected]}; nothing was written")
        errors = {"error": _error(expected, given)}
        if exact is not None and not errors["error"] <= LIMIT:
            errors["exact"] = _error(exact(x), given)
        if not min(errors.values()) <= LIMIT:  # not-a-number is no number below the limit
            raise ExportError(
                f"{where} differs from its original by {errors['error']:.1e} of its size, more than {LIMIT:.0e}; nothing was written"
            )
        found.append({"batch": batch, "height": height, "width": width, **errors})
    return found


def _error(expected: list[np.ndarray], given: list[np.ndarray]) -> float:
    """The largest difference over the largest value, of the output where that is worst."""
    return max(float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-6)) for a, b in zip(expected, given))


def _exact(place: str, checkpoint: Checkpoint) -> Callable | None:
    """The model in float64, in PyTorch, laid out as `place` lays it out, made when it is asked; None without PyTorch."""

    @functools.cache
    def made() -> Callable:
        last = channels_last(place)
        model = torch_model(checkpoint.config.spec, checkpoint.tensors).double()
        return torch_routes.as_function(keras_routes.turned(model) if last else model, last)

    return (lambda x: made()(x)) if installed("torch") else None


def _place(framework: str | None, suffix: str) -> str:
    """``"torch"``, or ``"keras-"`` and the back end of this process."""
    wanted = framework or ("torch" if suffix in (".pt2", ".onnx") else "keras")
    (name,) = choose(wanted)
    return "torch" if name == "torch" else f"keras-{process_backend()}"


def _prepared(place: str, suffix: str, checkpoint: Checkpoint, size: tuple[int, int] | None) -> tuple[Callable, Callable]:
    config, tensors = checkpoint.config, checkpoint.tensors
    if place == "torch":
        return torch_routes.prepared(torch_model(config.spec, tensors), suffix, config, size)
    return keras_routes.prepared(keras_model(config.spec, tensors), suffix, checkpoint, size)
