"""Steps and gradients in Keras, on whichever back end a process has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

BACKEND = keras.backend.backend()


def numpy(x) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(x))


def step(model: keras.Model, loss_of: Callable, optimizer=None, training: bool = True):
    """A function (images, targets) -> (loss, gradients), which also applies them where there is an optimizer.

    Args:
        loss_of: Of outputs and targets.
        training: Whether norms take the statistics of the batch.
    """
    trainable, rest = model.trainable_variables, model.non_trainable_variables
    if optimizer is not None:
        optimizer.build(trainable)
    if BACKEND == "jax":
        import jax

        @jax.jit
        def compiled(t, n, o, x, target):
            def loss(t, n):
                y, n = model.stateless_call(t, n, x, training=training)
                return loss_of(y, target), n

            (value, n), gradients = jax.value_and_grad(loss, has_aux=True)(t, n)
            if optimizer is not None:
                t, o = optimizer.stateless_apply(o, gradients, t)
            return t, n, o, value, gradients

        def run(x, target):
            state = [v.value for v in trainable], [v.value for v in rest], [v.value for v in optimizer.variables] if optimizer else []
            *state, value, gradients = compiled(*state, x, target)
            for group, arrays in zip((trainable, rest, optimizer.variables if optimizer else []), state):
                for variable, array in zip(group, arrays):
                    variable.assign(array)
            return value, gradients

    elif BACKEND == "torch":
        import torch

        def run(x, target):
            model.zero_grad()
            x, target = keras.tree.map_structure(torch.from_numpy, (x, target))
            loss = loss_of(model(x, training=training), target)
            loss.backward()
            gradients = [v.value.grad for v in trainable]
            if optimizer is not None:
                with torch.no_grad():
                    optimizer.apply(gradients, trainable)
            return loss.detach(), gradients

    else:
        import tensorflow as tf

        def run(x, target):
            x, target = keras.tree.map_structure(tf.constant, (x, target))
            with tf.GradientTape() as tape:
                loss = loss_of(model(x, training=training), target)
            gradients = tape.gradient(loss, [v.value for v in trainable])
            if optimizer is not None:
                optimizer.apply(gradients, trainable)
            return loss, gradients

    return run


def loss_and_gradients(compute: Callable[[Any], Mapping[str, Any]], outputs: Any, open_sides: bool = False) -> tuple[dict, Any]:
    """Return the losses by name, and the gradient of their ``"total"`` by each of the arrays `outputs`, all as arrays.

    Args:
        open_sides: TensorFlow computes in a graph that does not know the sides of the outputs, (N, H, W, C) each.
    """
    if BACKEND == "jax":
        import jax

        def total(outputs):
            parts = compute(outputs)
            return parts["total"], parts

        gradients, parts = jax.jit(jax.grad(total, has_aux=True))(outputs)
    elif BACKEND == "torch":
        import torch

        leaves = keras.tree.map_structure(lambda x: torch.from_numpy(x).requires_grad_(), outputs)
        parts = compute(leaves)
        parts["total"].backward()
        gradients = keras.tree.map_structure(lambda x: x.grad, leaves)
    else:
        import tensorflow as tf

        def both(outputs):
            with tf.GradientTape() as tape:
                tape.watch(outputs)
                parts = compute(outputs)
            return parts, tape.gradient(parts["total"], outputs)

        if open_sides:
            kinds = keras.tree.map_structure(lambda x: tf.TensorSpec((None, None, None, x.shape[-1]), x.dtype), outputs)
            both = tf.function(both, input_signature=[kinds])
        parts, gradients = both(keras.tree.map_structure(tf.constant, outputs))
    return {name: numpy(value) for name, value in parts.items()}, keras.tree.map_structure(numpy, gradients)
