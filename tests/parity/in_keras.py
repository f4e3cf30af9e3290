"""Computations of the tests in Keras: models with the weights of `common`, outputs, and training steps, on any back end."""

from __future__ import annotations

import functools

import keras
import numpy as np
from keras import ops

from axialzoo.keras import build, load_tensors, to_tensors
from axialzoo.keras.losses import loss_of as head_loss
from axialzoo.keras.weights import variables
from axialzoo.train.keras_loop import decay_by_role
from tests.in_keras import BACKEND, numpy
from tests.in_keras import step as step_of
from tests.parity import common, dense


def model_of(spec, dtype: str, tensors=None, **kwargs) -> keras.Model:
    model = build(spec, dtype=dtype, **kwargs)
    load_tensors(model, common.tensors(spec, "float64" if dtype == "float64" else "float32") if tensors is None else tensors)
    return model


def last(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


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
    return [numpy(item) for item in y] if isinstance(y, (list, tuple)) else numpy(joined(y))


def maps(model: keras.Model, x: np.ndarray) -> dict[str, np.ndarray]:
    """The maps of a head in evaluation, by name; traced anew each time, so that a test may change what is called."""
    x = ops.convert_to_tensor(x, dtype=model.inputs[0].dtype)
    if BACKEND == "jax":  # one program; operation by operation it takes a minute
        import jax

        state = [[variable.value for variable in some] for some in (model.trainable_variables, model.non_trainable_variables)]
        y = jax.jit(lambda *state: model.stateless_call(*state, x, training=False)[0])(*state)
    else:
        y = model(x, training=False)
    return {name: numpy(array) for name, array in y.items()}


def joined(y):
    """The output, or all maps of a head together in the order of their names: (N, H, W, C); of levels, all locations one after
    another: (N, L, C); of maps and tokens, every number: (N, numbers).
    """
    if not isinstance(y, dict):
        return y
    if any(not isinstance(x, list) and len(x.shape) == 3 for x in y.values()):
        return ops.concatenate([ops.reshape(y[name], (ops.shape(y[name])[0], -1)) for name in sorted(y)], axis=1)

    def rows(x):
        return ops.reshape(x, (ops.shape(x)[0], -1, x.shape[-1]))

    maps = {name: ops.concatenate([rows(level) for level in x], axis=1) if isinstance(x, list) else x for name, x in y.items()}
    return ops.concatenate([maps[name] for name in sorted(maps)], axis=-1)


def loss_of(y, target):
    y = joined(y)
    return ops.sum(ops.square(y - target)) / y.shape[0]


step = functools.partial(step_of, loss_of=loss_of)


def canonical(model: keras.Model, gradients) -> dict[str, np.ndarray]:
    """Gradients by canonical name, in PyTorch's layout."""
    gradient_of = {id(variable): gradient for variable, gradient in zip(model.trainable_variables, gradients)}
    actual = {}
    for parameter, variable in variables(model):
        if parameter.trainable and gradient_of.get(id(variable)) is not None:  # layers that are held and never called have no gradient
            array, order = numpy(gradient_of[id(variable)]), parameter.keras_order
            actual[parameter.name] = array if order is None else array.transpose(np.argsort(order))
    return actual


def flat_layers(model):
    return [flatten_layer for layer in model.layers[1:] for flatten_layer in layer._flatten_layers()]


def optimizer_of(name: str, rate: float, decay: float | None = None):
    """SGD, which decays where `decay` is given, or AdamW, which always does."""
    if name == "sgd":
        return keras.optimizers.SGD(rate, common.MOMENTUM, weight_decay=decay)
    return keras.optimizers.AdamW(common.RATE / 8, common.DECAY, *common.BETAS, epsilon=common.EPSILON)


@functools.cache
def trained(network: str, optimizer: str, by_role: bool) -> dict[str, np.ndarray]:
    """Return every tensor after the steps; with decay by role, or of everything."""
    case = (common.DECAYING if by_role else common.TRAINED)[network]
    model = model_of(case.spec, "float64", common.tensors(case.spec, last_gamma=0.1))
    stepping = optimizer_of(optimizer, common.RATE, common.DECAY if by_role else None)
    if by_role:
        decay_by_role(stepping, model)
    run = step(model, optimizer=stepping)
    for index in range(common.STEPS):
        run(last(case.images("float64", 8, index)), case.targets("float64", 8, index))
    return {name: np.array(array) for name, array in to_tensors(model).items()}


@functools.cache
def dense_trained(network: str, optimizer: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Train by the head's own loss; return every tensor after the steps, the maps of a further step's pictures as ``"maps"`` and all
    ``"losses"``; and the gradients of the first step.
    """
    case, losses, first = dense.CASES[network], [], {}
    loss = head_loss(case.spec.head)
    model = model_of(case.spec, "float64", common.tensors(case.spec, last_gamma=0.1))
    stepping = optimizer_of(optimizer, case.rate, common.DECAY)
    decay_by_role(stepping, model)
    run = step_of(model, lambda outputs, targets: loss(outputs, targets, case.spec.head, **case.loss)["total"], stepping)
    for index in range(common.STEPS):
        images, targets = case.batch(index)
        value, gradients = run(last(images), targets)
        losses.append(float(numpy(value)))
        first = first or canonical(model, gradients)
    maps = forward(model, last(case.batch(common.STEPS)[0]))
    return {**{name: np.array(array) for name, array in to_tensors(model).items()}, "maps": maps, "losses": np.array(losses)}, first
