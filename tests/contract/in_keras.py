"""Keras on the back end of this process, as the contract asks of a framework."""

from __future__ import annotations

import keras

from axialzoo.keras import factory, load_model, native, save_model
from axialzoo.keras.losses import loss_of
from axialzoo.keras.weights import to_tensors, variables
from tests.in_keras import BACKEND, numpy, step

title, name = f"Keras ({BACKEND})", "keras"
formats = {suffix: (native.write_native, native.read_native) for suffix in (".weights.h5", ".keras")}
tensors, save = to_tensors, lambda model, folder, labels: save_model(model, folder, labels=labels)
load = load_model


def build(spec):
    keras.utils.set_random_seed(0)
    return factory.build(spec)


def forward(model, x, training):
    if BACKEND == "torch":
        import torch

        with torch.no_grad():
            return arrays(model(x, training=training))
    if BACKEND == "jax":
        import jax

        state = [[item.value for item in some] for some in (model.trainable_variables, model.non_trainable_variables)]
        return arrays(jax.jit(lambda *state: model.stateless_call(*state, x, training=training)[0])(*state))
    return arrays(model(x, training=training))


def arrays(found):
    if isinstance(found, dict):
        return {key: arrays(value) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [arrays(value) for value in found]
    return numpy(found)


def gradients(model, x, targets):
    head = model.spec.head
    of_trainable = step(model, lambda outputs, targets: loss_of(head)(outputs, targets, head)["total"])(x, dict(targets))[1]
    actual = {id(variable): value for variable, value in zip(model.trainable_variables, of_trainable)}
    own = [(parameter.name, actual.get(id(variable))) for parameter, variable in variables(model) if parameter.trainable]
    return {key: None if value is None else numpy(value) for key, value in own}


def reset(model, num_classes):
    return model.reset_classifier(num_classes)
