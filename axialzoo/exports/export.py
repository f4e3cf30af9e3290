"""`export_model`: writes a checkpoint for another runtime, and compares the file with the original before it gets its name."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from axialzoo.checkpoint import Checkpoint
from axialzoo.exports import keras_writer, torch_writer
from axialzoo.exports.export_matrix import EXPORT_MATRIX, FORMATS, PACKAGES, format_of
from axialzoo.exports.run import channels_last, load_exported
from axialzoo.files import atomic_write, atomic_write_folder, check_output
from axialzoo.hub import fetch_checkpoint
from axialzoo.runtime.frameworks import choose, installed, process_backend, require_packages
from axialzoo.runtime.local import keras_model, torch_model
from axialzoo.spec import Model
from axialzoo.spec.model import size_pair

LIMIT = 1e-5  # of the largest difference over the largest value of an output
BATCHES = (1, 3)
SHARES = ((0.31, 0.45), (0.58, 0.37), (0.93, 1.0), (1.17, 0.83), (1.61, 1.31), (2.1, 0.7))  # of the model's own size: below it and above


class ExportError(ValueError):
    """An export that is not supported, or that computes other outputs than its original."""


def export_model(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    framework: str | None = None,
    size: Any = None,
    dynamic_shapes: bool = False,
    overwrite: bool = False,
    log: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Export a checkpoint for another runtime, for any batch and one size or any size.

    Args:
        source: A folder, a name with weights, or ``org/repo``.
        target: ``model.pt2`` (torch.export), ``model.onnx``, ``model.tflite`` or a folder (a TensorFlow SavedModel).
        framework: ``"torch"``, or ``"keras"`` on the back end of this process; default the framework that writes the format.
        size: A side, (height, width) or ``"320x480"``; default the model's own.
        dynamic_shapes: Keep height and width dynamic.
        overwrite: Whether to replace an existing `target`.
        log: Gets a line before each step.

    Returns:
        ``target``, ``format``, ``framework``, ``sizes`` (``"any"`` or [height, width]), ``compared`` (of each batch and size, the largest
        difference over the largest value), ``bytes``.

    Raises:
        ExportError: where the framework can't write the format, with the reason and an alternative; and where the outputs of the file
            differ from the original's by more than 1e-5, relative. Then no file stays at `target`.
        FileExistsError: where `target` exists and `overwrite` is False.

    Example:
        >>> export_model("axial_resnet_cifar10", "model.pt2", framework="torch")  # doctest: +SKIP
    """
    if dynamic_shapes and size is not None:
        raise ExportError("export: expected a size or any size, found both; leave one out")
    suffix, sizes = format_of(target), "any" if dynamic_shapes else "fixed"
    exporter = _exporter(framework, suffix)
    reason = EXPORT_MATRIX[exporter, suffix].reason(sizes)
    if reason:
        raise ExportError(
            f"{target}: {FORMATS[suffix]} of {'any' if dynamic_shapes else 'one'} size can't be had from {exporter}: {reason}"
        )
    require_packages(f"writing {FORMATS[suffix]}", PACKAGES.get(suffix, {}))
    checkpoint = fetch_checkpoint(source)
    check_output(target, inputs=(checkpoint.folder,), overwrite=overwrite)
    spec = checkpoint.config.spec
    fixed = None if dynamic_shapes else size_pair(size) if size is not None else spec.input_size
    original, write = _original_and_writer(exporter, suffix, checkpoint, fixed)
    log(f"writing {FORMATS[suffix]} from {exporter} ...")
    beside = atomic_write_folder if suffix == "" else atomic_write
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporters; the comparison below covers them
        with beside(target) as path:
            write(path)
            log("comparing it with its original ...")
            compared = compare(
                original, load_exported(path, suffix, exporter), comparison_shapes(spec, fixed), str(target), _exact(exporter, checkpoint)
            )
    target = Path(target)
    num_bytes = sum(file.stat().st_size for file in target.rglob("*") if file.is_file()) if target.is_dir() else target.stat().st_size
    return {
        "target": str(target),
        "format": FORMATS[suffix],
        "framework": exporter,
        "sizes": "any" if fixed is None else list(fixed),
        "compared": compared,
        "bytes": num_bytes,
    }


