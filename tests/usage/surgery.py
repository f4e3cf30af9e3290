"""Keras models cut, frozen, headed anew, copied and saved: ``python -m tests.usage.surgery make|load FOLDER few|all``, a process each.

`make` writes a ``.keras`` file a case and says what is in it; `load` says what it finds. Both print one JSON object.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

from axialzoo.keras import build
from axialzoo.keras.norm import Layer
from axialzoo.spec import Model, entry
from tests.parity.common import CASES, FAMILIES

FEW = ("axial_resnet_cifar10_xs", "local", "decoder", "panoptic_pyramid")
SPECS: dict[str, Model] = {  # of every family of registered models, narrow where they are large
    **{name: entry(name).spec for name in ("axial_resnet_cifar10_xs", "axial_resnet26_s", "axial_deeplab_nuclei_xs")},
    **FAMILIES,
    **{name: CASES[name].spec for name in ("local", "shifted_window", "gated", "absolute", "decoder", "panoptic_pyramid")},
}


def state(model: keras.Model) -> dict[str, Any]:
    """What training would change, which norms take a batch's moments, and what the model gives."""
    x = np.random.default_rng(0).standard_normal((2, 48, 40, model.input_shape[-1]), "float32")
    outputs = keras.tree.flatten(model(x, training=False))
    layers = [layer.path for layer in model._flatten_layers(include_self=False) if layer.trainable and layer.weights]
    names = [variable.path for variable in model.trainable_weights]
    return {
        "variables": sorted(names),
        "layers": sorted(layers),
        "sum": [float(np.abs(keras.ops.convert_to_numpy(one)).sum()) for one in outputs],
    }


def blocks(model: keras.Model) -> list[Any]:
    return [layer for layer in model.layers if ".blocks." in layer.name]


def surgeries(spec: Model) -> dict[str, keras.Model]:
    """The model with a frozen backbone and a new head; with parts of blocks frozen, whole and cut; and copies of it."""
    whole = build(spec)
    frozen = build(spec, features_only=True)
    frozen.trainable = False
    x = keras.layers.GlobalAveragePooling2D(name="mean")(frozen.outputs[-1])
    for block in blocks(whole):
        inside = block._flatten_layers(include_self=False)
        inside[0].trainable = False
        inside[-1].trainable = False
    blocks(whole)[0].trainable = False
    last = next((layer for layer in whole.layers if layer.name == "pool"), blocks(whole)[-1])  # of a head with maps, a stage
    y = last.output if len(last.output.shape) == 2 else keras.layers.GlobalAveragePooling2D(name="mean")(last.output)
    cut = keras.Model(whole.input, keras.layers.Dense(3, name="new")(y))
    made = {
        "new_head": keras.Model(frozen.input, keras.layers.Dense(2, name="new")(x)),
        "whole": whole,
        "cut": cut,
        "copy": keras.models.clone_model(cut),
    }
    made["copy"].set_weights(cut.get_weights())
    return made


def main(action: str, folder: Path, which: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if action == "load":
        return {path.stem: state(keras.saving.load_model(path)) for path in sorted(folder.glob("*.keras"))}
    for name in FEW if which == "few" else SPECS:
        for kind, model in surgeries(SPECS[name]).items():
            found[f"{name}-{kind}"] = state(model)
            model.save(folder / f"{name}-{kind}.keras")
    model = surgeries(SPECS["axial_resnet_cifar10_xs"])["cut"]
    found["planted"] = state(model)
    Layer.get_config = keras.layers.Layer.get_config  # as if layers did not say what is frozen inside
    model.save(folder / "planted.keras")
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])))
