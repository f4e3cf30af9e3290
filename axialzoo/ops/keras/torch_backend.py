"""The fused kernel for Keras's torch back end: PyTorch's own operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import keras
from keras import ops

from axialzoo.ops.attributes import AttentionAttributes
from axialzoo.ops.folding import PANEL
from axialzoo.ops.keras import inference
from axialzoo.ops.keras.tables import Activation
from axialzoo.ops.kernels import kernel

_packed: WeakKeyDictionary[Any, tuple[list, list, list[int], tuple]] = WeakKeyDictionary()  # layer -> variables, tensors, versions, packed


def supports(x) -> bool:
    """Return whether the kernel supports `x` here: on the CPU, without gradients, and with no tracing in progress."""
    from axialzoo.ops.torch.dispatch import is_tracing

    return x.device.type == "cpu" and not x.requires_grad and not is_tracing() and kernel() is not None


def linear(layer, x, residual=None, activation: Activation | None = None):
    """Compute :func:`axialzoo.ops.keras.inference.linear`, on the kernel where possible."""
    if not (layer.compute_dtype == "float32" and keras.backend.standardize_dtype(x.dtype) == "float32" and supports(x)):
        return inference.linear(layer, x, residual, activation)
    import torch

    from axialzoo.ops.torch.inference import linear

    relu = activation is ops.relu
    residual = None if residual is None else residual.permute(0, 3, 1, 2)
    if layer.kernel > 1:
        weight, bias = _cached(layer, _channels_last)
        y = torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), weight, bias, layer.stride, layer.padding, layer.dilation)
        y = y if residual is None else y.add_(residual)
        y = y.relu_() if relu else y
    else:
        weight, bias = _cached(layer, _pack_linear)
        x = x[:, :: layer.stride, :: layer.stride]
        y = linear(x.permute(0, 3, 1, 2), weight, bias, residual, layer.outputs, relu)
    y = y.permute(0, 2, 3, 1)
    return y if relu or activation is None else activation(y)


depthwise = inference.depthwise
subsample = inference.subsample


def max_pool(x):
    """Compute :func:`axialzoo.ops.keras.inference.max_pool` without a copy."""
    import torch

    return torch.nn.functional.max_pool2d(x.permute(0, 3, 1, 2), 3, 2, 1).permute(0, 2, 3, 1)


def average_pool(x, stride: int):
    """Compute :func:`axialzoo.ops.keras.inference.average_pool` without copies."""
    import torch

    y = torch.nn.functional.avg_pool2d(x.permute(0, 3, 1, 2), stride, ceil_mode=True, count_include_pad=False)
    return y.permute(0, 2, 3, 1)


def can_train(x) -> bool:
    """Return whether PyTorch's operators can train `x` here: see :func:`axialzoo.ops.torch.dispatch.can_train_rows`."""
    from axialzoo.ops.torch.dispatch import can_train_rows

    return can_train_rows(x)


def product(x, weight):
    """Compute a 1x1 convolution of rows in training: (N, H, W, I) and (I, O) to (N, H, W, O)."""
    from axialzoo.ops.torch.rows import linear

    return linear(x, weight.T)


def normalised(x, weight, bias, epsilon: float, residual, relu: bool, terms: int, heads: int):
    """Call :func:`axialzoo.ops.torch.norm.normalised`."""
    from axialzoo.ops.torch.norm import normalised

    return normalised(x, weight, bias, epsilon, (terms, heads, relu), residual=residual)


def logit_moments(qkv, tables: Sequence, heads: int, attributes: AttentionAttributes):
    """Call :func:`axialzoo.ops.torch.moments.logit_moments`."""
    from axialzoo.ops.torch.moments import logit_moments

    return logit_moments(qkv, *tables, (attributes.axis, heads, attributes.key_depth, attributes.content_similarity))


