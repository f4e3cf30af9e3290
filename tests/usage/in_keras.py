"""What a user of Keras does, in a process of its own: ``python -m tests.usage.in_keras FOLDER``; prints one JSON object."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from axialzoo.keras import (
    Preprocess,
    axial_deeplab_nuclei_xs,
    axial_resnet_cifar10,
    axial_resnet_cifar10_xs,
    load_tensors,
    save_model,
    to_tensors,
)
from axialzoo.spec import Preprocessing
from tests.usage.made import WRONG, kinds, stripes


def said(function: Callable[[], Any]) -> str:
    """The error's kind and message, or ``""``."""
    try:
        function()
    except (ValueError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def losses() -> dict[str, Any]:
    model, of = axial_resnet_cifar10_xs(num_classes=3), keras.losses
    refused = {
        "string": "sparse_categorical_crossentropy", "class name": "SparseCategoricalCrossentropy", "binary": "binary_crossentropy",
        "function": of.sparse_categorical_crossentropy, "object": of.SparseCategoricalCrossentropy(),
        "renamed object": of.CategoricalCrossentropy(name="mine"), "class": of.SparseCategoricalCrossentropy,
        "list": ["sparse_categorical_crossentropy"], "dictionary": {"fc": of.CategoricalCrossentropy()},
        "focal": of.CategoricalFocalCrossentropy(), "focal string": "binary_focal_crossentropy",
    }  # fmt: skip
    taken = {
        "object": of.SparseCategoricalCrossentropy(from_logits=True), "mean squared": "mse", "none": None,
        "own": lambda y, x: keras.ops.sum(x), "list": [of.CategoricalCrossentropy(from_logits=True)],
        "focal": of.CategoricalFocalCrossentropy(from_logits=True),
    }  # fmt: skip
    return {
        "refused": {name: said(lambda loss=loss: model.compile("adam", loss)) for name, loss in refused.items()},
        "taken": {name: said(lambda loss=loss: model.compile("adam", loss)) for name, loss in taken.items()},
    }


def heads(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for dtype in ("float32", "float64", "mixed_float16"):
        model = axial_resnet_cifar10_xs(dtype=dtype)
        before, other = to_tensors(model), model.reset_classifier(3)
        after = to_tensors(other)
        found[dtype] = {
            "kept": all(np.array_equal(after[name], before[name]) for name in after if not name.startswith("head.")),
            "classes": [other.num_classes, other.spec.num_classes, list(after["head.fc.weight"].shape)],
            "outputs": str(other(np.zeros((1, 32, 32, 3), "float32")).dtype).removeprefix("<dtype: '").removeprefix("torch."),
        }
    model = axial_resnet_cifar10(pretrained=True)
    other = model.reset_classifier(3)
    save_model(other, folder / "three", labels=("a", "b", "c"))
    found["labels"] = [len(model.labels), len(other.labels), len(model.reset_classifier(10).labels)]
    maps = axial_deeplab_nuclei_xs(dtype="mixed_float16")(np.zeros((1, 32, 32, 3), "float32"))
    found["maps"] = sorted({keras.backend.standardize_dtype(one.dtype) for one in maps.values()})
    found["five"] = axial_deeplab_nuclei_xs().reset_classifier(5, things=(1,)).output["semantic"].shape[-1]
    cut = keras.Model(model.input, keras.layers.Dense(3)(model.get_layer("pool").output))
    found["by hand"] = said(lambda: save_model(cut, folder / "cut"))
    model.spec = other.spec
    found["variables"] = said(lambda: save_model(model, folder / "changed"))
    found["load"] = said(lambda: load_tensors(cut, to_tensors(other)))
    return found


def pictures(folder: Path) -> dict[str, Any]:
    model = axial_resnet_cifar10(pretrained=True)
    given = {**kinds(folder / "a.png"), "tensor": keras.ops.convert_to_tensor(stripes(1)[0])}
    made = {name: np.asarray(keras.ops.convert_to_numpy(model.preprocess(one))) for name, one in given.items()}
    layer = Preprocess(Preprocessing(size=(16, 20)), data_format="channels_first")
    return {
        "shapes": sorted({one.shape for one in made.values()}),
        "furthest": max(float(abs(one - made["tensor"]).max()) for one in made.values()),
        "first": [list(layer(Image.new("RGB", (50, 40))).shape), list(layer([stripes(1)[0][0]]).shape)],
        "wrong": {name: said(lambda one=one: model.preprocess(one)) for name, (one, _) in WRONG.items()},
    }


def tuned() -> float:
    """The accuracy, on new pictures, of the shipped weights with a new head, after the head's own loss."""
    keras.utils.set_random_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = axial_resnet_cifar10(pretrained=True, num_classes=2)
    x, y = stripes(192)
    model.compile(keras.optimizers.Adam(1e-3))
    model.fit(model.preprocess(x), y, batch_size=32, epochs=3, verbose=0)
    x, y = stripes(64, seed=1)
    return model.evaluate(model.preprocess(x), y, verbose=0, return_dict=True)["accuracy"]


if __name__ == "__main__":
    where = Path(sys.argv[1])
    print(json.dumps({"losses": losses(), "heads": heads(where), "pictures": pictures(where), "tuned": tuned()}))
