"""The losses of segmentation and their gradients are deeplab2's, in PyTorch and in Keras on every back end; planted errors are seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from axialzoo.torch.losses.segmentation import segmentation_loss as loss
from axialzoo.torch.losses.segmentation import semantic_loss
from tests.golden import segments
from tests.golden.segments import LOSSES

BACKENDS = ("tensorflow", "jax", "torch")
LOSS, GRADIENT = 1e-6, 1e-5  # relative to the loss; absolute, of gradients that go up to 34


def first(x: np.ndarray) -> torch.Tensor:
    """Channels last to channels first."""
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2) if x.ndim == 4 else x))


def pytorch(case: str, change=lambda targets: targets, **settings) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    outputs = {name: first(x).requires_grad_() for name, x in segments.loss_outputs(case).items()}
    targets = {name: first(x) for name, x in change(segments.loss_targets(case)).items()}
    actual = loss(outputs, targets, **segments.loss_settings(case) | settings)
    actual["total"].backward()
    gradients = {name: np.moveaxis(x.grad.numpy(), 1, -1) for name, x in outputs.items() if x.grad is not None}
    return {name: value.item() for name, value in actual.items()}, gradients


def assert_losses(found, case: str) -> None:
    for name, expected in segments.losses(case).items():
        assert found[name] == pytest.approx(expected, rel=LOSS), name


def assert_gradients(found, case: str) -> None:
    for name, expected in segments.loss_gradients(case).items():
        assert np.abs(found[name] - expected).max() <= GRADIENT, name


@pytest.mark.parametrize("case", LOSSES)
def test_losses_and_gradients_in_pytorch_are_deeplab2s(case):
    values, gradients = pytorch(case)
    assert_losses(values, case)
    assert_gradients(gradients, case)


def tensors(arrays) -> dict:
    from keras import ops

    return {name: ops.convert_to_tensor(array) for name, array in arrays.items()}


@pytest.mark.backends(*BACKENDS)
@pytest.mark.parametrize("case", LOSSES)
def test_losses_and_gradients_in_keras_are_deeplab2s(case):
    from axialzoo.keras.losses.segmentation import segmentation_loss
    from tests.in_keras import loss_and_gradients

    targets, settings = tensors(segments.loss_targets(case)), segments.loss_settings(case)
    values, gradients = loss_and_gradients(lambda outputs: segmentation_loss(outputs, targets, **settings), segments.loss_outputs(case))
    assert_losses({name: float(values[name]) for name in segments.VALUES}, case)
    assert_gradients({name: gradients[name] for name in segments.MAPS}, case)


def strided_in_keras(weights=None) -> np.ndarray:
    from axialzoo.keras.losses.segmentation import semantic_loss
    from tests.in_keras import numpy

    settings, targets = segments.loss_settings("strided"), tensors(segments.loss_targets("strided"))
    inputs = tensors(segments.loss_outputs("strided"))["semantic"], targets["semantic"], targets["semantic_weight"]
    return numpy(semantic_loss(*inputs, settings["ignore"], settings["top_k"][0], weights))


def strided(change=lambda x: x) -> np.ndarray:
    settings, targets = segments.loss_settings("strided"), segments.loss_targets("strided")
    inputs = first(segments.loss_outputs("strided")["semantic"]), first(change(targets["semantic"])), first(targets["semantic_weight"])
    return semantic_loss(*inputs, settings["ignore"], settings["top_k"][0]).numpy()


SAMPLED = segments.stored("dl2_panoptic_losses")["strided/loss/semantic_loss"]


def test_a_larger_target_is_sampled_as_deeplab2_does():
    assert strided() == pytest.approx(SAMPLED, rel=LOSS)
    assert strided(lambda x: np.roll(x, 1, 1)) != pytest.approx(SAMPLED, rel=1000 * LOSS)  # the planted error: other rows


@pytest.mark.backends(*BACKENDS)
def test_a_larger_target_is_sampled_in_keras_as_deeplab2_does():
    assert strided_in_keras() == pytest.approx(SAMPLED, rel=LOSS)


def weighted(change=lambda weights: weights) -> np.ndarray:
    """The semantic loss with weights of classes, which are factors of the pixels' own."""
    settings, targets, logits = segments.loss_settings("strided"), segments.loss_targets("strided"), segments.loss_outputs("strided")
    factors = np.asarray(change(segments.class_weights(logits["semantic"])), np.float32)
    counted = targets["semantic"] != settings["ignore"]
    pixels = targets["semantic_weight"] * factors[np.where(counted, targets["semantic"], 0)]
    inputs = first(logits["semantic"]), first(targets["semantic"]), first(pixels)
    return semantic_loss(*inputs, settings["ignore"], settings["top_k"][0]).numpy()


