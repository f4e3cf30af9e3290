"""A feature pyramid and FCOS's head compute the same in both frameworks, in evaluation, gradients and moving statistics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from axialzoo.spec import Norm
from axialzoo.tasks.detection.targets import box_targets
from axialzoo.torch.heads.fcos import FCOSPredictor
from axialzoo.torch.heads.pyramid import FeaturePyramid, upsample
from axialzoo.torch.losses.detection import detection_loss
from tests.tasks.detection.loss_cases import BACKENDS
from tests.tasks.detection.scenes import scene

NORM = Norm(1e-3, 0.1)
INPUTS, CHANNELS, CLASSES, EXTRA, DEPTH = (5, 6, 7), 8, 3, 2, 2
SIZES, STRIDES = [(11, 13), (6, 7), (3, 4), (2, 2), (1, 1)], (8, 16, 32, 64, 128)
TOLERANCE = 1e-9


def network() -> nn.ModuleDict:
    parts = {
        "pyramid": FeaturePyramid(INPUTS, CHANNELS, NORM, EXTRA),
        "fcos": FCOSPredictor(CHANNELS, CLASSES, 5, NORM, DEPTH),
    }
    model = nn.ModuleDict(parts).double()
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        values = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
        tensor.copy_(values + 0.5 if tensor.ndim == 1 and not name.endswith("bias") else (values - 0.5) * 0.6)
    return model


def forward(model: nn.ModuleDict, features):
    return model["fcos"](model["pyramid"](features))


@pytest.fixture(scope="module")
def given() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    scenes = [scene(seed) for seed in (5, 7)]
    targets = [box_targets(replace(boxes, boxes=boxes.boxes / 2), SIZES, STRIDES) for boxes in scenes]  # within 88 x 104 pixels
    for target in targets:
        target["classes"] = np.minimum(target["classes"], CLASSES - 1)
    return {
        **{f"weights/{name}": tensor.numpy() for name, tensor in network().state_dict().items()},
        **{f"features/{i}": rng.normal(size=(2, *size, count)) for i, (size, count) in enumerate(zip(SIZES, INPUTS))},
        **{f"targets/{name}": np.stack([target[name] for target in targets]) for name in targets[0]},
    }


@pytest.fixture(scope="module")
def ours(given) -> dict[str, np.ndarray]:
    model = network()
    features = [torch.from_numpy(given[f"features/{i}"]).permute(0, 3, 1, 2) for i in range(len(INPUTS))]
    targets = {name: torch.from_numpy(given[f"targets/{name}"]) for name in ("classes", "boxes", "centerness")}
    with torch.no_grad():
        outputs = forward(model.eval(), features)
    actual = {f"outputs/{name}/{i}": x.permute(0, 2, 3, 1).numpy() for name, maps in outputs.items() for i, x in enumerate(maps)}
    detection_loss(forward(model.train(), features), targets)["total"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        actual[f"gradients/{name}"] = parameter.grad.numpy()
    return {**actual, **{f"moving/{name}": tensor.numpy() for name, tensor in model.named_buffers()}}


@pytest.fixture(scope="module")
def theirs(given) -> dict[str, np.ndarray]:
    """Outputs of Keras with the same weights."""
    import keras

    from axialzoo.keras.heads.fcos import FCOSPredictor
    from axialzoo.keras.heads.pyramid import FeaturePyramid
    from axialzoo.keras.losses.detection import detection_loss
    from tests.in_keras import numpy, step

    words = {"kernel": "weight", "gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}

    def name_of(variable) -> str:
        *parents, last = variable.path.replace("/", ".").split(".")
        return ".".join([*parents, words.get(last, last)])

    inputs = [keras.Input((None, None, channels), dtype="float64") for channels in INPUTS]
    levels = FeaturePyramid(INPUTS, CHANNELS, NORM, EXTRA, name="pyramid", dtype="float64")(inputs)
    model = keras.Model(inputs, FCOSPredictor(CHANNELS, CLASSES, len(levels), NORM, DEPTH, name="fcos", dtype="float64")(levels))
    actual = {"names": np.array(sorted(name_of(variable) for variable in model.weights))}
    for variable in model.weights:
        value = given["weights/" + name_of(variable)]
        variable.assign(value.transpose(2, 3, 1, 0) if value.ndim == 4 else value)
    features = [given[f"features/{i}"] for i in range(len(INPUTS))]
    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    for which, item in (("outputs", model), ("again", again)):
        for name, maps in item([keras.ops.convert_to_tensor(x) for x in features], training=False).items():
            actual |= {f"{which}/{name}/{i}": numpy(keras.ops.stop_gradient(x)) for i, x in enumerate(maps)}
    targets = {name: given[f"targets/{name}"] for name in ("classes", "boxes", "centerness")}
    gradients = step(model, lambda outputs, targets: detection_loss(outputs, targets)["total"])(features, targets)[1]
    for variable, gradient in zip(model.trainable_variables, gradients):
        value = numpy(gradient)
        actual["gradients/" + name_of(variable)] = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value
    return {**actual, **{"moving/" + name_of(variable): numpy(variable) for variable in model.non_trainable_variables}}


def error(theirs, ours, kind: str) -> float:
    """The largest difference, of the largest value."""
    names = [name for name in ours if name.startswith(kind)]
    assert names and all(theirs[name].shape == ours[name].shape for name in names)
    return max(np.abs(theirs[name] - ours[name]).max() / max(np.abs(ours[name]).max(), 1e-6) for name in names)


@pytest.mark.backends(*BACKENDS)
def test_the_same_tensors_by_the_same_names(theirs):
    assert theirs["names"].tolist() == sorted(network().state_dict())


@pytest.mark.backends(*BACKENDS)
def test_the_same_outputs_gradients_and_moving_statistics(theirs, ours):
    assert error(theirs, ours, "outputs") <= TOLERANCE
    assert error(theirs, ours, "gradients") <= 10 * TOLERANCE
    assert error(theirs, ours, "moving") <= TOLERANCE


@pytest.mark.backends(*BACKENDS)
def test_keras_makes_the_same_again_of_its_config(theirs, ours):
    again = {name.replace("again", "outputs"): value for name, value in theirs.items() if name.startswith("again")}
    assert error(again, ours, "outputs") <= TOLERANCE


def test_planted_swap_of_height_and_width_of_a_kernel_is_seen(ours, given):
    model = network()
    weight = model["fcos"].class_tower.convs[0].weight
    weight.data = weight.data.transpose(2, 3).contiguous()
    features = [torch.from_numpy(given[f"features/{i}"]).permute(0, 3, 1, 2) for i in range(len(INPUTS))]
    with torch.no_grad():
        outputs = forward(model.eval(), features)
    wrong = {f"outputs/{name}/{i}": x.permute(0, 2, 3, 1).numpy() for name, maps in outputs.items() for i, x in enumerate(maps)}
    assert error(wrong, ours, "outputs") > 1e5 * TOLERANCE


def test_shapes_are_those_of_the_levels_and_distances_are_not_negative(ours):
    for i, size in enumerate(SIZES):
        assert ours[f"outputs/classes/{i}"].shape == (2, *size, CLASSES) and ours[f"outputs/centerness/{i}"].shape == (2, *size, 1)
        assert ours[f"outputs/boxes/{i}"].shape == (2, *size, 4) and (ours[f"outputs/boxes/{i}"] >= 0).all()


def test_a_new_head_finds_each_class_unlikely_and_boxes_of_a_stride():
    head = FCOSPredictor(8, 3, 1, Norm()).eval()
    outputs = head([torch.randn(1, 8, 16, 16)])
    assert torch.sigmoid(outputs["classes"][0]).mean().item() == pytest.approx(0.01, abs=0.005)
    assert outputs["boxes"][0].mean().item() == pytest.approx(1, abs=0.3) and (outputs["boxes"][0] > 0).float().mean() > 0.99


def test_levels_keep_statistics_of_their_own():
    head = FCOSPredictor(8, 3, 2, Norm(1e-5, 1.0), depth=1)
    quiet, loud = torch.randn(2, 8, 8, 8), 10 * torch.randn(2, 8, 4, 4)
    head.train()([quiet, loud])
    first, second = head.class_tower.norms[0]
    assert second.running_var.mean() > 20 * first.running_var.mean()


def test_upsampling_doubles_pixels_and_crops_odd_sides():
    x = torch.arange(6.0).reshape(1, 1, 2, 3)
    assert upsample(x, torch.zeros(1, 1, 3, 5))[0, 0].tolist() == [[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [3, 3, 4, 4, 5]]


def test_features_that_are_not_half_as_fine_are_refused():
    pyramid = FeaturePyramid((4, 4), 8, Norm())
    with pytest.raises(ValueError, match=r"half as fine as the one before, found height and width \(6, 6\) after \(6, 6\)"):
        pyramid([torch.zeros(1, 4, 6, 6), torch.zeros(1, 4, 6, 6)])
