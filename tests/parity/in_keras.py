"""What the measurements in Keras share: models with the weights of `common`, outputs, and steps of training, on any back end."""

from __future__ import annotations

import functools

import keras
import numpy as np
from keras import ops

from axialzoo.keras import build, load_tensors
from axialzoo.keras.weights import variables
from tests.parity import common

BACKEND = keras.backend.backend()


def model_of(spec, dtype: str, tensors=None, **kwargs) -> keras.Model:
    model = build(spec, dtype=dtype, **kwargs)
    load_tensors(model, common.tensors(spec, "float64" if dtype == "float64" else "float32") if tensors is None else tensors)
    return model


def last(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def numpy(x) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(x))


@functools.lru_cache(maxsize=4)
def compiled(model: keras.Model, training: bool):
    import jax

    return jax.jit(lambda trainable, rest, x: model.stateless_call(trainable, rest, x, training=training))


def forward(model: keras.Model, x: np.ndarray, training: bool = False):
    """The outputs, (N, ...) each; moving statistics change in training."""
    x = ops.convert_to_tensor(x, dtype=model.inputs[0].dtype)
    if BACKEND == "jax":
        call = compiled(model, training)
        y, moving = call([v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables], x)
        for variable, value in zip(model.non_trainable_variables, moving):
            variable.assign(value)
    elif BACKEND == "torch":
        import torch

        with torch.no_grad():
            y = model(x, training=training)
    else:
        y = model(x, training=training)
    return [numpy(one) for one in y] if isinstance(y, (list, tuple)) else numpy(joined(y))


def joined(y):
    """The output, or all maps of a head together in the order of their names: (N, H, W, C); of levels, all locations one after
    another: (N, L, C).
    """
    if not isinstance(y, dict):
        return y

    def rows(x):
        return ops.reshape(x, (ops.shape(x)[0], -1, x.shape[-1]))

    maps = {name: ops.concatenate([rows(level) for level in x], axis=1) if isinstance(x, list) else x for name, x in y.items()}
    return ops.concatenate([maps[name] for name in sorted(maps)], axis=-1)


def loss_of(y, target):
    y = joined(y)
    return ops.sum(ops.square(y - target)) / y.shape[0]


def step(model: keras.Model, optimizer=None, loss_of=loss_of):
    """A function (images, targets) -> (loss, gradients), which also applies them where there is an optimizer.

    Args:
        loss_of: Of outputs and targets.
    """
    trainable, rest = model.trainable_variables, model.non_trainable_variables
    if optimizer is not None:
        optimizer.build(trainable)
    if BACKEND == "jax":
        import jax

        @jax.jit
        def compiled(t, n, o, x, target):
            def loss(t, n):
                y, n = model.stateless_call(t, n, x, training=True)
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
            loss = loss_of(model(torch.from_numpy(x), training=True), keras.tree.map_structure(torch.from_numpy, target))
            loss.backward()
            gradients = [v.value.grad for v in trainable]
            if optimizer is not None:
                with torch.no_grad():
                    optimizer.apply(gradients, trainable)
            return loss.detach(), gradients

    else:
        import tensorflow as tf

        def run(x, target):
            with tf.GradientTape() as tape:
                loss = loss_of(model(tf.constant(x), training=True), keras.tree.map_structure(tf.constant, target))
            gradients = tape.gradient(loss, [v.value for v in trainable])
            if optimizer is not None:
                optimizer.apply(gradients, trainable)
            return loss, gradients

    return run


def canonical(model: keras.Model, gradients) -> dict[str, np.ndarray]:
    """Gradients by canonical name, in PyTorch's layout."""
    by_id = {id(variable): gradient for variable, gradient in zip(model.trainable_variables, gradients)}
    found = {}
    for parameter, variable in variables(model):
        if parameter.trainable:
            array, order = numpy(by_id[id(variable)]), parameter.keras_order
            found[parameter.name] = array if order is None else array.transpose(np.argsort(order))
    return found


def flat_layers(model):
    return [one for layer in model.layers[1:] for one in layer._flatten_layers()]