def test_weights_of_classes_are_factors_of_their_pixels():
    settings, targets, outputs = segments.loss_settings("strided"), segments.loss_targets("strided"), segments.loss_outputs("strided")
    inputs = first(outputs["semantic"]), first(targets["semantic"]), first(targets["semantic_weight"])
    actual = semantic_loss(*inputs, settings["ignore"], settings["top_k"][0], segments.class_weights(outputs["semantic"])).numpy()
    assert actual == pytest.approx(weighted(), rel=LOSS)
    assert actual != pytest.approx(weighted(lambda weights: weights[::-1]), rel=1000 * LOSS)  # the planted error: of other classes


@pytest.mark.backends(*BACKENDS)
def test_weights_of_classes_are_factors_of_their_pixels_in_keras():
    weights = segments.class_weights(segments.loss_outputs("strided")["semantic"])
    assert strided_in_keras(weights) == pytest.approx(weighted(), rel=LOSS)


def test_where_nothing_counts_the_loss_is_zero():
    outputs, targets = segments.loss_outputs("config"), segments.loss_targets("config")
    nothing = semantic_loss(first(outputs["semantic"]), torch.full((2, 13, 17), -1), first(targets["semantic_weight"]))
    assert nothing.tolist() == [0, 0]


@pytest.mark.backends(*BACKENDS)
def test_where_nothing_counts_the_loss_is_zero_in_keras():
    from axialzoo.keras.losses.segmentation import semantic_loss
    from tests.in_keras import numpy

    targets = segments.loss_targets("strided")
    some = tensors({**targets, "logits": segments.loss_outputs("strided")["semantic"], "nothing": 0 * targets["semantic"] - 1})
    assert numpy(semantic_loss(some["logits"], some["nothing"], some["semantic_weight"])).tolist() == [0, 0]


@pytest.mark.backends("tensorflow")
def test_graphs_of_tensorflow_that_know_no_sizes_give_the_same():
    import tensorflow as tf

    from axialzoo.keras.losses.segmentation import segmentation_loss

    outputs, targets, settings = segments.loss_outputs("config"), segments.loss_targets("config"), segments.loss_settings("config")
    kinds = [
        {name: tf.TensorSpec([None] * x.ndim if x.ndim == 3 else [None, None, None, x.shape[-1]], x.dtype) for name, x in part.items()}
        for part in (outputs, targets)
    ]
    function = tf.function(lambda outputs, targets: segmentation_loss(outputs, targets, **settings), input_signature=kinds)
    values = function(outputs, targets)
    assert_losses({name: float(values[name]) for name in segments.VALUES}, "config")


@pytest.mark.parametrize(
    "change",
    [
        lambda t: {**t, "offset": t["offset"][..., ::-1]},
        lambda t: {**t, "semantic_weight": np.ones_like(t["semantic_weight"])},
        lambda t: {**t, "center_weight": np.ones_like(t["center_weight"])},
    ],
    ids=["offsets_swapped", "small_objects_not_weighted", "crowds_not_left_out"],
)
def test_planted_errors_in_targets_are_caught(change):
    assert abs(pytorch("config", change)[0]["total"] / segments.losses("config")["total"] - 1) > 10 * LOSS


@pytest.mark.parametrize("settings", [{"top_k": (1.0, 1.0, 1.0)}, {"ignore": -100}, {"weights": (1.0, 1.0, 1.0)}], ids=str)
def test_planted_errors_in_settings_are_caught(settings):
    def valid(targets):  # so that PyTorch takes what is no longer ignored
        return {**targets, "semantic": np.minimum(targets["semantic"], 4)} if "ignore" in settings else targets

    assert abs(pytorch("config", valid, **settings)[0]["total"] / segments.losses("config")["total"] - 1) > 1000 * LOSS


def test_what_does_not_fit_is_refused():
    outputs, targets = ({name: first(x) for name, x in part("config").items()} for part in (segments.loss_outputs, segments.loss_targets))
    with pytest.raises(ValueError, match="center and offset both or neither"):
        loss({name: x for name, x in outputs.items() if name != "center"}, targets)
    with pytest.raises(ValueError, match="offset_weight"):
        loss(outputs, {name: x for name, x in targets.items() if name != "offset_weight"})
    with pytest.raises(ValueError, match="center: expected the map and its target of one size"):
        loss({**outputs, "center": outputs["center"][:, :, 1:]}, targets, ignore=255)
    with pytest.raises(ValueError, match="semantic: expected a target as large"):
        semantic_loss(outputs["semantic"][:, :, 3:], targets["semantic"], targets["semantic_weight"], 255)
    with pytest.raises(ValueError, match="class_weights: expected 5, one per class of the semantic map, found 2"):
        loss(outputs, targets, ignore=255, class_weights=(1.0, 2.0))
    assert set(loss({"semantic": outputs["semantic"]}, targets, ignore=255)) == {"semantic", "total"}
