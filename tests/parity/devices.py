"""Training in Keras on JAX, on as many devices as XLA has: ``python -m tests.parity.devices OUT.npz [model]``.

With ``model`` kernels are cut over the devices, without it batches are.
"""

from __future__ import annotations

import sys

import jax
import keras
import numpy as np
from keras import ops

from axialzoo.keras import build, load_tensors, to_tensors
from axialzoo.keras.distribution import data_parallel, layout_of, model_parallel
from tests.parity import common
from tests.parity.common import DEVICES, Case

BATCH = 8


def trained(case: Case, halves: bool = False, cut: bool = False) -> dict[str, np.ndarray]:
    """Tensors after ten steps of SGD with momentum, in float64, through Keras's own training step.

    Args:
        case: The model and its images.
        halves: An error: each half of a batch has statistics of its own, as on devices that exchange gradients alone.
        cut: Kernels are cut over all devices.
    """
    if cut:
        keras.distribution.set_distribution(model_parallel(case.spec, len(keras.distribution.list_devices()), least=1))
    model = trainer = build(case.spec, dtype="float64")
    load_tensors(model, common.tensors(case.spec, last_gamma=0.1))
    if halves:
        x = keras.Input(batch_shape=(BATCH, *case.size, case.spec.backbone.in_channels), dtype="float64")
        trainer = keras.Model(x, ops.concatenate([model(half, training=True) for half in ops.split(x, 2)]))
    trainer.compile(keras.optimizers.SGD(common.RATE, common.MOMENTUM), "mse")
    for index in range(10):
        x = case.images("float64", BATCH, index).transpose(0, 2, 3, 1)
        trainer.train_on_batch(x, case.targets("float64", BATCH, index))
    if cut:
        layout, by_path = layout_of(case.spec, 2, least=1), {one.path: one.value for one in model.weights}
        assert layout and all(by_path[path].addressable_shards[0].data.shape[-1] * 2 == by_path[path].shape[-1] for path in layout)
        assert sum(one.path in layout for one in model.weights) < len(model.weights)
    return to_tensors(model)


def main(out: str, how: str = "data") -> None:
    # Keras's optimizers, unlike our layers, use operations that make float32 of float64 on JAX.
    keras.src.backend.common.dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
    devices, shares = keras.distribution.list_devices(), 1
    if len(devices) > 1 and how == "data":
        parallel = data_parallel(2)
        keras.distribution.set_distribution(parallel)
        layout = parallel.get_data_layout((BATCH, 4, 4, 3)).backend_layout
        shares = len({str(shard.index) for shard in jax.device_put(np.zeros((BATCH, 4, 4, 3)), layout).addressable_shards})
    found = {f"{name}/{tensor}": array for name, case in DEVICES.items() for tensor, array in trained(case, cut=how == "model").items()}
    if len(devices) == 1:
        found |= {f"halves/{tensor}": array for tensor, array in trained(DEVICES["whole"], halves=True).items()}
    np.savez(out, shares=shares, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
