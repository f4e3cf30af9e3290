"""Mask transformers in Keras, on the one back end that a process has: ``python -m tests.golden.masks_worker OUT.npz PART...``."""

from __future__ import annotations

import sys

import keras
import numpy as np
from keras import ops

from axialzoo.keras import build
from axialzoo.keras.losses.mask_transformer import image_losses
from axialzoo.keras.weights import load_tensors
from tests.golden import masks

PREDICTIONS = ("class_logits", "mask_logits", "pixel_feature")
BACKEND = keras.backend.backend()


def numpy(x) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(x))


def forward(model, x, training: bool = False) -> dict:
    if BACKEND != "jax":
        return model(x, training=training)
    import jax

    state = [[item.value for item in some] for some in (model.trainable_variables, model.non_trainable_variables)]
    return jax.jit(lambda *state: model.stateless_call(*state, x, training=training)[0])(*state)


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


def losses_of(outputs: dict, targets: dict, settings: dict) -> dict:
    targets = {name: ops.convert_to_tensor(x) for name, x in targets.items()}
    noise = None if settings["noise"] is None else [ops.convert_to_tensor(setting) for setting in settings["noise"]]
    return image_losses(outputs, targets, **{**settings, "noise": noise}, corners="aligned")


def model_of(spec, stored: dict | None = None, input_size=None) -> keras.Model:
    model = build(spec, input_size=input_size)
    load_tensors(model, masks.tensors_of(spec, stored))
    return model


def parts(model: keras.Model) -> keras.Model:
    """The stages of the pixel decoder and the k-means layers, by deeplab2's names."""
    names = ("decoder_stage1", "decoder_stage2", "decoder_stage3", "decoder_output")
    outputs = {f"pixel_decoder/{name}": x for name, x in zip(names, model.get_layer("head.pixel_decoder").output, strict=True)}
    for number in range(6):
        centers, *predictions = model.get_layer(f"head.kmeans.{number}").output
        outputs |= {f"kmeans/{number}/cluster_centers": centers}
        outputs |= {f"kmeans/{number}/{masks.KEYS[name]}": x for name, x in zip(PREDICTIONS, predictions, strict=True)}
    return keras.Model(model.inputs, outputs)


def forwards() -> dict:
    """Outputs of whole models and of their parts."""
    images = masks.images(2).transpose(0, 2, 3, 1)
    actual = {}
    for file, spec in masks.CASES.items():
        model = model_of(spec)
        actual |= {f"{file}/{name}": x for name, x in forward(model, images[:1]).items()}
        if file == "dl2_tiny_kmax_deeplab_65x97":
            actual |= {f"{file}/{key}": x for key, x in forward(parts(model), images[:1]).items()}
    return actual


def decoders() -> dict:
    """Outputs of a model with confident slots, and of both codes' decoders."""
    images = masks.images(2).transpose(0, 2, 3, 1)
    sharp = model_of(masks.CASES["dl2_tiny_max_deeplab_65x97"], masks.sharp_weights())
    actual = {f"{masks.SHARP}/{name}": x for name, x in forward(sharp, images).items()}
    for case, origin in masks.DECODERS:
        size = tuple(map(int, case.split("x")))
        model = model_of(masks.tiny_kmax(origin=origin), input_size=size)
        features = model.get_layer("head.pixel_decoder").input  # from coarse to fine
        head = keras.Model(features, {name: model.output[name] for name in ("class_logits", "mask_logits", "semantic")})
        x = [feature.transpose(0, 2, 3, 1) for feature in reversed(masks.features(case))]
        actual |= {f"{case}/{origin}/{name}": x for name, x in forward(head, x).items()}
    decoder = model_of(masks.five_stages(), input_size=(65, 97)).get_layer("head.pixel_decoder")
    stages = keras.Model(decoder.input, {str(number): x for number, x in enumerate(decoder.output)})
    stem, *features = (feature.transpose(0, 2, 3, 1) for feature in masks.five_features())
    actual |= {f"five/{number}": x for number, x in forward(stages, [*reversed(features[1:]), stem, features[0]]).items()}
    return actual


def losses() -> dict:
    """Losses of stored predictions, and their gradients."""
    actual = {}
    for file, case in [*masks.ALL_LOSSES, *((masks.OVERFULL, case) for case in masks.overfull_cases())]:
        outputs, targets, settings = masks.loss_case(file, case)
        values, gradients = with_gradients(outputs, lambda outputs: losses_of(outputs, targets, settings))  # noqa: B023
        actual |= {f"{case}/loss/{name}": x for name, x in values.items()}
        actual |= {f"{case}/grad/{name}": x for name, x in gradients.items()}
    return actual


def training() -> dict:
    """Losses of one step, and the gradient of each weight."""
    from axialzoo.keras.losses import mask_transformer
    from tests.in_keras import step
    from tests.parity.in_keras import canonical

    actual = {}
    for file, (spec, slots, _, _) in masks.TRAINING.items():
        mask_transformer.match_masks = masks.their_matching(slots)
        x, targets, settings = masks.images(2).transpose(0, 2, 3, 1), masks.training_targets(file), masks.training_settings(file)
        model, values = model_of(spec), {}

        def total(outputs, targets):
            losses = losses_of(outputs, targets, settings)  # noqa: B023
            return sum(ops.sum(values) for values in losses.values())

        gradients = canonical(model, step(model, total)(x, targets)[1])
        actual |= {f"{file}/grad/{name}": gradient for name, gradient in gradients.items()}
        outputs = {name: numpy(y) for name, y in forward(model, x, training=True).items()}
        values = with_gradients(outputs, lambda outputs: losses_of(outputs, targets, settings))[0]  # noqa: B023
        actual |= {f"{file}/loss/{name}": value for name, value in values.items()}
    return actual


def main() -> None:
    actual = {}
    for part in sys.argv[2:]:
        actual |= {"forwards": forwards, "losses": losses, "decoders": decoders, "training": training}[part]()
    np.savez(sys.argv[1], **{name: numpy(x) for name, x in actual.items()})


if __name__ == "__main__":
    main()
