"""Everything that is measured in Keras, on the one back end that a process has: ``python worker.py OUT.npz [full]``."""

from __future__ import annotations

import math
import sys
import tempfile
import time
import traceback
from pathlib import Path

import keras
import numpy as np

from axialzoo.keras import norm, to_tensors
from axialzoo.spec import Norm
from tests.parity import common, dense
from tests.parity.common import CASES, DEEPLAB2, DEEPLAB2_FULL, PLANTED, Case
from tests.parity.in_keras import BACKEND, canonical, forward, last, model_of, step
from tests.parity.measure_golden import check_deeplab2, check_deeplab2_layers, check_golden, check_panoptic_golden
from tests.parity.measure_models import check_decoder, check_models, check_panoptic, check_symbolic
from tests.parity.measure_training import check_decay, check_dense, check_training


def check_forward(put, name: str, case: Case) -> None:
    for dtype in case.dtypes:
        model = model_of(case.spec, dtype)
        put(f"forward/{name}/{dtype}", forward(model, last(case.images(dtype))))


def check_gradients(put, name: str, case: Case) -> None:
    for dtype in case.dtypes:
        model = model_of(case.spec, dtype, common.tensors(case.spec, dtype, last_gamma=0.1))
        found = canonical(model, step(model)(last(case.images(dtype)), case.targets(dtype))[1])
        for parameter, gradient in found.items():
            put(f"gradients/{name}/{dtype}/{parameter}", gradient)


def check_planted(put) -> None:
    """Outputs in evaluation, and moving statistics after one call in training, right and with one error each."""
    case, x = PLANTED, last(PLANTED.images("float64"))
    right = common.tensors(case.spec)

    def measure(name: str, tensors=right, spec=case.spec, change=None) -> None:
        model = model_of(spec, "float64", tensors)
        if change is not None:
            change(model)
        put(f"planted/{name}/output", forward(model, x))
        forward(model, x, training=True)
        for parameter, value in to_tensors(model).items():
            if "running_" in parameter:
                put(f"planted/{name}/after/{parameter}", value)

    def changed(ending: str, change):
        return {name: change(array) if name.endswith(ending) else array for name, array in right.items()}

    def swap(model):
        block = model.get_layer("stages.0.blocks.0")
        block.height.axis, block.width.axis = 1, 0

    def with_norm(**norm_values):
        from dataclasses import replace

        return replace(case.spec, backbone=replace(case.spec.backbone, norm=replace(Norm(), **norm_values)))

    measure("right")
    measure("transposed_kernel", changed("spatial1.conv.weight", lambda array: array.swapaxes(2, 3)))
    measure("transposed_projection", changed("width.qkv.weight", lambda array: array.T.reshape(array.shape)))
    measure("reversed_position_index", changed("_position", lambda array: array[::-1]))
    measure("swapped_axes", change=swap)
    measure("wrong_epsilon", spec=with_norm(epsilon=1e-3))
    measure("wrong_momentum", spec=with_norm(momentum=0.9))
    unbiased = norm.unbiased
    norm.unbiased = lambda variance, n: variance
    measure("biased_variance")
    norm.unbiased = unbiased


def main(out: str, full: bool) -> None:
    found: dict[str, np.ndarray] = {}

    def put(name: str, value) -> None:
        found[name] = np.asarray(value)

    def timed(name: str, function, *args) -> None:
        start = time.perf_counter()
        try:
            function(put, *args)
        except Exception:
            found[f"error/{name}"] = np.asarray(traceback.format_exc())  # which the tests of it show; the others go on
            traceback.print_exc()
        found[f"seconds/{name}"] = np.asarray(time.perf_counter() - start)
        print(f"{name}: {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)

    if not full:
        timed("planted", check_planted)
        with tempfile.TemporaryDirectory() as folder:
            timed("models", check_models, Path(folder))
            timed("decoder", check_decoder, Path(folder))
            timed("panoptic", check_panoptic, Path(folder))
        timed("golden", check_golden)
        timed("panoptic/golden", check_panoptic_golden)
    timed("deeplab2/layers", check_deeplab2_layers, full)
    for file in DEEPLAB2_FULL if full else DEEPLAB2:
        timed(f"deeplab2/{file}", check_deeplab2, file)
    for name, case in CASES.items():
        if case.full == full:
            timed(f"forward/{name}", check_forward, name, case)
            if case.gradients:
                timed(f"gradients/{name}", check_gradients, name, case)
    for name in common.SYMBOLIC if full else ():
        timed(f"symbolic/{name}", check_symbolic, name)
    # Keras's optimizers, unlike our layers, use operations that make float32 of float64 on JAX and PyTorch.
    keras.src.backend.common.dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
    if not full:
        timed("training", check_training)
        timed("decay", check_decay)
    if full == (BACKEND != dense.BACKEND):
        for name, case in dense.CASES.items():
            timed(f"dense/{name}", check_dense, name, case)
    assert not any(math.isnan(float(np.sum(value))) for value in found.values() if value.dtype.kind == "f"), "not a number"
    np.savez(out, **found)


if __name__ == "__main__":
    main(sys.argv[1], "full" in sys.argv[2:])
