"""Keras models are Keras's own: saved, sliced, fitted, mixed, laid out either way, in input pipelines."""

from __future__ import annotations

import numpy as np
import pytest

from axialzoo.image import preprocess
from axialzoo.spec import adapt, parameters
from tests.parity import common

SPEC = common.registered(common.XS)
DECODER = common.CASES["decoder"].spec
pytestmark = pytest.mark.backends(*common.BACKENDS)


def images(in_keras, batch: int, seed: int) -> np.ndarray:
    return in_keras.last(np.random.default_rng(seed).standard_normal((batch, 3, 33, 30)).astype("float32"))


@pytest.fixture(scope="module")
def x(in_keras) -> np.ndarray:
    return images(in_keras, 4, 3)


@pytest.fixture(scope="module")
def model(in_keras):
    return in_keras.model_of(SPEC, "float32")


@pytest.fixture(scope="module")
def y(in_keras, model, x) -> np.ndarray:
    return in_keras.forward(model, x)


def furthest(one, other) -> float:
    return float(abs(one - other).max())


def saved(in_keras, model, folder):
    """Load a saved model without custom objects."""
    model.save(folder / "model.keras")
    return in_keras.keras.saving.load_model(folder / "model.keras")


def assert_logits_alone_are_float32(in_keras, model, dtype: str) -> None:
    """Under a mixed policy the layer of the logits computes in float32, every other one in `dtype`."""
    dtypes = {layer.path: layer.compute_dtype for layer in in_keras.flat_layers(model)}
    wide = [path for path, compute_dtype in dtypes.items() if compute_dtype != dtype]
    assert wide and all(path.rpartition("/")[2] == "fc" and dtypes[path] == "float32" for path in wide), wide


def test_variable_paths_are_the_canonical_names(model):
    paths = [variable.path.replace("/", ".") for variable in model.weights]
    assert sorted(paths) == sorted(parameter.keras_name for parameter in parameters(SPEC))


def test_evaluation_repeats_itself(in_keras, model, x, y):
    assert np.array_equal(in_keras.forward(model, x), y)


def test_a_saved_model_loads_without_custom_objects(in_keras, model, x, y, tmp_path):
    loaded = saved(in_keras, model, tmp_path)
    assert np.array_equal(in_keras.forward(loaded, x), y)
    assert loaded.spec == SPEC and type(loaded) is type(model)


def test_a_sliced_model_loads_without_custom_objects(in_keras, model, x, tmp_path):
    part = in_keras.keras.Model(model.input, model.get_layer("stages.1.blocks.0").output)
    assert np.array_equal(in_keras.forward(saved(in_keras, part, tmp_path), x), in_keras.forward(part, x))


def test_channels_first_gives_the_same(in_keras, x, y, channels_first):
    first = in_keras.model_of(SPEC, "float32")
    features = in_keras.build(SPEC, features_only=True, input_size=(33, 30), dtype="float32")
    in_keras.keras.config.set_image_data_format("channels_last")
    assert furthest(in_keras.forward(first, x.transpose(0, 3, 1, 2)), y) <= 2e-6
    assert [*map(tuple, features.output_shape)] == [(None, 8, 33, 30), (None, 16, 17, 15), (None, 32, 17, 15), (None, 64, 9, 8)]


@pytest.mark.parametrize(("policy", "tolerance"), [("mixed_bfloat16", 0.05), ("mixed_float16", 0.01)])
def test_half_precision_is_near_float32(in_keras, x, y, policy, tolerance):
    mixed = in_keras.model_of(SPEC, policy)
    assert 0 < furthest(in_keras.forward(mixed, x).astype("float32"), y) / abs(y).max() <= tolerance
    assert {str(variable.dtype) for variable in mixed.weights} == {"float32"}
    assert_logits_alone_are_float32(in_keras, mixed, policy.removeprefix("mixed_"))


