"""Keras on JAX trains on two devices as on one: statistics are those of the whole batch, without any setting."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from axialzoo.spec import get_entry, list_models, parameters
from tests.parity import common
from tests.parity.common import DEVICES
from tests.parity.reference import relative

TOLERANCE = 1e-9  # relative, float64, after ten steps
BATCH = 8
on_jax = pytest.mark.backends("jax")


@functools.cache
def trained(name: str, how: str = "one") -> dict[str, np.ndarray]:
    """Tensors after ten steps of SGD with momentum, in float64, through Keras's own training step.

    Args:
        how: On one device; ``data``, batches are cut over two; ``model``, kernels are; ``halves``, an error: each half of a batch has
            statistics of its own, as on devices that exchange gradients alone.
    """
    import keras

    from axialzoo.keras import build, load_tensors, to_tensors
    from axialzoo.keras.distribution import data_parallel, layout_of, model_parallel

    case = DEVICES[name]
    distributions = {"data": lambda: data_parallel(2), "model": lambda: model_parallel(case.spec, 2, least=1)}
    if how in distributions:
        keras.distribution.set_distribution(distributions[how]())
    try:
        model = trainer = build(case.spec, dtype="float64")
        load_tensors(model, common.tensors(case.spec, last_gamma=0.1))
        if how == "halves":
            x = keras.Input(batch_shape=(BATCH, *case.size, case.spec.backbone.in_channels), dtype="float64")
            trainer = keras.Model(x, keras.ops.concatenate([model(half, training=True) for half in keras.ops.split(x, 2)]))
        trainer.compile(keras.optimizers.SGD(common.RATE, common.MOMENTUM), "mse")
        for index in range(10):
            x = case.images("float64", BATCH, index).transpose(0, 2, 3, 1)
            trainer.train_on_batch(x, case.targets("float64", BATCH, index))
        if how == "model":
            layout, by_path = layout_of(case.spec, 2, least=1), {variable.path: variable.value for variable in model.weights}
            assert layout and all(by_path[path].addressable_shards[0].data.shape[-1] * 2 == by_path[path].shape[-1] for path in layout)
            assert sum(variable.path in layout for variable in model.weights) < len(model.weights)
        return {tensor: np.array(array) for tensor, array in to_tensors(model).items()}
    finally:
        keras.distribution.set_distribution(None)


@on_jax
def test_each_of_two_devices_has_half_of_a_batch():
    import jax
    import keras

    from axialzoo.keras.distribution import data_parallel

    assert len(keras.distribution.list_devices()) == 2
    layout = data_parallel(2).get_data_layout((BATCH, 4, 4, 3)).backend_layout
    assert len({str(shard.index) for shard in jax.device_put(np.zeros((BATCH, 4, 4, 3)), layout).addressable_shards}) == 2


@on_jax
@pytest.mark.parametrize("how", ["data", pytest.param("model", marks=pytest.mark.full)])
@pytest.mark.parametrize("name", DEVICES)
def test_two_devices_end_where_one_ends(float64_optimizers, name, how):
    start, expected, ended = common.tensors(DEVICES[name].spec, last_gamma=0.1), trained(name), trained(name, how)
    assert max(relative(ended[tensor], expected[tensor], 1e-3) for tensor in start) <= TOLERANCE
    assert max(relative(start[tensor], expected[tensor], 1e-3) for tensor in start) > 1e-2


@on_jax
def test_statistics_of_each_half_of_the_batch_are_caught(float64_optimizers):
    expected, ended = trained("whole"), trained("whole", "halves")
    assert max(relative(ended[name], expected[name], 1e-3) for name in common.tensors(DEVICES["whole"].spec)) > 1e5 * TOLERANCE


@pytest.mark.parametrize("devices", [2, 8])
def test_the_largest_model_is_cut_almost_wholly(devices):
    """A device holds little more than its share of the parameters."""
    pytest.importorskip("keras")
    from axialzoo.keras.distribution import layout_of

    largest = max((get_entry(name).spec for name in list_models()), key=lambda spec: sum(item.size for item in parameters(spec)))
    layout, every = layout_of(largest, devices), parameters(largest)
    cut = sum(item.size for item in every if item.keras_name.replace(".", "/") in layout)
    projections = [item for item in every if item.role == "linear" and item.size >= 1 << 16]
    assert projections and all(item.keras_name.replace(".", "/") in layout for item in projections)
    assert cut > 0.97 * sum(item.size for item in every)
