"""The losses of segmentation in Keras, on the one back end that a process has: ``python -m tests.golden.segmentation_worker OUT.npz``."""

from __future__ import annotations

import sys

import keras
import numpy as np
from keras import ops

from axialzoo.keras.losses.segmentation import segmentation_loss as loss
from axialzoo.keras.losses.segmentation import semantic_loss
from tests.golden import segments

BACKEND = keras.backend.backend()


def numpy(x) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(x))


def with_gradients(outputs: dict, compute) -> tuple[dict, dict]:
    """The losses, and the gradient of the total by each map."""
    if BACKEND == "jax":
        import jax

        def total(outputs):
            found = compute(outputs)
            return found["total"], found

        gradients, found = jax.jit(jax.grad(total, has_aux=True))(outputs)
    elif BACKEND == "torch":
        import torch

        outputs = {name: torch.from_numpy(x).requires_grad_() for name, x in outputs.items()}
        found = compute(outputs)
        found["total"].backward()
        gradients, found = {name: x.grad for name, x in outputs.items()}, {name: x.detach() for name, x in found.items()}
    else:
        import tensorflow as tf

        outputs = {name: tf.constant(x) for name, x in outputs.items()}
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            found = compute(outputs)
        gradients = tape.gradient(found["total"], outputs)
    return found, gradients


def graph_of_unknown_size() -> dict[str, np.ndarray]:
    """TensorFlow's graphs may not know how large pictures are."""
    import tensorflow as tf

    outputs, targets = segments.loss_outputs("config"), segments.loss_targets("config")
    kinds = [
        {name: tf.TensorSpec([None] * x.ndim if x.ndim == 3 else [None, None, None, x.shape[-1]], x.dtype) for name, x in part.items()}
        for part in (outputs, targets)
    ]
    function = tf.function(lambda outputs, targets: loss(outputs, targets, **segments.loss_settings("config")), input_signature=kinds)
    return {f"graph/{name}": numpy(value) for name, value in function(outputs, targets).items()}


def main(path: str) -> None:
    found: dict[str, np.ndarray] = {}
    for case in segments.LOSSES:
        targets = {name: ops.convert_to_tensor(x) for name, x in segments.loss_targets(case).items()}
        settings = segments.loss_settings(case)
        values, gradients = with_gradients(segments.loss_outputs(case), lambda outputs, t=targets, s=settings: loss(outputs, t, **s))
        found |= {f"{case}/{name}": numpy(value) for name, value in values.items()}
        found |= {f"{case}/gradient/{name}": numpy(value) for name, value in gradients.items()}
    strided, targets = segments.loss_outputs("strided"), segments.loss_targets("strided")
    tensors = [ops.convert_to_tensor(x) for x in (strided["semantic"], targets["semantic"], targets["semantic_weight"])]
    settings = segments.loss_settings("strided")
    found["strided"] = numpy(semantic_loss(*tensors, settings["ignore"], settings["top_k"][0]))
    found["nothing"] = numpy(semantic_loss(tensors[0], ops.zeros_like(tensors[1]) - 1, tensors[2]))
    weights = segments.class_weights(strided["semantic"])
    found["weighted"] = numpy(semantic_loss(*tensors, settings["ignore"], settings["top_k"][0], weights))
    if BACKEND == "tensorflow":
        found |= graph_of_unknown_size()
    np.savez(path, **found)


if __name__ == "__main__":
    main(sys.argv[1])