def test_features_have_the_shapes_that_feature_info_promises(in_keras, x):
    from axialzoo.keras import AxialBackbone

    backbone = AxialBackbone(adapt(SPEC, num_classes=0), dtype="float32")
    in_keras.load_tensors(backbone, {k: v for k, v in common.tensors(SPEC, "float32").items() if "head." not in k})
    assert len(backbone.feature_info) == 4
    for info, output in zip(backbone.feature_info, in_keras.forward(backbone, x), strict=True):
        height, width = (-(-side // info["reduction"]) for side in (33, 30))
        assert output.shape == (4, height, width, info["num_chs"])


@pytest.mark.backends("tensorflow", "torch", full=("jax",))
def test_a_stacked_decoder_is_saved_mixed_and_laid_out_as_any_layer(in_keras, tmp_path, channels_first):
    x = images(in_keras, 2, 4)
    first = in_keras.model_of(DECODER, "float32")
    in_keras.keras.config.set_image_data_format("channels_last")
    model, mixed = in_keras.model_of(DECODER, "float32"), in_keras.model_of(DECODER, "mixed_bfloat16")
    y, loaded, fuse = in_keras.forward(model, x), saved(in_keras, model, tmp_path), model.get_layer("neck.0.fuse")
    assert np.array_equal(in_keras.forward(loaded, x), y) and loaded.get_config() == model.get_config()
    assert type(fuse).from_config(fuse.get_config()).get_config() == fuse.get_config()
    assert 0 < furthest(in_keras.forward(mixed, x).astype("float32"), y) / abs(y).max() <= 0.05
    assert_logits_alone_are_float32(in_keras, mixed, "bfloat16")
    assert furthest(in_keras.forward(first, x.transpose(0, 3, 1, 2)), y) <= 2e-6


def test_a_pyramid_that_stops_early_keeps_the_whole_checkpoint(in_keras):
    x, tensors = images(in_keras, 2, 4), {k: v for k, v in common.tensors(DECODER, "float32").items() if "head." not in k}
    spec = adapt(DECODER, num_classes=0)
    pyramids = [in_keras.model_of(spec, "float32", tensors, features_only=True, out_indices=indices) for indices in ((0, 1), None)]
    short, whole = (in_keras.forward(pyramid, x) for pyramid in pyramids)
    assert max(furthest(item, other) for item, other in zip(short, whole)) <= 1e-6 and (len(short), len(whole)) == (2, 4)
    assert all(np.array_equal(array, tensors[name]) for name, array in in_keras.to_tensors(pyramids[0]).items())


@pytest.mark.backends("tensorflow", "torch", full=("jax",))
def test_drop_path_drops_whole_samples_in_training_only(in_keras, x, y):
    from axialzoo.keras import blocks

    dropping = in_keras.build(adapt(SPEC, drop_path=0.5), dtype="float32")
    in_keras.load_tensors(dropping, common.tensors(SPEC, "float32"))
    assert np.array_equal(in_keras.forward(dropping, x), y)
    assert furthest(*(in_keras.forward(dropping, x, training=True) for _ in range(2))) > 0
    ones = in_keras.ops.ones((400, 1, 1, 1))
    values = in_keras.numpy(blocks.drop_path(ones, 0.25, in_keras.keras.random.SeedGenerator(1)))
    assert np.allclose(np.unique(values), [0, 1 / 0.75]) and abs(values.mean() - 1) < 0.1


@pytest.mark.backends("tensorflow", "torch", full=("jax",))
def test_fit_trains_everything_and_evaluate_and_predict_agree(in_keras, x):
    model, labels = in_keras.model_of(SPEC, "float32"), np.arange(4)
    model.compile("sgd", in_keras.keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    before = {name: np.array(array) for name, array in in_keras.to_tensors(model).items()}
    history = model.fit(x, labels, batch_size=2, epochs=1, verbose=0)
    assert 0 < history.history["loss"][0] < 20
    after = in_keras.to_tensors(model)
    still = [name for name in before if np.array_equal(before[name], after[name])]
    assert all(name.endswith(common.WITHOUT_EFFECT) for name in still), still
    loss = model.evaluate(x, labels, batch_size=2, verbose=0)[0]
    predicted = model.predict(x, batch_size=2, verbose=0).astype("float64")
    shifted = predicted - predicted.max(1, keepdims=True)
    assert abs(loss - np.mean(np.log(np.exp(shifted).sum(1)) - shifted[labels, labels])) < 1e-4


@pytest.mark.backends("tensorflow", "torch", full=("jax",))
def test_recomputing_blocks_gives_the_same_gradients_and_moving_statistics(in_keras, x, backend):
    tensors = []
    for mode in (None, "list_of_layers", "full") if backend == "torch" else (None, "list_of_layers"):
        with in_keras.keras.RematScope(mode, layer_names=[f"stages.{i}.blocks.{j}" for i in range(3) for j in range(2)]):
            model = in_keras.model_of(SPEC, "float32")
            gradients = in_keras.canonical(model, in_keras.step(model)(x, np.ones((4, SPEC.num_classes), "float32"))[1])
        tensors.append({**in_keras.to_tensors(model), **gradients})
    for other in tensors[1:]:
        assert {name: furthest(other[name], value) for name, value in tensors[0].items() if furthest(other[name], value) > 1e-5} == {}


@pytest.mark.parametrize(("name", "how"), common.PREPROCESSING.items())
@pytest.mark.parametrize("where", ["eager", "pipeline"])
def test_preprocessing_layer_gives_the_numbers_of_the_image_module(in_keras, name, how, where):
    import tensorflow as tf

    from axialzoo.keras import Preprocess

    pictures, layer = np.random.default_rng(5).integers(0, 256, (3, 40, 50, 3), dtype="uint8"), Preprocess(how)
    if where == "eager":
        batch = in_keras.numpy(layer(pictures))
    else:
        batch = next(iter(tf.data.Dataset.from_tensor_slices(pictures).map(layer).batch(3))).numpy()
    expected = np.stack([preprocess(picture, how) for picture in pictures]).transpose(0, 2, 3, 1)
    assert np.abs(batch - expected).max() <= 1e-6
    assert Preprocess.from_config(layer.get_config()).spec == layer.spec