def comparison_shapes(spec: Model, fixed: tuple[int, int] | None) -> list[tuple[int, int, int]]:
    """Return the (batch, height, width) to compare: two batches; with dynamic sizes, six odd sizes around the model's own."""
    if fixed is not None:
        return [(batch, *fixed) for batch in BATCHES]
    height, width = spec.input_size
    free = [(int(height * a) | 1, int(width * b) | 1) for a, b in SHARES]
    return [(batch, *size) for batch, size in zip(BATCHES * len(free), [*free, (height, width)])]


def compare(
    original: Callable, exported: Callable, shapes: list[tuple[int, int, int]], target: str, exact: Callable | None = None
) -> list[dict[str, Any]]:
    """Return the largest difference over the largest value of every output, at each (batch, height, width).

    Args:
        exact: The model in float64. Some models round more than the limit; then the export passes if it is within the limit of the
            float64 outputs.

    Returns:
        For each shape ``batch``, ``height``, ``width`` and ``error``; ``exact``, the distance from float64, where it was needed.

    Raises:
        ExportError: for a difference above the limit, and for an output that is missing or has another shape.
    """
    random, comparisons = np.random.default_rng(0), []
    for batch, height, width in shapes:
        x = random.standard_normal((batch, height, width, original.channels), "float32")
        expected, outputs = original(x), exported(x)
        where = f"{target}: at batch {batch} and {height} x {width}"
        if [a.shape for a in expected] != [b.shape for b in outputs]:
            raise ExportError(
                f"{where} gives {[b.shape for b in outputs]}, its original {[a.shape for a in expected]}; nothing was written"
            )
        errors = {"error": _error(expected, outputs)}
        if exact is not None and not errors["error"] <= LIMIT:
            errors["exact"] = _error(exact(x), outputs)
        if not min(errors.values()) <= LIMIT:  # NaN fails this comparison
            raise ExportError(
                f"{where} differs from its original by {errors['error']:.1e} of its size, more than {LIMIT:.0e}; nothing was written"
            )
        comparisons.append({"batch": batch, "height": height, "width": width, **errors})
    return comparisons


def _error(expected: list[np.ndarray], outputs: list[np.ndarray]) -> float:
    """Return the largest difference over the largest value, of the worst output."""
    return max(float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-6)) for a, b in zip(expected, outputs))


def _exact(exporter: str, checkpoint: Checkpoint) -> Callable | None:
    """Return the model in float64 in PyTorch, with the layout of `exporter`, built at its first call; None without PyTorch."""

    @functools.cache
    def build_exact() -> Callable:
        is_channels_last = channels_last(exporter)
        model = torch_model(checkpoint.config.spec, checkpoint.tensors).double()
        return torch_writer.as_function(keras_writer.as_channels_last(model) if is_channels_last else model, is_channels_last)

    return (lambda x: build_exact()(x)) if installed("torch") else None


def _exporter(framework: str | None, suffix: str) -> str:
    """Return the exporter: ``"torch"``, or ``"keras-"`` and the back end of this process."""
    default = "torch" if suffix in (".pt2", ".onnx") else "keras"
    (name,) = choose(framework or default)
    return "torch" if name == "torch" else f"keras-{process_backend()}"


def _original_and_writer(exporter: str, suffix: str, checkpoint: Checkpoint, size: tuple[int, int] | None) -> tuple[Callable, Callable]:
    config, tensors = checkpoint.config, checkpoint.tensors
    if exporter == "torch":
        return torch_writer.original_and_writer(torch_model(config.spec, tensors), suffix, config, size)
    return keras_writer.original_and_writer(keras_model(config.spec, tensors), suffix, checkpoint, size)
