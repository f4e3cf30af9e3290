"""Frozen layers stay frozen: in models cut from ours, in their copies, and in files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from axialzoo.spec import Model, get_entry
from tests.parity.common import CASES, FAMILIES

FEW = ("axial_resnet_cifar10_xs", "local", "decoder", "panoptic_pyramid")
SPECS: dict[str, Model] = {  # of every family of registered models, narrow where they are large
    **{name: get_entry(name).spec for name in ("axial_resnet_cifar10_xs", "axial_resnet26_s", "axial_deeplab_nuclei_xs")},
    **FAMILIES,
    **{name: CASES[name].spec for name in ("local", "shifted_window", "gated", "absolute", "decoder", "panoptic_pyramid")},
}
KINDS = ("new_head", "whole", "cut", "copy")


def state(model) -> dict[str, Any]:
    """Trainable variables, norms that take a batch's moments, and the outputs of the model."""
    import keras

    x = np.random.default_rng(0).standard_normal((2, 48, 40, model.input_shape[-1]), "float32")
    outputs = keras.tree.flatten(model(x, training=False))
    return {
        "variables": sorted(variable.path for variable in model.trainable_weights),
        "layers": sorted(layer.path for layer in model._flatten_layers(include_self=False) if layer.trainable and layer.weights),
        "sum": [float(np.abs(keras.ops.convert_to_numpy(output)).sum()) for output in outputs],
    }


def blocks(model) -> list[Any]:
    return [layer for layer in model.layers if ".blocks." in layer.name]


def surgery(spec: Model, kind: str) -> Any:
    """The model with a frozen backbone and a new head; with parts of blocks frozen, whole and cut; or a copy of the last."""
    import keras

    from axialzoo.keras import build

    if kind == "new_head":
        frozen = build(spec, features_only=True)
        frozen.trainable = False
        x = keras.layers.GlobalAveragePooling2D(name="mean")(frozen.outputs[-1])
        return keras.Model(frozen.input, keras.layers.Dense(2, name="new")(x))
    whole = build(spec)
    for block in blocks(whole):
        inside = block._flatten_layers(include_self=False)
        inside[0].trainable = False
        inside[-1].trainable = False
    blocks(whole)[0].trainable = False
    if kind == "whole":
        return whole
    last = next((layer for layer in whole.layers if layer.name == "pool"), blocks(whole)[-1])  # of a head with maps, a stage
    y = last.output if len(last.output.shape) == 2 else keras.layers.GlobalAveragePooling2D(name="mean")(last.output)
    return keras.Model(whole.input, keras.layers.Dense(3, name="new")(y))


def loaded(model, folder) -> dict[str, Any]:
    """The state of what a process that has made no model of ours would load of a file."""
    import keras

    model.save(folder / "model.keras")
    keras.backend.clear_session()
    return state(keras.saving.load_model(folder / "model.keras"))


def check(spec: Model, kind: str, folder) -> None:
    import keras

    model = surgery(spec, "cut" if kind == "copy" else kind)
    if kind == "copy":
        cut, model = model, keras.models.clone_model(model)
        model.set_weights(cut.get_weights())
        assert state(model) == state(cut)
    before, after = state(model), loaded(model, folder)
    assert (after["variables"], after["layers"]) == (before["variables"], before["layers"])
    assert after["sum"] == pytest.approx(before["sum"], rel=1e-4)
    if kind == "new_head":
        assert len(after["variables"]) == 2


@pytest.mark.backends("tensorflow")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FEW)
def test_what_is_frozen_stays_frozen_in_a_copy_and_in_a_file(name, kind, tmp_path):
    check(SPECS[name], kind, tmp_path)


@pytest.mark.full
@pytest.mark.backends("tensorflow", "jax", "torch")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SPECS)
def test_what_is_frozen_in_any_model_stays_frozen_in_a_copy_and_in_a_file(name, kind, tmp_path):
    check(SPECS[name], kind, tmp_path)


@pytest.mark.backends("tensorflow", full=("jax", "torch"))
def test_layers_that_forget_what_is_frozen_inside_would_be_seen(tmp_path, monkeypatch):
    import keras

    from axialzoo.keras.norm import Layer

    model = surgery(SPECS["axial_resnet_cifar10_xs"], "cut")
    monkeypatch.setattr(Layer, "get_config", keras.layers.Layer.get_config)
    assert len(loaded(model, tmp_path)["variables"]) > len(state(model)["variables"])
