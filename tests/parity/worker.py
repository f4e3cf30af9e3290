"""Everything that is measured in Keras, on the one back end that a process has: ``python worker.py OUT.npz [full]``."""

from __future__ import annotations

import functools
import json
import math
import sys
import tempfile
import time
import traceback
from pathlib import Path

import keras
import numpy as np
from keras import ops

from axialzoo.keras import AxialAttention, AxialBackbone, Preprocess, blocks, build, load_tensors, norm, to_tensors
from axialzoo.keras.weights import variables
from axialzoo.spec import Norm, adapt, entry
from axialzoo.train.keras_loop import decay_by_role
from tests.parity import common
from tests.parity.common import CASES, DECAYING, DEEPLAB2, DEEPLAB2_FULL, PLANTED, TRAINED, Case

BACKEND = keras.backend.backend()


def model_of(spec, dtype: str, tensors=None, **kwargs) -> keras.Model:
    model = build(spec, dtype=dtype, **kwargs)
    load_tensors(model, common.tensors(spec, "float64" if dtype == "float64" else "float32") if tensors is None else tensors)
    return model


def last(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def numpy(x) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(x))


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
    return [numpy(one) for one in y] if isinstance(y, (list, tuple)) else numpy(joined(y))


def joined(y):
    """The output, or all maps of a head together in the order of their names: (N, H, W, C); of levels, all locations one after
    another: (N, L, C).
    """
    if not isinstance(y, dict):
        return y

    def rows(x):
        return ops.reshape(x, (ops.shape(x)[0], -1, x.shape[-1]))

    maps = {name: ops.concatenate([rows(level) for level in x], axis=1) if isinstance(x, list) else x for name, x in y.items()}
    return ops.concatenate([maps[name] for name in sorted(maps)], axis=-1)


def loss_of(y, target):
    y = joined(y)
    return ops.sum(ops.square(y - target)) / y.shape[0]


def step(model: keras.Model, optimizer=None):
    """A function (images, targets) -> gradients, which also applies them where there is an optimizer."""
    trainable, rest = model.trainable_variables, model.non_trainable_variables
    if optimizer is not None:
        optimizer.build(trainable)
    if BACKEND == "jax":
        import jax

        @jax.jit
        def compiled(t, n, o, x, target):
            def loss(t, n):
                y, n = model.stateless_call(t, n, x, training=True)
                return loss_of(y, target), n

            (_, n), gradients = jax.value_and_grad(loss, has_aux=True)(t, n)
            if optimizer is not None:
                t, o = optimizer.stateless_apply(o, gradients, t)
            return t, n, o, gradients

        def run(x, target):
            state = [v.value for v in trainable], [v.value for v in rest], [v.value for v in optimizer.variables] if optimizer else []
            *state, gradients = compiled(*state, x, target)
            for group, values in zip((trainable, rest, optimizer.variables if optimizer else []), state):
                for variable, value in zip(group, values):
                    variable.assign(value)
            return gradients

    elif BACKEND == "torch":
        import torch

        def run(x, target):
            model.zero_grad()
            loss_of(model(torch.from_numpy(x), training=True), torch.from_numpy(target)).backward()
            gradients = [v.value.grad for v in trainable]
            if optimizer is not None:
                with torch.no_grad():
                    optimizer.apply(gradients, trainable)
            return gradients

    else:
        import tensorflow as tf

        def run(x, target):
            with tf.GradientTape() as tape:
                loss = loss_of(model(tf.constant(x), training=True), tf.constant(target))
            gradients = tape.gradient(loss, [v.value for v in trainable])
            if optimizer is not None:
                optimizer.apply(gradients, trainable)
            return gradients

    return run


def canonical(model: keras.Model, gradients) -> dict[str, np.ndarray]:
    """Gradients by canonical name, in PyTorch's layout."""
    by_id = {id(variable): gradient for variable, gradient in zip(model.trainable_variables, gradients)}
    found = {}
    for parameter, variable in variables(model):
        if parameter.trainable:
            array, order = numpy(by_id[id(variable)]), parameter.keras_order
            found[parameter.name] = array if order is None else array.transpose(np.argsort(order))
    return found


def check_forward(put, name: str, case: Case) -> None:
    for dtype in case.dtypes:
        model = model_of(case.spec, dtype)
        put(f"forward/{name}/{dtype}", forward(model, last(case.images(dtype))))


def check_gradients(put, name: str, case: Case) -> None:
    for dtype in case.dtypes:
        model = model_of(case.spec, dtype, common.tensors(case.spec, dtype, last_gamma=0.1))
        found = canonical(model, step(model)(last(case.images(dtype)), case.targets(dtype)))
        for parameter, gradient in found.items():
            put(f"gradients/{name}/{dtype}/{parameter}", gradient)


