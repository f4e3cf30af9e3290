"""Mask transformers in Keras, on the one back end that a process has: ``python -m tests.golden.masks_worker OUT.npz``."""

from __future__ import annotations

import sys

import keras
import numpy as np
from keras import ops

from axialzoo.keras import build
from axialzoo.keras.losses.mask_transformer import image_losses
from axialzoo.keras.weights import load_tensors
from tests.golden import masks

BACKEND = keras.backend.backend()


def numpy(x) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(x))


def forward(model, x: np.ndarray) -> dict:
    if BACKEND != "jax":
        return model(x, training=False)
    import jax

    state = [[item.value for item in some] for some in (model.trainable_variables, model.non_trainable_variables)]
    return jax.jit(lambda *state: model.stateless_call(*state, x, training=False)[0])(*state)


def with_gradients(outputs: dict, compute) -> tuple[dict, dict]:
    """Losses, and gradients of their sum."""

    def total(outputs):
        losses = compute(outputs)
        return sum(ops.sum(values) for values in losses.values()), losses

    if BACKEND == "jax":
        import jax

        gradients, losses = jax.jit(jax.grad(total, has_aux=True))(outputs)
        return losses, gradients
    if BACKEND == "torch":
        import torch

        outputs = {name: torch.from_numpy(x).requires_grad_() for name, x in outputs.items()}
        value, losses = total(outputs)
        value.backward()
        return {name: x.detach() for name, x in losses.items()}, {name: x.grad for name, x in outputs.items()}
    import tensorflow as tf

    outputs = {name: tf.constant(x) for name, x in outputs.items()}
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        value, losses = tf.function(total)(outputs)
    return losses, tape.gradient(value, outputs)


def main() -> None:
    actual = {}
    for file, cases in masks.LOSS_CASES.items():
        for case in cases:
            outputs, targets, settings = masks.loss_case(file, case)
            targets = {name: ops.convert_to_tensor(x) for name, x in targets.items()}
            noise = None if settings["noise"] is None else [ops.convert_to_tensor(setting) for setting in settings["noise"]]
            messages = {**settings, "noise": noise, "corners": "aligned"}
            losses, gradients = with_gradients(outputs, lambda outputs: image_losses(outputs, targets, **messages))  # noqa: B023
            actual |= {f"{case}/loss/{name}": numpy(x) for name, x in losses.items()}
            actual |= {f"{case}/grad/{name}": numpy(x) for name, x in gradients.items()}
    for file, spec in masks.CASES.items():
        model = build(spec)
        load_tensors(model, masks.tensors_of(spec))
        actual |= {f"{file}/{name}": numpy(x) for name, x in forward(model, masks.images().transpose(0, 2, 3, 1)).items()}
    np.savez(sys.argv[1], **actual)


if __name__ == "__main__":
    main()
