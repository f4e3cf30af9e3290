"""A pyramid and a head in Keras, on the one back end that a process has: ``python -m ... IN.npz OUT.npz``."""

from __future__ import annotations

import sys

import keras
import numpy as np
from keras import ops

from axialzoo.keras.heads.fcos import Levels
from axialzoo.keras.heads.pyramid import FeaturePyramid
from axialzoo.keras.losses.detection import detection_loss
from axialzoo.spec import Norm

BACKEND = keras.backend.backend()
WORDS = {"kernel": "weight", "gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
INPUTS, CHANNELS, CLASSES, EXTRA, DEPTH = (5, 6, 7), 8, 3, 2, 2
NORM = Norm(1e-3, 0.1)


def network(dtype: str) -> keras.Model:
    features = [keras.Input((None, None, count), dtype=dtype) for count in INPUTS]
    levels = FeaturePyramid(INPUTS, CHANNELS, NORM, EXTRA, name="pyramid", dtype=dtype)(features)
    outputs = Levels(CHANNELS, CLASSES, len(levels), NORM, DEPTH, name="fcos", dtype=dtype)(levels)
    return keras.Model(features, outputs)


def name_of(variable: keras.Variable) -> str:
    *parents, last = variable.path.replace("/", ".").split(".")
    return ".".join([*parents, WORDS.get(last, last)])


def gradients(model: keras.Model, features: list, targets: dict) -> list:
    weights = model.trainable_variables
    if BACKEND == "jax":
        import jax

        rest = [v.value for v in model.non_trainable_variables]

        def total(values):
            outputs, moving = model.stateless_call(values, rest, features, training=True)
            return detection_loss(outputs, targets)["total"], moving

        found, moving = jax.jit(jax.grad(total, has_aux=True))([v.value for v in weights])
        for variable, value in zip(model.non_trainable_variables, moving):
            variable.assign(value)
        return found
    if BACKEND == "torch":
        detection_loss(model(features, training=True), targets)["total"].backward()
        return [v.value.grad for v in weights]
    import tensorflow as tf

    with tf.GradientTape() as tape:
        total = detection_loss(model(features, training=True), targets)["total"]
    return tape.gradient(total, [v.value for v in weights])


def main() -> None:
    with np.load(sys.argv[1]) as file:
        given = dict(file)
    model = network("float64")
    found = {"names": np.array(sorted(name_of(v) for v in model.weights))}
    for variable in model.weights:
        value = given["weights/" + name_of(variable)]
        variable.assign(value.transpose(2, 3, 1, 0) if value.ndim == 4 else value)
    features = [ops.convert_to_tensor(given[f"features/{i}"]) for i in range(len(INPUTS))]
    targets = {name: ops.convert_to_tensor(given[f"targets/{name}"]) for name in ("classes", "boxes", "centerness")}
    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    for which, one in (("outputs", model), ("again", again)):
        for name, maps in one(features, training=False).items():
            found.update({f"{which}/{name}/{i}": ops.convert_to_numpy(ops.stop_gradient(x)) for i, x in enumerate(maps)})
    for variable, gradient in zip(model.trainable_variables, gradients(model, features, targets)):
        value = ops.convert_to_numpy(gradient)
        found["gradients/" + name_of(variable)] = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value
    for variable in model.non_trainable_variables:
        found["moving/" + name_of(variable)] = ops.convert_to_numpy(variable.value)
    np.savez(sys.argv[2], **found)


if __name__ == "__main__":
    main()