def check_training(put) -> None:
    for network, case in TRAINED.items():
        optimizers = {
            "sgd": keras.optimizers.SGD(common.RATE, common.MOMENTUM),
            "adamw": keras.optimizers.AdamW(common.RATE / 8, common.DECAY, *common.BETAS, epsilon=common.EPSILON),
        }
        for name, optimizer in optimizers.items():
            put_trained(put, f"training/{network}/{name}", case, optimizer)


def check_decay(put) -> None:
    for network, case in DECAYING.items():
        optimizers = {
            "sgd": keras.optimizers.SGD(common.RATE, common.MOMENTUM, weight_decay=common.DECAY),
            "adamw": keras.optimizers.AdamW(common.RATE / 8, common.DECAY, *common.BETAS, epsilon=common.EPSILON),
        }
        for name, optimizer in optimizers.items():
            put_trained(put, f"decay/{network}/{name}", case, optimizer, by_role=True)


def put_trained(put, key: str, case: Case, optimizer, by_role: bool = False) -> None:
    """Every tensor after the steps; decay by role, or of everything."""
    model = model_of(case.spec, "float64", common.tensors(case.spec, last_gamma=0.1))
    if by_role:
        decay_by_role(optimizer, model)
    run = step(model, optimizer)
    for index in range(common.STEPS):
        run(last(case.images("float64", 8, index)), case.targets("float64", 8, index))
    for parameter, value in to_tensors(model).items():
        put(f"{key}/{parameter}", value)


def check_planted(put) -> None:
    """Outputs in evaluation, and moving statistics after one call in training, right and with one error each."""
    case, x = PLANTED, last(PLANTED.images("float64"))
    right = common.tensors(case.spec)

    def measure(name: str, tensors=right, spec=case.spec, change=None) -> None:
        model = model_of(spec, "float64", tensors)
        if change is not None:
            change(model)
        put(f"planted/{name}/output", forward(model, x))
        forward(model, x, training=True)
        for parameter, value in to_tensors(model).items():
            if "running_" in parameter:
                put(f"planted/{name}/after/{parameter}", value)

    def changed(ending: str, change):
        return {name: change(array) if name.endswith(ending) else array for name, array in right.items()}

    def swap(model):
        block = model.get_layer("stages.0.blocks.0")
        block.height.axis, block.width.axis = 1, 0

    def with_norm(**norm_values):
        from dataclasses import replace

        return replace(case.spec, backbone=replace(case.spec.backbone, norm=replace(Norm(), **norm_values)))

    measure("right")
    measure("transposed_kernel", changed("spatial1.conv.weight", lambda array: array.swapaxes(2, 3)))
    measure("transposed_projection", changed("width.qkv.weight", lambda array: array.T.reshape(array.shape)))
    measure("reversed_position_index", changed("_position", lambda array: array[::-1]))
    measure("swapped_axes", change=swap)
    measure("wrong_epsilon", spec=with_norm(epsilon=1e-3))
    measure("wrong_momentum", spec=with_norm(momentum=0.9))
    unbiased = norm.unbiased
    norm.unbiased = lambda variance, n: variance
    measure("biased_variance")
    norm.unbiased = unbiased


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


def flat_layers(model):
    return [one for layer in model.layers[1:] for one in layer._flatten_layers()]


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
            gradients = canonical(model, step(model)(x, np.ones((4, spec.num_classes), "float32")))
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


def check_golden(put) -> None:
    from tests.golden import reference

    model = model_of(reference.network_spec(), "float32", reference.network_tensors())
    put("golden/network/logits", forward(model, last(reference.network_input())))
    for case in reference.layer_cases():
        if case.kind == "attention":
            layer = AxialAttention(case.inputs, case.attention, Norm(), case.axis, name="l")
        else:
            layer = blocks.ResidualBlock(case.inputs, case.block, case.model.backbone, name="l")
        images = keras.Input((None, None, case.inputs))
        prefix = "stages.0.blocks.0." + ("height." if case.kind == "attention" else "")
        check_layer(put, f"golden/{case.name}", case, keras.Model(images, layer(images)), prefix)


def check_layer(put, name: str, case, model: keras.Model, prefix: str) -> None:
    """Outputs in either mode, then moving statistics, of a layer called ``l`` or of several, given `case.tensors`.

    Args:
        prefix: What the names in `case.tensors` leave out.
    """
    roles = {p.name.removeprefix(prefix): p for p in common.parameters(case.model) if p.name.startswith(prefix)}
    by_path = {variable.path.removeprefix("l/").replace("/", "."): variable for variable in model.weights}
    assert len(by_path) == len(case.tensors)
    for tensor, array in case.tensors.items():
        order = roles[tensor].keras_order
        by_path[roles[tensor].keras_name.removeprefix(prefix)].assign(array if order is None else array.transpose(order))
    for mode in (False, True):
        put(f"{name}/{'train' if mode else 'eval'}", forward(model, last(case.x), mode).transpose(0, 3, 1, 2))
    for tensor in case.after:
        put(f"{name}/after/{tensor}", numpy(by_path[roles[tensor].keras_name.removeprefix(prefix)]))


