"""Keras's attention layers with the parameters of PyTorch's, on the back end of this process."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from axialzoo.keras.attention import AxialAttention
from axialzoo.keras.attention2d import Attention2D
from axialzoo.keras.fused_layer import can_train_fused
from axialzoo.ops.keras.inference import kernel_for
from axialzoo.ops.kernels import kernel, use_kernel
from axialzoo.spec import Attention, Norm

NAMES = {"kernel": "weight", "gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def layer_of(spec: Attention, axis: int, tensors: Mapping[str, np.ndarray], x: np.ndarray) -> AxialAttention | Attention2D:
    """Return a layer of maps like `x` (N, C, H, W) that has `tensors`, by PyTorch's names."""
    layer = AxialAttention(x.shape[1], spec, Norm(), axis) if spec.kind == "axial" else Attention2D(x.shape[1], spec, Norm())
    layer(np.moveaxis(x, 1, 3))
    for variable in layer.weights:
        *parts, last = variable.path.removeprefix(f"{layer.name}/").replace("/", ".").split(".")
        value = tensors[".".join([*parts, NAMES.get(last, last)])]
        variable.assign(value.T if parts[:1] == ["qkv"] else value)
    return layer


def compute(form: str, layer: AxialAttention | Attention2D, x: np.ndarray, training: bool) -> np.ndarray | None:
    """Return the output (N, V, H, W) of `layer` in that form, or None where the form does not exist for it."""
    maps = keras.ops.convert_to_tensor(np.moveaxis(x, 1, 3))  # (N, H, W, C)
    if form == "called sub-layers":
        layer.norm_similarity.call = layer.norm_similarity.call  # an attribute of this layer, as what patches a method sets
    if form == "kernel in training" and not (training and layer.spec.kind == "axial" and can_train_fused(layer, maps, layer.axis)):
        return None
    if form.startswith("inference form"):
        if training:
            return None
        for part in layer._flatten_layers():
            if hasattr(part, "fold"):
                part.fold()
        if form == "inference form" and not (layer.spec.kind == "axial" and kernel_for(layer, maps)):
            return None
    plain = form.startswith("plain") or form.endswith("without a kernel") or kernel() is None
    with use_kernel("plain" if plain else kernel().isa):
        return np.moveaxis(np.asarray(keras.ops.convert_to_numpy(layer(maps, training=training))), 3, 1)
