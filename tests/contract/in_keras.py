"""Keras on the back end of this process, as the contract asks of a framework."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from axialzoo.keras import load_model, models, native, save_model
from axialzoo.keras.losses import loss_of
from axialzoo.keras.weights import to_tensors, variables

BACKEND = keras.backend.backend()
title, name = f"Keras ({BACKEND})", "keras"
formats = {suffix: (native.write_native, native.read_native) for suffix in (".weights.h5", ".keras")}
tensors, save = to_tensors, lambda model, folder, labels: save_model(model, folder, labels=labels)
load = load_model


def build(spec):
    keras.utils.set_random_seed(0)
    return models.build(spec)


def forward(model, x, training):
    if BACKEND == "torch":
        import torch

        with torch.no_grad():
            return arrays(model(x, training=training))
    if BACKEND == "jax":
        import jax

        state = [[one.value for one in some] for some in (model.trainable_variables, model.non_trainable_variables)]
        return arrays(jax.jit(lambda *state: model.stateless_call(*state, x, training=training)[0])(*state))
    return arrays(model(x, training=training))


def arrays(found):
    if isinstance(found, dict):
        return {key: arrays(value) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [arrays(value) for value in found]
    return np.asarray(ops.convert_to_numpy(found))


def gradients(model, x, targets):
    found = {id(variable): value for variable, value in zip(model.trainable_variables, plain_gradients(model, x, targets))}
    own = [(parameter.name, variable) for parameter, variable in variables(model) if parameter.trainable]
    by_name = {key: found.get(id(variable)) for key, variable in own}
    return {key: None if value is None else np.asarray(ops.convert_to_numpy(value)) for key, value in by_name.items()}


def plain_gradients(model, x, targets):
    head, trainable = model.spec.head, model.trainable_variables
    targets = {key: ops.convert_to_tensor(value) for key, value in targets.items()}
    if BACKEND == "jax":
        import jax

        rest = [one.value for one in model.non_trainable_variables]

        def total(values):
            return loss_of(head)(model.stateless_call(values, rest, x, training=True)[0], targets, head)["total"]

        return jax.jit(jax.grad(total))([one.value for one in trainable])
    if BACKEND == "torch":
        loss_of(head)(model(x, training=True), targets, head)["total"].backward()
        return [one.value.grad for one in trainable]
    import tensorflow as tf

    with tf.GradientTape() as tape:
        total = loss_of(head)(model(x, training=True), targets, head)["total"]
    return tape.gradient(total, [one.value for one in trainable])


def reset(model, num_classes):
    return model.reset_classifier(num_classes)