def check_deeplab2_layers(put, full: bool) -> None:
    from tests.golden import deeplab2

    for case in deeplab2.layer_cases():
        if (case.name in common.DEEPLAB2_LAYERS) == full:
            continue
        x = images = keras.Input((None, None, case.inputs))
        backbone, conv = case.model.backbone, case.model.backbone.stem.convs
        if case.kind == "block":
            x = blocks.ResidualBlock(case.inputs, case.block, backbone, name="l")(x)
        elif case.kind == "conv":
            layer = blocks.ConvNorm(case.inputs, conv[0].channels, conv[0].kernel, backbone.norm, case.stride, case.dilation, name="l")
            x = ops.relu(layer(x))
        elif case.kind == "attention":
            x = AxialAttention(case.inputs, case.attention, backbone.norm, 0, name="l")(x)
        else:
            x = AxialAttention(case.inputs, case.attention, backbone.norm, 0, name="height")(x)[:, :: case.stride]
            x = AxialAttention(case.attention.value_channels, case.attention, backbone.norm, 1, name="width")(x)[:, :, :: case.stride]
        check_layer(put, f"deeplab2/{case.name}", case, keras.Model(images, x), deeplab2.ROOTS[case.kind][1])


def check_deeplab2(put, file: str) -> None:
    from tests.golden import deeplab2

    case = deeplab2.NETWORKS[file]
    model = build(case.spec, features_only=True, dtype="float32")
    load_tensors(model, case.tensors)
    put(f"deeplab2/{file}", case.error([x.transpose(0, 3, 1, 2) for x in forward(model, last(case.x))]))
    reversed_tables = {name: array[::-1] if name.endswith("key_position") else array for name, array in case.tensors.items()}
    load_tensors(model, reversed_tables)
    put(f"deeplab2/{file}/planted", case.error([x.transpose(0, 3, 1, 2) for x in forward(model, last(case.x))]))


def check_panoptic_golden(put) -> None:
    """deeplab2's heads, right and with one error each."""
    from axialzoo.keras.heads import decoder
    from tests.golden import panoptic

    model = model_of(panoptic.SPEC, "float32", panoptic.tensors())
    x = ops.convert_to_tensor(last(panoptic.images()))

    def errors() -> list[float]:
        found = panoptic.errors({name: numpy(y).transpose(0, 3, 1, 2) for name, y in model(x).items()})
        return [found["semantic"], found["center"], found["offset"]]

    put("panoptic/right", errors())
    resize, concatenate = decoder.resize, decoder.ops.concatenate
    decoder.resize = lambda x, height, width: ops.image.resize(x, (height, width), data_format="channels_last")
    put("panoptic/corners_not_aligned", errors())
    decoder.resize = resize
    decoder.ops.concatenate = lambda parts, axis: concatenate(parts[::-1], axis=axis)
    put("panoptic/skips_first", errors())
    decoder.ops.concatenate = concatenate


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


def main(out: str, full: bool) -> None:
    found: dict[str, np.ndarray] = {}

    def put(name: str, value) -> None:
        found[name] = np.asarray(value)

    def timed(name: str, function, *args) -> None:
        start = time.perf_counter()
        try:
            function(put, *args)
        except Exception:
            found[f"error/{name}"] = np.asarray(traceback.format_exc())  # which the tests of it show; the others go on
            traceback.print_exc()
        found[f"seconds/{name}"] = np.asarray(time.perf_counter() - start)
        print(f"{name}: {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)

    if not full:
        timed("planted", check_planted)
        with tempfile.TemporaryDirectory() as folder:
            timed("models", check_models, Path(folder))
            timed("decoder", check_decoder, Path(folder))
            timed("panoptic", check_panoptic, Path(folder))
        timed("golden", check_golden)
        timed("panoptic/golden", check_panoptic_golden)
    timed("deeplab2/layers", check_deeplab2_layers, full)
    for file in DEEPLAB2_FULL if full else DEEPLAB2:
        timed(f"deeplab2/{file}", check_deeplab2, file)
    for name, case in CASES.items():
        if case.full == full:
            timed(f"forward/{name}", check_forward, name, case)
            if case.gradients:
                timed(f"gradients/{name}", check_gradients, name, case)
    for name in common.SYMBOLIC if full else ():
        timed(f"symbolic/{name}", check_symbolic, name)
    if not full:
        # Keras's optimizers, unlike our layers, use operations that make float32 of float64 on JAX and PyTorch.
        keras.src.backend.common.dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
        timed("training", check_training)
        timed("decay", check_decay)
    assert not any(math.isnan(float(np.sum(value))) for value in found.values() if value.dtype.kind == "f"), "not a number"
    np.savez(out, **found)


if __name__ == "__main__":
    main(sys.argv[1], "full" in sys.argv[2:])
