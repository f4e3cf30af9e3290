"""Exports of PyTorch: torch.export (.pt2) and, from that, ONNX. Keras on its torch back end uses them too."""

from __future__ import annotations

import contextlib
import importlib
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from axialzoo.checkpoint import Config
from axialzoo.exports.run import Original, flatten_outputs, names_of


def original_and_writer(
    model: Any, suffix: str, config: Config, size: tuple[int, int] | None, *, channels_last: bool = False
) -> tuple[Original, Callable]:
    """Return the model as a function of arrays, and the function that writes it to a path.

    Args:
        model: A model in evaluation mode.
        suffix: ``".pt2"`` or ``".onnx"``.
        config: Config of its weights; an ONNX file holds it as the metadata ``axialzoo``.
        size: Height and width; None for any.
        channels_last: Whether it takes images with channels last, (N, H, W, C), as Keras's models do.
    """
    import torch

    channels = config.spec.backbone.in_channels
    height, width = size or tuple(side + side // 2 + 1 for side in config.spec.input_size)
    shape = (2, height, width, channels) if channels_last else (2, channels, height, width)

    def write(path: Path) -> None:
        program = record_program(model, torch.zeros(shape), size is None, 1 if channels_last else 2)
        if suffix == ".pt2":
            torch.export.save(program, path)
            return
        with torch.no_grad():
            names = names_of(model(torch.zeros(shape)), config.spec)
        _write_onnx(program, path, names, config)

    return Original(as_function(model, channels_last), channels), write


def as_function(model: Any, channels_last: bool) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Return a live model as a function from images (N, H, W, C) to its outputs, in the precision of its parameters."""
    import torch

    dtype = next(model.parameters()).dtype

    def run(x: np.ndarray) -> list[np.ndarray]:
        with torch.no_grad():
            return flatten_outputs(model(torch.from_numpy(to_layout(x, channels_last)).to(dtype)), lambda tensor: tensor.numpy())

    return run


def to_layout(x: np.ndarray, channels_last: bool) -> np.ndarray:
    """Return images (N, H, W, C) unchanged with `channels_last`, else as (N, C, H, W)."""
    return np.ascontiguousarray(x if channels_last else x.transpose(0, 3, 1, 2))


def record_program(model: Any, x: Any, any_size: bool, axis: int) -> Any:
    """Export the model with torch.export, for any batch and, with `any_size`, any height and width, which are `axis` and the next.

    With dynamic sizes the exporter does not specialise on a size: each guard on it becomes the branch that is valid for every size.
    """
    import torch

    symbolic: Any = importlib.import_module("torch.fx.experimental._config")  # there is no public name for it
    free_dims = {
        dim: torch.export.Dim.DYNAMIC for dim in ((0, axis, axis + 1) if any_size else (0,))
    }  # down to the smallest size that strides allow
    shapes = ((free_dims,),) if _takes_varargs(model) else (free_dims,)
    with torch.no_grad(), symbolic.patch(backed_size_oblivious=any_size):
        return torch.export.export(model, (x,), dynamic_shapes=shapes, strict=False, prefer_deferred_runtime_asserts_over_guards=True)


def _takes_varargs(model: Any) -> bool:
    """Return whether `forward` takes ``*args``, as that of Keras does."""
    import inspect

    kinds = [parameter.kind for parameter in inspect.signature(model.forward).parameters.values()]
    return inspect.Parameter.VAR_POSITIONAL in kinds


def _write_onnx(program: Any, path: Path, names: list[str], config: Config) -> None:
    import torch

    with _without_warnings("torch.onnx", "onnxscript"):
        onnx_program = torch.onnx.export(
            program, input_names=["images"], output_names=names, dynamo=True, external_data=False, verbose=False
        )
    assert onnx_program is not None
    _name_batch(onnx_program.model.graph)
    onnx_program.model.metadata_props["axialzoo"] = config.to_json()
    onnx_program.save(path)


def _name_batch(graph: Any) -> None:
    """Call the free first axis of the images ``batch`` wherever it occurs in the shapes of an ONNX graph, in the place of ``s77``."""
    free = graph.inputs[0].shape[0].value
    values = [*graph.inputs, *graph.outputs, *(output for node in graph for output in node.outputs)]
    for shape in (value.shape for value in values if value.shape is not None):
        for at, side in enumerate(shape):
            if isinstance(text := getattr(side, "value", side), str) and re.search(rf"\b{free}\b", text):
                shape[at] = type(side)(re.sub(rf"\b{free}\b", "batch", text))


@contextlib.contextmanager
def _without_warnings(*names: str) -> Iterator[None]:
    """Silence warnings of these loggers, such as of unfolded constants; the comparison with the original covers them."""
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before):
            logger.setLevel(level)