def attend(qkv, tables: Sequence, scales, attributes: AttentionAttributes):
    """Retrieve contents and positions in training, (N, H, W, terms V): see :func:`axialzoo.ops.torch.training.attend`."""
    import torch

    import axialzoo.ops.torch.training  # noqa: F401  # registers the operator

    return torch.ops.axialzoo.attend(qkv, *tables, scales, *attributes.flat())[0]


def kernel_arrays(layer: Any) -> tuple:
    """Return :func:`axialzoo.ops.keras.inference.kernel_arrays`, packed."""
    return _cached(layer, _pack)


def axial_attention(x, arrays: tuple, attributes: AttentionAttributes, activation: Activation | None = None):
    """Compute a folded layer from its `kernel_arrays`, activated: (N, H, W, C) to (N, H, W, V)."""
    from axialzoo.ops.torch.inference import Folded, axial_attention

    relu = activation is ops.relu
    attributes = replace(attributes, head_fastest=False, interpolate=False, relu=relu)
    y = axial_attention(x.permute(0, 3, 1, 2), Folded(*arrays), attributes).permute(0, 2, 3, 1)
    return y if relu or activation is None else activation(y)


def _cached(layer, pack: Callable[[Any], tuple]) -> tuple:
    """Return ``pack(layer)`` from a cache, which is updated when a change of the layer's variables can be detected."""
    entry = _packed.get(layer)
    variables = layer.weights if entry is None else entry[0]
    values: list[Any] = [variable.value for variable in variables]
    if any(value.is_inference() for value in values):  # inference tensors have no versions
        return pack(layer)
    versions = [value._version for value in values]  # they count writes in place
    if entry is None or entry[2] != versions or any(old is not new for old, new in zip(entry[1], values)):
        entry = _packed[layer] = variables, values, versions, pack(layer)
    return entry[3]


def _channels_last(layer) -> tuple:
    """Return weight, (O, I, h, w) in channels-last memory, and bias of a convolution whose norm is folded."""
    weight, bias = (ops.convert_to_tensor(variable) for variable in (layer.conv.kernel, layer.norm.beta))  # (h, w, I, O)
    return ops.transpose(weight, (3, 0, 1, 2)).contiguous().permute(0, 3, 1, 2), bias


def _pack_linear(layer) -> tuple:
    weight, bias = (ops.convert_to_tensor(variable) for variable in (layer.conv.kernel, layer.norm.beta))
    return _panels(ops.concatenate([ops.reshape(weight, (layer.inputs, layer.outputs)), ops.expand_dims(bias, 0)]))


def _pack(layer: Any) -> tuple:
    """Return the layer's `kernel_arrays` with channels depth by depth, weight and bias in panels."""
    heads = layer.spec.heads
    weight, bias, *tables, scales, position_scale, shift = inference.kernel_arrays(layer)
    rows: Any = ops.concatenate([weight, ops.expand_dims(bias, 0)])  # (C + 1, 2K+V)
    rows = ops.concatenate([_head_fastest(part, heads) for part in layer.parts_of(rows)], axis=1)
    factor = None if position_scale is None else _head_fastest(position_scale[None], heads)[0]
    others = *tables, scales, factor, _head_fastest(shift[None], heads)[0]
    return *_panels(rows), *(None if array is None else array.contiguous() for array in others)


def _panels(rows) -> tuple:
    """Pack weight and bias like :func:`axialzoo.ops.folding.pack`: (C + 1, O) to (panels, C, 64) and (panels 64,)."""
    rows = ops.pad(rows, ((0, 0), (0, -rows.shape[1] % PANEL)))  # (C + 1, panels 64)
    panels = ops.transpose(ops.reshape(rows[:-1], (rows.shape[0] - 1, -1, PANEL)), (1, 0, 2))
    return panels.contiguous(), rows[-1].contiguous()


def _head_fastest(x, heads: int):
    """Reorder channels from head by head to depth by depth: (R, GD) to (R, DG)."""
    return ops.reshape(ops.swapaxes(ops.reshape(x, (x.shape[0], heads, -1)), 1, 2), x.shape)
