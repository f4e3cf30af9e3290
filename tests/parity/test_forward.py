"""Keras computes what PyTorch computes, in evaluation: every registered model, every kind of block, any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from axialzoo.spec import get_entry, list_models, num_parameters, parameters, without_head
from axialzoo.torch import build
from tests.parity import reference
from tests.parity.common import BACKENDS, CASES, DYNAMIC, SYMBOLIC, outputs_and_dtypes

# float64 relative to the largest value, float32 absolute on values of order 1
TOLERANCE = {"float64": 1e-9, "float32": 2e-5}


def error(found: np.ndarray, wanted: np.ndarray, dtype: str) -> float:
    if dtype == "float64":
        return reference.relative(found, wanted)
    return float(np.abs(found - wanted).max() / max(1.0, np.abs(wanted).std()))


@pytest.mark.backends(*BACKENDS, every={"tensorflow": 7, "jax": 13, "torch": 3})
@pytest.mark.parametrize(("name", "dtype"), outputs_and_dtypes(CASES))
def test_outputs_are_those_of_pytorch(in_keras, name, dtype):
    case = CASES[name]
    outputs, expected = (
        in_keras.forward(in_keras.model_of(case.spec, dtype), in_keras.last(case.images(dtype))),
        reference.forward(case, dtype),
    )
    assert outputs.dtype == expected.dtype == dtype
    assert np.abs(expected).max() > 0.1
    assert error(outputs, expected, dtype) <= TOLERANCE[dtype]


def test_every_registered_model_is_compared():
    specs = [case.spec for case in CASES.values()]
    assert not [name for name in list_models() if get_entry(name).spec not in specs and name not in SYMBOLIC]
    assert all(num_parameters(get_entry(name).spec) > 12e6 for name in SYMBOLIC)  # of the rest, the families are compared


@pytest.mark.full
@pytest.mark.backends(*BACKENDS)
@pytest.mark.parametrize("name", SYMBOLIC)
def test_the_largest_models_have_the_shapes_and_variables_of_pytorch(in_keras, name):
    """Nothing is allocated."""
    spec = get_entry(name).spec
    with in_keras.keras.StatelessScope():
        model = in_keras.build(spec, features_only=True, input_size=(65, 97), dtype="float32")
    with torch.device("meta"):
        features = build(spec, features_only=True).eval()(torch.empty(1, 3, 65, 97))
    assert [tuple(shape[1:]) for shape in model.output_shape] == [(*x.shape[2:], x.shape[1]) for x in features]
    variables = {variable.path.replace("/", "."): tuple(variable.shape) for variable in model.weights}
    assert variables == {parameter.keras_name: tuple(parameter.keras_shape) for parameter in parameters(without_head(spec))}


@pytest.mark.backends("tensorflow", every={"tensorflow": 5})
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", DYNAMIC)
def test_sizes_known_only_at_run_time_give_the_same(in_keras, name, training):
    """Shorter and longer than tables and windows."""
    import tensorflow as tf

    case = CASES[name]
    channels = case.spec.backbone.in_channels
    model, fixed = (in_keras.model_of(case.spec, "float64") for _ in range(2))  # in training, statistics move
    graph = tf.function(
        lambda x: in_keras.joined(model(x, training=training)), input_signature=[tf.TensorSpec((None, None, None, channels), tf.float64)]
    )
    for height, width in (case.size, (6, 60), (1, 3)) if not training else (case.size,):
        x = np.random.default_rng(height).standard_normal((2, height, width, channels))
        assert reference.relative(graph(x).numpy(), in_keras.forward(fixed, x, training)) <= 1e-9, (height, width)
