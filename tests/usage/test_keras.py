"""Keras as its users use it: losses, heads, pictures, mixed precision, fine-tuning."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from PIL import Image

from axialzoo.checkpoint import load_checkpoint
from axialzoo.spec import Preprocessing
from tests.usage.made import WRONG, kinds, stripes

pytestmark = pytest.mark.backends("tensorflow", full=("jax", "torch"))
REFUSED = {
    "string": lambda losses: "sparse_categorical_crossentropy",
    "class name": lambda losses: "SparseCategoricalCrossentropy",
    "binary": lambda losses: "binary_crossentropy",
    "function": lambda losses: losses.sparse_categorical_crossentropy,
    "object": lambda losses: losses.SparseCategoricalCrossentropy(),
    "renamed object": lambda losses: losses.CategoricalCrossentropy(name="mine"),
    "class": lambda losses: losses.SparseCategoricalCrossentropy,
    "list": lambda losses: ["sparse_categorical_crossentropy"],
    "dictionary": lambda losses: {"fc": losses.CategoricalCrossentropy()},
    "focal": lambda losses: losses.CategoricalFocalCrossentropy(),
    "focal string": lambda losses: "binary_focal_crossentropy",
}
ADVICE = {"string": "SparseCategoricalCrossentropy", "dictionary": "CategoricalCrossentropy"}
TAKEN = {
    "object": lambda losses: losses.SparseCategoricalCrossentropy(from_logits=True),
    "mean squared": lambda losses: "mse",
    "none": lambda losses: None,
    "own": lambda losses: lambda y, x: x.sum(),
    "list": lambda losses: [losses.CategoricalCrossentropy(from_logits=True)],
    "focal": lambda losses: losses.CategoricalFocalCrossentropy(from_logits=True),
}


@pytest.fixture(scope="module")
def model():
    from axialzoo.keras import axial_resnet_cifar10_xs

    return axial_resnet_cifar10_xs(num_classes=3)


@pytest.fixture(scope="module")
def pretrained():
    from axialzoo.keras import axial_resnet_cifar10

    return axial_resnet_cifar10(pretrained=True)


@pytest.mark.parametrize("loss", REFUSED)
def test_losses_of_probabilities_are_refused_however_they_are_given(model, loss):
    import keras

    with pytest.raises(ValueError, match="gives logits") as refusal:
        model.compile("adam", REFUSED[loss](keras.losses))
    if loss in ADVICE:
        assert f"loss=keras.losses.{ADVICE[loss]}(from_logits=True)" in str(refusal.value)


@pytest.mark.parametrize("loss", TAKEN)
def test_losses_of_logits_are_taken(model, loss):
    import keras

    model.compile("adam", TAKEN[loss](keras.losses))


def test_one_hot_targets_name_the_loss_that_takes_them(model):
    import keras

    x, y = stripes(4)
    x, y = keras.ops.convert_to_tensor(x[:, :32, :32].astype("float32")), np.eye(3, dtype="float32")[y]
    model.compile("adam")
    with pytest.raises(ValueError, match=r"found targets of shape .*loss=keras.losses.CategoricalCrossentropy\(from_logits=True\)"):
        model.train_on_batch(x, y)
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    model.train_on_batch(x, y)


@pytest.mark.full
def test_fine_tuning_with_the_heads_own_loss_learns():
    """The accuracy, on new pictures, of the shipped weights with a new head."""
    import keras

    from axialzoo.keras import axial_resnet_cifar10

    keras.utils.set_random_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = axial_resnet_cifar10(pretrained=True, num_classes=2)
        x, y = stripes(192)
        model.compile(keras.optimizers.Adam(1e-3))
        model.fit(model.preprocess(x), y, batch_size=32, epochs=3, verbose=0)
        x, y = stripes(64, seed=1)
        assert model.evaluate(model.preprocess(x), y, verbose=0, return_dict=True)["accuracy"] > 0.9


@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16"])
def test_resetting_the_classifier_keeps_all_else(dtype):
    import keras

    from axialzoo.keras import axial_resnet_cifar10_xs, to_tensors

    model = axial_resnet_cifar10_xs(dtype=dtype)
    before, other = to_tensors(model), model.reset_classifier(3)
    after = to_tensors(other)
    assert all(np.array_equal(after[name], before[name]) for name in after if not name.startswith("head."))
    assert (other.num_classes, other.spec.num_classes, after["head.fc.weight"].shape) == (3, 3, (3, 64))
    outputs = keras.backend.standardize_dtype(other(np.zeros((1, 32, 32, 3), "float32")).dtype)
    assert outputs == ("float64" if dtype == "float64" else "float32")


def test_labels_go_with_the_classes(pretrained, tmp_path):
    from axialzoo.keras import axial_deeplab_nuclei_xs, save_model

    other = pretrained.reset_classifier(3)
    save_model(other, tmp_path / "three", labels=("a", "b", "c"))
    assert [len(pretrained.labels), len(other.labels), len(pretrained.reset_classifier(10).labels)] == [10, 0, 10]
    assert axial_deeplab_nuclei_xs().reset_classifier(5, things=(1,)).output["semantic"].shape[-1] == 5
    config = load_checkpoint(tmp_path / "three").config
    assert config.spec.num_classes == 3 and [label.name for label in config.labels] == ["a", "b", "c"]


def test_maps_are_float32_where_the_policy_is_mixed():
    import keras

    from axialzoo.keras import axial_deeplab_nuclei_xs

    maps = axial_deeplab_nuclei_xs(dtype="mixed_float16")(np.zeros((1, 32, 32, 3), "float32"))
    assert {keras.backend.standardize_dtype(item.dtype) for item in maps.values()} == {"float32"}


def test_models_that_are_no_longer_what_their_spec_says_are_not_saved(tmp_path):
    import keras

    from axialzoo.keras import axial_resnet_cifar10, load_tensors, save_model, to_tensors

    model = axial_resnet_cifar10()
    other = model.reset_classifier(3)
    cut = keras.Model(model.input, keras.layers.Dense(3)(model.get_layer("pool").output))
    with pytest.raises((ValueError, TypeError), match="spec"):
        save_model(cut, tmp_path / "cut")
    with pytest.raises((ValueError, TypeError), match="spec"):
        load_tensors(cut, to_tensors(other))
    model.spec = other.spec
    with pytest.raises((ValueError, TypeError), match="reset_classifier"):
        save_model(model, tmp_path / "changed")
    assert list(tmp_path.iterdir()) == []


def test_any_kind_of_picture_is_the_same_batch(pretrained, tmp_path):
    import keras

    from axialzoo.keras import Preprocess

    tensor, layer = keras.ops.convert_to_tensor(stripes(1)[0]), Preprocess(Preprocessing(size=(16, 20)), data_format="channels_first")
    expected = keras.ops.convert_to_numpy(pretrained.preprocess(tensor[0]))
    for name, picture in kinds(tmp_path / "a.png").items():
        batch = keras.ops.convert_to_numpy(pretrained.preprocess(picture))
        assert batch.shape == (1, 32, 32, 3) and abs(batch - expected).max() < 1e-6, name
    assert tuple(layer(Image.new("RGB", (50, 40))).shape) == (3, 16, 20)
    assert tuple(layer([stripes(1)[0][0]]).shape) == (1, 3, 16, 20)


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_picture_is_refused(pretrained, name):
    picture, message = WRONG[name]
    with pytest.raises((ValueError, TypeError)) as refusal:
        pretrained.preprocess(picture)
    assert message in str(refusal.value)
