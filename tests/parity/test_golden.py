"""Keras gives the authors' numbers."""

from __future__ import annotations

import numpy as np
import pytest

from axialzoo.spec import Norm
from tests.golden import deeplab2, reference
from tests.parity import common

TOLERANCE = 5e-5  # absolute, across frameworks; the smallest planted error moves the logits by 1.7e-4
pytestmark = pytest.mark.backends(*common.BACKENDS)


def furthest(array: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(array - wanted).max())


def check_layer(in_keras, case, model, prefix: str, finish=lambda outputs: outputs) -> None:
    """Compare outputs in either mode, then moving statistics, of a layer called ``l`` or of several, given `case.tensors`.

    Args:
        prefix: What the names in `case.tensors` leave out.
    """
    roles = {p.name.removeprefix(prefix): p for p in common.parameters(case.model) if p.name.startswith(prefix)}
    by_path = {variable.path.removeprefix("l/").replace("/", "."): variable for variable in model.weights}
    assert len(by_path) == len(case.tensors) and case.after
    for tensor, array in case.tensors.items():
        order = roles[tensor].keras_order
        by_path[roles[tensor].keras_name.removeprefix(prefix)].assign(array if order is None else array.transpose(order))
    for training, expected in ((False, case.eval), (True, case.train)):
        outputs = in_keras.forward(model, in_keras.last(case.x), training).transpose(0, 3, 1, 2)
        assert furthest(finish(outputs), expected) <= TOLERANCE, training
    for tensor, expected in case.after.items():
        assert furthest(in_keras.numpy(by_path[roles[tensor].keras_name.removeprefix(prefix)]), expected) <= TOLERANCE, tensor


def test_network_gives_the_authors_logits(in_keras):
    model = in_keras.model_of(reference.network_spec(), "float32", reference.network_tensors())
    logits = in_keras.forward(model, in_keras.last(reference.network_input()))
    assert furthest(logits, reference.network_golden()["logits"]) <= TOLERANCE


@pytest.mark.parametrize("case", reference.layer_cases(), ids=lambda case: case.name)
def test_layer_gives_the_authors_numbers_in_either_mode(in_keras, case):
    from axialzoo.keras import AxialAttention, blocks

    if case.kind == "attention":
        layer = AxialAttention(case.inputs, case.attention, Norm(), case.axis, name="l")
    else:
        layer = blocks.ResidualBlock(case.inputs, case.block, case.model.backbone, name="l")
    images = in_keras.keras.Input((None, None, case.inputs))
    prefix = "stages.0.blocks.0." + ("height." if case.kind == "attention" else "")
    check_layer(in_keras, case, in_keras.keras.Model(images, layer(images)), prefix, case.finish)


# deeplab2


CASES = {case.name: case for case in deeplab2.layer_cases()}


def some_full(names, quick):
    return [name if name in quick else pytest.param(name, marks=pytest.mark.full) for name in names]


@pytest.mark.parametrize("name", some_full(CASES, common.DEEPLAB2_LAYERS))
def test_layer_gives_deeplab2s_numbers_in_either_mode(in_keras, name):
    from axialzoo.keras import AxialAttention, blocks

    case = CASES[name]
    x = images = in_keras.keras.Input((None, None, case.inputs))
    backbone, conv = case.model.backbone, case.model.backbone.stem.convs
    if case.kind == "block":
        x = blocks.ResidualBlock(case.inputs, case.block, backbone, name="l")(x)
    elif case.kind == "conv":
        layer = blocks.ConvNorm(case.inputs, conv[0].channels, conv[0].kernel, backbone.norm, case.stride, case.dilation, name="l")
        x = in_keras.ops.relu(layer(x))
    elif case.kind == "attention":
        x = AxialAttention(case.inputs, case.attention, backbone.norm, 0, name="l")(x)
    else:
        x = AxialAttention(case.inputs, case.attention, backbone.norm, 0, name="height")(x)[:, :: case.stride]
        x = AxialAttention(case.attention.value_channels, case.attention, backbone.norm, 1, name="width")(x)[:, :, :: case.stride]
    check_layer(in_keras, case, in_keras.keras.Model(images, x), deeplab2.ROOTS[case.kind][1])


@pytest.mark.parametrize("file", some_full(deeplab2.NETWORKS, common.DEEPLAB2))
def test_network_gives_deeplab2s_endpoints_and_a_reversed_index_does_not(in_keras, file):
    case = deeplab2.NETWORKS[file]
    model = in_keras.build(case.spec, features_only=True, dtype="float32")

    def error(tensors) -> float:
        in_keras.load_tensors(model, tensors)
        return case.error([x.transpose(0, 3, 1, 2) for x in in_keras.forward(model, in_keras.last(case.x))])

    assert error(case.tensors) <= TOLERANCE
    planted = {name: array[::-1] if name.endswith("key_position") else array for name, array in case.tensors.items()}
    assert error(planted) > 20 * TOLERANCE
