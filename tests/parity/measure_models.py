"""What users of Keras rely on: numbers that are 0 or small where it holds."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
from keras import ops

from axialzoo.keras import AxialBackbone, Preprocess, blocks, build, load_tensors, to_tensors
from axialzoo.spec import adapt, entry
from tests.parity import common
from tests.parity.common import CASES
from tests.parity.in_keras import BACKEND, canonical, flat_layers, forward, joined, last, model_of, numpy, step


def check_models(put, folder: Path) -> None:
    """What users of Keras rely on; numbers that are 0 or small where it holds."""
    spec = common.registered(common.XS)
    x = last(np.random.default_rng(3).standard_normal((4, 3, 33, 30)).astype("float32"))
    model = model_of(spec, "float32")
    y = forward(model, x)
    put("models/repeat", abs(forward(model, x) - y).max())
    put("models/paths", np.array([variable.path for variable in model.weights]))
    model.save(folder / "whole.keras")
    back = keras.saving.load_model(folder / "whole.keras")
    put("models/round_trip", abs(forward(back, x) - y).max())
    put("models/round_trip_same_spec", back.spec == spec and type(back) is type(model))
    part = keras.Model(model.input, model.get_layer("stages.1.blocks.0").output)
    part.save(folder / "part.keras")
    back = keras.saving.load_model(folder / "part.keras")
    put("models/round_trip_sliced", abs(forward(back, x) - forward(part, x)).max())
    first = build(spec, dtype="float32")
    keras.config.set_image_data_format("channels_first")
    first = model_of(spec, "float32")
    features_first = build(spec, features_only=True, input_size=(33, 30), dtype="float32")
    keras.config.set_image_data_format("channels_last")
    put("models/channels_first", abs(forward(first, x.transpose(0, 3, 1, 2)) - y).max())
    put("models/channels_first_features", json.dumps(features_first.output_shape))
    for policy in ("mixed_bfloat16", "mixed_float16"):
        mixed = model_of(spec, policy)
        put(f"models/{policy}", abs(forward(mixed, x).astype("float32") - y).max() / abs(y).max())
        put(f"models/{policy}_dtypes", json.dumps(sorted({str(variable.dtype) for variable in mixed.weights})))
        put(f"models/{policy}_compute", json.dumps({one.path: one.compute_dtype for one in flat_layers(mixed)}))
    backbone = AxialBackbone(adapt(spec, num_classes=0), dtype="float32")
    load_tensors(backbone, {k: v for k, v in common.tensors(spec, "float32").items() if "head." not in k})
    for index, output in enumerate(forward(backbone, x)):
        put(f"models/features/{index}", output)
    put("models/feature_info", json.dumps(backbone.feature_info))
    dropping = build(adapt(spec, drop_path=0.5), dtype="float32")
    load_tensors(dropping, common.tensors(spec, "float32"))
    put("models/drop_path_off", abs(forward(dropping, x) - y).max())
    twice = [forward(dropping, x, training=True) for _ in range(2)]
    put("models/drop_path_on", abs(twice[0] - twice[1]).max())
    kept = blocks.drop_path(ops.ones((400, 1, 1, 1)), 0.25, keras.random.SeedGenerator(1))
    put("models/drop_path_values", np.unique(numpy(kept)))
    put("models/drop_path_mean", numpy(kept).mean())
    check_fit(put, spec, x)
    check_remat(put, spec, x)
    check_preprocessing(put)
    if BACKEND == "tensorflow":
        check_dynamic(put)


def check_decoder(put, folder: Path) -> None:
    """A model with a stacked decoder, used as any other; and a pyramid that stops before it."""
    spec = CASES["decoder"].spec
    x = last(np.random.default_rng(4).standard_normal((2, 3, 33, 30)).astype("float32"))
    model = model_of(spec, "float32")
    y = forward(model, x)
    model.save(folder / "decoder.keras")
    back = keras.saving.load_model(folder / "decoder.keras")
    put("decoder/round_trip", abs(forward(back, x) - y).max())
    put("decoder/round_trip_same_config", back.get_config() == model.get_config())
    mixed = model_of(spec, "mixed_bfloat16")
    put("decoder/mixed_bfloat16", abs(forward(mixed, x).astype("float32") - y).max() / abs(y).max())
    put("decoder/mixed_bfloat16_compute", json.dumps({one.path: one.compute_dtype for one in flat_layers(mixed)}))
    keras.config.set_image_data_format("channels_first")
    put("decoder/channels_first", abs(forward(model_of(spec, "float32"), x.transpose(0, 3, 1, 2)) - y).max())
    keras.config.set_image_data_format("channels_last")
    tensors = {name: array for name, array in common.tensors(spec, "float32").items() if "head." not in name}
    pyramids = [model_of(adapt(spec, num_classes=0), "float32", tensors, features_only=True, out_indices=at) for at in ((0, 1), None)]
    short, whole = (forward(pyramid, x) for pyramid in pyramids)
    put("decoder/pyramid", max(abs(one - other).max() for one, other in zip(short, whole)))
    put("decoder/pyramid_lengths", [len(short), len(whole)])
    put("decoder/pyramid_keeps", max(abs(array - tensors[name]).max() for name, array in to_tensors(pyramids[0]).items()))
    keras_layer = model.get_layer("neck.0.fuse")
    put("decoder/fuse_config", type(keras_layer).from_config(keras_layer.get_config()).get_config() == keras_layer.get_config())


def check_fit(put, spec, x) -> None:
    model = model_of(spec, "float32")
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    labels = np.arange(4)
    before = to_tensors(model)
    history = model.fit(x, labels, batch_size=2, epochs=1, verbose=0)
    put("models/fit_loss", history.history["loss"][0])
    after = to_tensors(model)
    put("models/fit_unchanged", json.dumps([name for name in before if np.array_equal(before[name], after[name])]))
    evaluated = model.evaluate(x, labels, batch_size=2, verbose=0)
    predicted = model.predict(x, batch_size=2, verbose=0).astype("float64")
    shifted = predicted - predicted.max(1, keepdims=True)
    put("models/evaluate", abs(evaluated[0] - np.mean(np.log(np.exp(shifted).sum(1)) - shifted[labels, labels])))


def check_remat(put, spec, x) -> None:
    """Gradients and moving statistics with every block recomputed."""
    found = []
    for mode in (None, "list_of_layers", "full") if BACKEND == "torch" else (None, "list_of_layers"):
        with keras.RematScope(mode, layer_names=[f"stages.{i}.blocks.{j}" for i in range(3) for j in range(2)]):
            model = model_of(spec, "float32")
            gradients = canonical(model, step(model)(x, np.ones((4, spec.num_classes), "float32"))[1])
        found.append({**to_tensors(model), **gradients})
    for other in found[1:]:
        put("models/remat", max(float(abs(other[name] - value).max()) for name, value in found[0].items()))


def check_preprocessing(put) -> None:
    import tensorflow as tf

    pictures = np.random.default_rng(5).integers(0, 256, (3, 40, 50, 3), dtype="uint8")
    for name, how in common.PREPROCESSING.items():
        layer = Preprocess(how)
        put(f"preprocessing/{name}/eager", numpy(layer(pictures)))
        data = tf.data.Dataset.from_tensor_slices(pictures).map(layer).batch(3)
        put(f"preprocessing/{name}/pipeline", next(iter(data)).numpy())
        back = Preprocess.from_config(layer.get_config())
        put(f"preprocessing/{name}/config", back.spec == layer.spec)


def check_dynamic(put) -> None:
    """Sizes that the graph does not know, shorter and longer than tables and windows."""
    import tensorflow as tf

    for name in common.DYNAMIC:
        case = CASES[name]
        for training in (False, True):
            model = model_of(case.spec, "float64")
            graph = tf.function(
                lambda x, model=model, training=training: model(x, training=training),
                input_signature=[tf.TensorSpec((None, None, None, case.spec.backbone.in_channels), tf.float64)],
            )
            for height, width in (case.size, (6, 60), (1, 3)) if not training else (case.size,):
                x = np.random.default_rng(height).standard_normal((2, height, width, case.spec.backbone.in_channels))
                wanted = forward(model_of(case.spec, "float64"), x, training)
                put(f"dynamic/{name}/{height}x{width}/{training}", abs(joined(graph(x)).numpy() - wanted).max() / abs(wanted).max())


def check_symbolic(put, name: str) -> None:
    """Shapes and variables of a model that is too large to run here; nothing is allocated."""
    with keras.StatelessScope():
        model = build(entry(name).spec, features_only=True, input_size=(65, 97), dtype="float32")
    put(f"symbolic/{name}/shapes", json.dumps(model.output_shape))
    put(f"symbolic/{name}/variables", json.dumps({variable.path.replace("/", "."): list(variable.shape) for variable in model.weights}))


def check_panoptic(put, folder: Path) -> None:
    """A model with maps, used as any other."""
    spec = CASES["panoptic"].spec
    x = last(np.random.default_rng(4).standard_normal((2, 3, 33, 30)).astype("float32"))
    model = model_of(spec, "float32")
    y = forward(model, x)
    model.save(folder / "panoptic.keras")
    back = keras.saving.load_model(folder / "panoptic.keras")
    put("panoptic/round_trip", abs(forward(back, x) - y).max())
    put("panoptic/round_trip_same_config", back.get_config() == model.get_config())
    parts = [model.get_layer(f"head.{name}") for name in ("semantic", "instance", "classes", "center", "offset")]
    put("panoptic/parts_same_config", all(type(one).from_config(one.get_config()).get_config() == one.get_config() for one in parts))
    put("panoptic/paths", np.array([variable.path for variable in model.weights]))
    mixed = model_of(spec, "mixed_bfloat16")
    put("panoptic/mixed", abs(forward(mixed, x).astype("float32") - y).max() / abs(y).max())
    put("panoptic/mixed_outputs", json.dumps(sorted({str(numpy(one).dtype) for one in mixed(x).values()})))
    keras.config.set_image_data_format("channels_first")
    first, mixed = model_of(spec, "float32"), model_of(spec, "mixed_bfloat16")
    keras.config.set_image_data_format("channels_last")
    maps, laid_out = model(x), first(x.transpose(0, 3, 1, 2))
    put("panoptic/channels_first", max(abs(numpy(laid_out[name]) - numpy(maps[name]).transpose(0, 3, 1, 2)).max() for name in maps))
    put("panoptic/channels_first_mixed", json.dumps(sorted({str(one.dtype) for one in mixed.output.values()})))
    again = model.reset_classifier(3)
    put("panoptic/reset", json.dumps([again.spec.head.num_classes, again.spec.head.things, again.output["semantic"].shape[-1]]))
    kept = to_tensors(again)
    put("panoptic/reset_keeps", sum(np.array_equal(kept[name], array) for name, array in to_tensors(model).items()) - len(kept))
    put("panoptic/pre_logits", numpy(model.forward_head(model.forward_features(x), pre_logits=True)["semantic"]).shape)
