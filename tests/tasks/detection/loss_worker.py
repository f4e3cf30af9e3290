"""The losses and their gradients in Keras, on the one back end that a process has: ``python -m ... OUT.npz``."""

from __future__ import annotations

import sys

import keras
import numpy as np
from keras import ops

from axialzoo.keras.losses import detection
from tests.tasks.detection.loss_cases import CASES, MAPS, SIZES, case

BACKEND = keras.backend.backend()


def unflatten(flat) -> dict[str, list]:
    return {name: list(flat[i * len(SIZES) : (i + 1) * len(SIZES)]) for i, name in enumerate(MAPS)}


def measure(outputs, targets, **options):
    """The parts, and the gradient of the total to each map."""
    flat = [one for name in MAPS for one in outputs[name]]
    targets = {name: ops.convert_to_tensor(one) for name, one in targets.items()}
    if BACKEND == "jax":
        import jax

        @jax.jit
        def both(flat):
            def total(flat):
                parts = detection.detection_loss(unflatten(flat), targets, **options)
                return parts["total"], parts

            return jax.grad(total, has_aux=True)(flat)

        gradients, parts = both([ops.convert_to_tensor(one) for one in flat])
    elif BACKEND == "torch":
        import torch

        leaves = [torch.from_numpy(one).requires_grad_() for one in flat]
        parts = detection.detection_loss(unflatten(leaves), targets, **options)
        gradients = torch.autograd.grad(parts["total"], leaves)
        parts = {name: value.detach() for name, value in parts.items()}
    else:
        import tensorflow as tf

        @tf.function(input_signature=[[tf.TensorSpec((None, None, None, one.shape[-1]), one.dtype) for one in flat]])
        def both(flat):  # sides that the graph does not know
            with tf.GradientTape() as tape:
                tape.watch(flat)
                parts = detection.detection_loss(unflatten(flat), targets, **options)
            return parts, tape.gradient(parts["total"], flat)

        parts, gradients = both([tf.constant(one) for one in flat])
    return parts, gradients


def main() -> None:
    found = {}
    for name in CASES:
        for dtype in ("float64", "float32"):
            parts, gradients = measure(*case(name, dtype))
            found.update({f"{name}/{dtype}/{part}": ops.convert_to_numpy(value) for part, value in parts.items()})
            found.update({f"{name}/{dtype}/gradient/{i}": ops.convert_to_numpy(value) for i, value in enumerate(gradients)})
    parts, _ = measure(*case("random"), totals=ops.convert_to_tensor(np.array([7.0, 3.0])), alpha=0.4, gamma=0.5)
    found.update({f"options/{part}": ops.convert_to_numpy(value) for part, value in parts.items()})
    found["count"] = ops.convert_to_numpy(detection.count(case("random")[1]))
    np.savez(sys.argv[1], **found)


if __name__ == "__main__":
    main()
