"""Keras models and their inference forms, on the back end of this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from axialzoo.keras import create_model, optimize_for_inference, save_model
from axialzoo.keras.norm import BatchNorm

MODELS: dict[str, dict[str, Any]] = {
    "axial_resnet_cifar10_xs": {},
    "axial_deeplab_nuclei_xs": {},  # convolutions of one channel each, a decoder
    "axial_fcos_blood_cells_xs": {},  # convolutions with several norms
    "gated": {"attention": "gated_axial"},
    "global": {"attention": "global"},
    "features": {"features_only": True},
}


def made(name: str, dtype: str, **changes: Any) -> keras.Model:
    """A model whose variables are away from their initial values, so that all that a norm does shows."""
    model = create_model(name if name in MODELS and "_" in name else "axial_resnet_cifar10_xs", dtype=dtype, **changes)
    random = np.random.default_rng(0)
    for variable in model.weights:
        noise = random.standard_normal(variable.shape)
        if variable.path.endswith("moving_variance"):
            variable.assign(0.5 + np.abs(noise))
        elif variable.path.endswith(("moving_mean", "beta", "bias")):
            variable.assign(0.3 * noise)
        elif variable.path.endswith("gamma"):
            variable.assign(1 + 0.2 * noise)
    return model


def flat(outputs: Any) -> list[np.ndarray]:
    if isinstance(outputs, dict):
        return [item for name in sorted(outputs) for item in flat(outputs[name])]
    if isinstance(outputs, (list, tuple)):
        return [item for part in outputs for item in flat(part)]
    return [keras.ops.convert_to_numpy(outputs)]


def apart(model: keras.Model, other: keras.Model, x: np.ndarray) -> float:
    pairs = zip(flat(model(x, training=False)), flat(other(x, training=False)), strict=True)
    return max(float(np.abs(item - two).max() / max(1.0, np.abs(item).max())) for item, two in pairs)


def refused(function) -> str:
    try:
        function()
    except ValueError as error:
        return str(error)
    return ""


def measured(folder: Path) -> dict[str, Any]:
    actual: dict[str, Any] = {"apart": {}, "norms": {}}
    x = np.random.default_rng(1).standard_normal((2, 40, 32, 3))
    for name, changes in MODELS.items():
        model = made(name, "float64", **changes)
        before = model.get_weights()
        form = optimize_for_inference(model)
        actual["apart"][name] = apart(model, form, x)
        norms = [layer for layer in form._flatten_layers() if isinstance(layer, BatchNorm)]
        actual["norms"][name] = sum(not norm.folded for norm in norms) / len(norms)
        assert all(np.array_equal(item, other) for item, other in zip(before, model.get_weights()))
    model = made("axial_resnet_cifar10_xs", "float32")
    form, x = optimize_for_inference(model), x[:, :32].astype("float32")
    actual["float32"] = apart(model, form, x)
    actual["predict"] = float(np.abs(form.predict(x, verbose=0) - flat(form(x, training=False))[0]).max())
    form.save(folder / "form.keras")
    actual["saved"] = apart(form, keras.saving.load_model(folder / "form.keras"), x)
    norm = next(layer for layer in form._flatten_layers() if isinstance(layer, BatchNorm))
    norm.beta.assign(keras.ops.convert_to_numpy(norm.beta)[::-1])
    actual["planted"] = apart(model, form, x)
    actual["refused"] = {
        "again": refused(lambda: optimize_for_inference(form)),
        "checkpoint": refused(lambda: save_model(form, folder / "checkpoint")),
        "weights": refused(lambda: form.save_weights(folder / "form.weights.h5")),
        "classes": refused(lambda: form.reset_classifier(3)),
        "other": refused(lambda: optimize_for_inference(keras.Sequential())),
        "mixed": refused(lambda: optimize_for_inference(made("axial_resnet_cifar10_xs", "mixed_bfloat16"))),
    }
    actual["trainable"] = len(form.trainable_variables)
    return actual
