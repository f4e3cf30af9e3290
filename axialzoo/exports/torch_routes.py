"""What PyTorch writes: torch.export (.pt2) and, from that, ONNX. Keras on its torch back end goes the same way."""

from __future__ import annotations

import contextlib
import importlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from axialzoo.checkpoint import Config
from axialzoo.exports.run import Original, flatten_outputs, names_of


def prepared(model: Any, suffix: str, config: Config, size: tuple[int, int] | None, *, last: bool = False) -> tuple[Original, Callable]:
    """The model as a function of arrays, and what writes it to a path.

    Args:
        model: In evaluation.
        suffix: ``".pt2"`` or ``".onnx"``.
        config: Of its weights; kept in an ONNX file as the metadata ``axialzoo``.
        size: Height and width; None for any.
        last: Whether it takes images with channels last, (N, H, W, C), as Keras's models do.
    """
    import torch

    channels = config.spec.backbone.in_channels
    height, width = size or tuple(side + side // 2 + 1 for side in config.spec.input_size)
    shape = (2, height, width, channels) if last else (2, channels, height, width)

    def write(path: Path) -> None:
        program = record_program(model, torch.zeros(shape), size is None, 1 if last else 2)
        if suffix == ".pt2":
            torch.export.save(program, path)
            return
        with torch.no_grad():
            names = names_of(model(torch.zeros(shape)), config.spec)
        _write_onnx(program, path, names, config)

    return Original(as_function(model, last), channels), write


def as_function(model: Any, last: bool) -> Callable[[np.ndarray], list[np.ndarray]]:
    """A live model, in the precision of its parameters: images (N, H, W, C) to its outputs."""
    import torch

    dtype = next(model.parameters()).dtype

    def run(x: np.ndarray) -> list[np.ndarray]:
        with torch.no_grad():
            return flatten_outputs(model(torch.from_numpy(laid_out(x, last)).to(dtype)), lambda tensor: tensor.numpy())

    return run


def laid_out(x: np.ndarray, last: bool) -> np.ndarray:
    """(N, H, W, C) as it is or, unless channels come `last`, as (N, C, H, W)."""
    return np.ascontiguousarray(x if last else x.transpose(0, 3, 1, 2))


def record_program(model: Any, x: Any, dynamic_shapes: bool, axis: int) -> Any:
    """The model as torch.export records it, of any batch and, where `dynamic_shapes`, any height and width, which are `axis` and the next.

    Where heights and widths are free, nothing is asked of any size meanwhile: what would be a guess about it becomes the way that
    serves every size.
    """
    import torch

    symbolic: Any = importlib.import_module("torch.fx.experimental._config")  # no public name says so
    free = {
        one: torch.export.Dim.DYNAMIC for one in ((0, axis, axis + 1) if dynamic_shapes else (0,))
    }  # from the least size that strides leave
    shapes = ((free,),) if _takes_any(model) else (free,)
    with torch.no_grad(), symbolic.patch(backed_size_oblivious=dynamic_shapes):
        return torch.export.export(model, (x,), dynamic_shapes=shapes, strict=False, prefer_deferred_runtime_asserts_over_guards=True)


def _takes_any(model: Any) -> bool:
    """Whether `forward` takes ``*args``, as Keras's does, so that the input is one of them."""
    import inspect

    kinds = [one.kind for one in inspect.signature(model.forward).parameters.values()]
    return inspect.Parameter.VAR_POSITIONAL in kinds


def _write_onnx(program: Any, path: Path, names: list[str], config: Config) -> None:
    import torch

    with _hushed("torch.onnx", "onnxscript"):
        made = torch.onnx.export(program, input_names=["images"], output_names=names, dynamo=True, external_data=False, verbose=False)
    assert made is not None
    made.model.metadata_props["axialzoo"] = config.to_json()
    made.save(path)


@contextlib.contextmanager
def _hushed(*names: str) -> Iterator[None]:
    """Without warnings of these loggers, such as of constants that were not folded: what is written is compared with its original."""
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before):
            logger.setLevel(level)
