"""An equal model for inference: every norm folded into the layer before it, on any back end."""

from __future__ import annotations

import keras

from axialzoo.keras.backbone import Extractor
from axialzoo.keras.sublayers import obstacle


def optimize_for_inference(model: keras.Model) -> keras.Model:
    """Return a copy of `model` that computes the same in evaluation with fewer operations, and cannot be trained.

    In float32 on a CPU axial attention runs on the fused kernel if that is installed, else in plain operations, equal within rounding;
    ``axialzoo info --system`` says which, and why. Exported files (``export``) use plain operations. So does a graph that TensorFlow
    compiles with XLA; Keras therefore does not use XLA by default.

    Norms after convolutions and projections become additions. The norm of retrieved positions keeps its factor. Convolutions that
    have several norms keep them. The copy has the model's spec, config, labels and preprocessing. Keras saves it as a ``.keras``
    file; a checkpoint needs the original model.

    Args:
        model: A model of this package in float32 or float64; its variables do not change.

    Raises:
        ValueError: for any other model, one that is optimised already, and one with adapted, quantized, hooked or replaced layers,
            which cannot be folded.

    Example:
        >>> import numpy as np
        >>> from axialzoo.keras import create_model
        >>> model = create_model("axial_resnet_cifar10_xs")
        >>> x = np.random.default_rng(0).standard_normal((1, 32, 32, 3)).astype("float32")
        >>> bool(np.allclose(optimize_for_inference(model)(x), model(x), atol=1e-4))
        True
    """
    if not isinstance(model, Extractor):
        raise ValueError(f"optimize_for_inference: expected a model of axialzoo.keras, found {type(model).__name__}")
    if model.optimized:
        raise ValueError("optimize_for_inference: expected a model as it is trained, found one that has been optimised")
    if model.dtype_policy.compute_dtype != model.dtype_policy.variable_dtype:
        raise ValueError(f"optimize_for_inference: expected float32 or float64, found the policy {model.dtype_policy.name}")
    copy = type(model).from_config(model.get_config())
    _check_pristine(model, copy)
    copy.set_weights(model.get_weights())
    fold(copy)
    return copy


def _check_pristine(model: keras.Model, copy: keras.Model) -> None:
    """Refuse a model with a layer that is not exactly the one at its place in `copy`, a model made of the same config."""
    layers, copies = model._flatten_layers(include_self=False), copy._flatten_layers(include_self=False)
    if len(layers) != len(copies):
        raise ValueError(f"optimize_for_inference: expected {len(copies)} layers, as in a model newly built, found {len(layers)}")
    for layer, original in zip(layers, copies):
        reason = obstacle(layer, type(original), original._dtype_policy)
        if reason is not None:
            raise ValueError(f"optimize_for_inference: expected layers as they were built, but {layer.path or layer.name} {reason}")


def fold(model: keras.Model) -> None:
    """Fold the norms of `model` itself: see :func:`optimize_for_inference`."""
    for layer in model._flatten_layers(include_self=False):
        if hasattr(layer, "fold"):
            layer.fold()
    model.trainable = False
