"""Whole models on the fused kernel, on any back end: see :mod:`tests.kernels.keras_fused`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from axialzoo.keras import create_model, optimize_for_inference
from axialzoo.ops.kernels import use_kernel

X = np.random.default_rng(4).standard_normal((2, 32, 32, 3)).astype("float32")


def apart(found, expected) -> float:
    return float(np.abs(np.asarray(found) - np.asarray(expected)).max() / np.abs(np.asarray(expected)).max())


def models(calls: list[int]) -> dict[str, Any]:
    """`predict`, a ``.keras`` file, and the plain form: outputs against the model's, and calls of the kernel."""
    model = create_model("axial_resnet_cifar10_xs")
    form = optimize_for_inference(model)
    expected = keras.ops.convert_to_numpy(model(X, training=False))
    actual: dict[str, Any] = {}
    before = len(calls)
    actual["predict"] = apart(form.predict(X, batch_size=1, verbose=0), expected)
    actual["calls in predict"] = len(calls) - before
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        form.save(path / "form.keras")
        loaded = keras.saving.load_model(path / "form.keras")
        before = len(calls)
        actual["saved"] = apart(loaded.predict(X, batch_size=2, verbose=0), expected)
        actual["calls in what was saved"] = len(calls) - before
    with use_kernel("plain"):
        before = len(calls)
        actual["plain model"] = apart(optimize_for_inference(model).predict(X, verbose=0), expected)
        actual["calls in plain"] = len(calls) - before
    return actual
