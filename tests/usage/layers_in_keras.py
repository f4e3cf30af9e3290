"""Sub-layers that a tool has changed, in a process of its own: ``python -m tests.usage.layers_in_keras FOLDER``; prints one JSON object."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from axialzoo.keras import create_model, optimize_for_inference, save_model, sublayers
from axialzoo.keras.attention import AxialAttention
from axialzoo.keras.attention2d import Attention2D
from axialzoo.keras.blocks import ConvNorm, ResidualBlock
from axialzoo.keras.heads.decoder import DepthwiseNorm
from axialzoo.spec import Attention, Norm, get_entry

BACKEND = keras.backend.backend()
ATTENTION = {"key_channels": 8, "value_channels": 16, "heads": 4, "max_length": 9}
CIFAR = get_entry("axial_resnet_cifar10_xs").spec.backbone
CHANNELS = 12
LAYERS: dict[str, Callable[[], Any]] = {  # every kind of layer that takes a kernel where its sub-layers allow it
    "height": lambda: AxialAttention(CHANNELS, Attention(**ATTENTION), Norm(), 0),
    "span": lambda: AxialAttention(CHANNELS, Attention(**ATTENTION, span=3), Norm(), 1),
    "one term": lambda: AxialAttention(CHANNELS, Attention(**ATTENTION, similarity=("content",), value=("content",)), Norm(), 1),
    "global": lambda: Attention2D(CHANNELS, Attention(**ATTENTION, kind="global"), Norm()),
    "window": lambda: Attention2D(CHANNELS, Attention(**ATTENTION, kind="window", span=3), Norm()),
    "1x1": lambda: ConvNorm(CHANNELS, 20, 1, Norm()),
    "1x1, stride 2": lambda: ConvNorm(CHANNELS, 20, 1, Norm(), 2),
    "3x3, stride 2": lambda: ConvNorm(CHANNELS, 20, 3, Norm(), 2),
    "depthwise": lambda: DepthwiseNorm(CHANNELS, 3, Norm()),
}
FOLDED = ("height", "1x1", "1x1, stride 2", "3x3, stride 2", "depthwise")
X = np.random.default_rng(3).standard_normal((2, 7, 6, CHANNELS)).astype("float32")
IMAGES = np.random.default_rng(4).standard_normal((2, 32, 32, 3)).astype("float32")


def built(make: Callable[[], Any]) -> Any:
    """A layer whose variables are away from their initial values; the same values each time."""
    layer = make()
    layer.build((None, None, None, CHANNELS))
    return randomise(layer)


def randomise(layer: Any) -> Any:
    random = np.random.default_rng(0)
    for variable in layer.weights:
        noise = random.standard_normal(variable.shape)
        if variable.path.endswith("moving_variance"):
            variable.assign(0.5 + np.abs(noise))
        elif variable.path.endswith("gamma"):
            variable.assign(1 + 0.3 * noise)
        elif "seed" not in variable.path:
            variable.assign(0.3 * noise)
    return layer


def leaves(layer: Any) -> dict[str, Any]:
    """The sub-layers with weights that hold no others, by path below `layer`."""
    inside = [item for item in layer._flatten_layers(include_self=False) if len(list(item._flatten_layers())) == 1 and item.weights]
    return {item.path.removeprefix(f"{layer.path}/"): item for item in inside}


def run(layer: Any, x: np.ndarray, training: bool) -> dict[str, np.ndarray]:
    """Output and moving statistics of one call."""
    y = layer(keras.ops.convert_to_tensor(x), training=training)
    state = {variable.path.rpartition("/")[0].rpartition("/")[2] + "/" + variable.name: variable for variable in layer.weights}
    moving = {name: variable for name, variable in state.items() if "moving" in name}
    return {name: np.array(keras.ops.convert_to_numpy(item), np.float64) for name, item in {"output": y, **moving}.items()}


def apart(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    assert one.keys() == other.keys()
    return max(float(np.abs(one[name] - other[name]).max() / max(1.0, np.abs(other[name]).max())) for name in other)


def distance(x: Any, y: Any) -> float:
    x, y = (np.asarray(keras.ops.convert_to_numpy(item), np.float64) for item in (x, y))
    return float(np.abs(x - y).max() / np.abs(y).max())


@contextmanager
def counted(layer: Any, how: str) -> Iterator[list[int]]:
    """Counts calls of `layer`: of a subclass of its class, of its ``call`` replaced, or by PyTorch's hook."""
    calls: list[int] = []
    if how == "subclass":

        class Counted(type(layer)):
            def call(self, *args, **kwargs):
                calls.append(1)
                return super().call(*args, **kwargs)

        layer.__class__ = Counted
    elif how == "patched":
        original = layer.call

        def call(*args, **kwargs):
            calls.append(1)
            return original(*args, **kwargs)

        layer.call = call
    else:
        layer.register_forward_hook(lambda *_: calls.append(1))
    yield calls


def hooks() -> dict[str, Any]:
    """For each layer, sub-layer, mode and way to look in: calls of the sub-layer, how far the results move, and what is said."""
    actual = {}
    for name, make in LAYERS.items():
        for training in (False, True):
            expected = run(built(make), X, training)
            for sub in leaves(built(make)):
                for how in ("subclass", "patched", *(("hook",) if BACKEND == "torch" else ())):
                    layer = built(make)
                    with counted(leaves(layer)[sub], how) as calls, warnings.catch_warnings(record=True) as caught:
                        warnings.simplefilter("always")
                        moved = apart(run(layer, X, training), expected)
                        run(layer, X, training)
                    texts = said(caught)
                    actual[f"{name}: {sub}, {how}, training={training}"] = [len(calls), moved, texts]
    return actual


def folded() -> dict[str, Any]:
    """Layers with folded norms, too, call a convolution or projection once if a tool looks into it."""
    actual = {}
    for name in FOLDED:
        layer = built(LAYERS[name])
        layer.fold()
        layer.trainable = False
        expected = run(layer, X, False)["output"]
        sub = "qkv" if name == "height" else "conv"
        with counted(getattr(layer, sub), "patched") as calls, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            moved = distance(run(layer, X, False)["output"], expected)
        actual[name] = [len(calls), moved, said(caught)]
    return actual


def whole_model() -> dict[str, Any]:
    """Number of calls of each layer with weights in one call of a model: every count that there is, in evaluation and in training."""
    counts = {}
    for training in (False, True):
        model, looked_into = create_model("axial_resnet_cifar10_xs"), []
        for layer in leaves(model).values():
            context = counted(layer, "subclass")
            looked_into.append(context.__enter__())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model(IMAGES, training=training)
        counts[str(training)] = sorted({len(calls) for calls in looked_into})
    return counts


def gradients(layer: Any, x: np.ndarray) -> list[np.ndarray]:
    """Gradients of the sum of squares of the output in training, by the trainable variables."""
    if BACKEND == "torch":
        import torch

        loss = layer(keras.ops.convert_to_tensor(x), training=True).square().sum()
        grads = torch.autograd.grad(loss, [variable.value for variable in layer.trainable_variables], materialize_grads=True)
    elif BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(tf.convert_to_tensor(x), training=True) ** 2)
        grads = tape.gradient(loss, [variable.value for variable in layer.trainable_variables], unconnected_gradients="zero")
    else:
        import jax

        rest = [variable.value for variable in layer.non_trainable_variables]

        def loss_of(values):
            return (layer.stateless_call(values, rest, x, training=True)[0] ** 2).sum()

        grads = jax.jit(jax.grad(loss_of))([variable.value for variable in layer.trainable_variables])
    return [np.asarray(keras.ops.convert_to_numpy(grad)) for grad in grads]


def block() -> ResidualBlock:
    """An axial block with a stride, a shortcut and a squeeze-and-excite gate's worth of convolutions."""
    layer = ResidualBlock(CHANNELS, CIFAR.stages[1].blocks[0], CIFAR)
    layer.build((None, None, None, CHANNELS))
    return randomise(layer)


def lora() -> dict[str, Any]:
    """Adapters of low rank on every layer of a block that takes one."""
    layer, random = block(), np.random.default_rng(5)
    adapted = {name: item for name, item in leaves(layer).items() if hasattr(item, "enable_lora")}
    before = run(layer, X, False)["output"]
    for item in adapted.values():
        item.enable_lora(2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        unchanged = distance(run(layer, X, False)["output"], before)
        for item in adapted.values():
            item.lora_kernel_b.assign(0.1 * random.standard_normal(item.lora_kernel_b.shape))
        y = run(layer, X, False)["output"]
        grads = gradients(layer, X)
    moved = {variable.path: float(np.abs(grad).max()) for variable, grad in zip(layer.trainable_variables, grads, strict=True)}
    merged = block()
    for name, item in leaves(merged).items():
        if name in adapted:
            item.kernel.assign(keras.ops.convert_to_numpy(adapted[name].kernel))
    return {
        "adapted": sorted(adapted),
        "unchanged": unchanged,
        "moved": distance(y, before),
        "gradients": {path: size for path, size in moved.items() if "lora" in path},
        "merged": distance(run(merged, X, False)["output"], y),
        "said": said(caught),
    }


def fitted_lora() -> dict[str, Any]:
    """A few steps of `fit` of a model whose projections and convolutions have adapters, and its file, in which they are merged."""
    keras.utils.set_random_seed(0)
    model = create_model("axial_resnet_cifar10_xs", num_classes=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for flatten_layer in model._flatten_layers():
            if hasattr(flatten_layer, "enable_lora") and flatten_layer.built:
                flatten_layer.enable_lora(2)
        adapters = {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.weights if "lora" in variable.path}
        model.compile(keras.optimizers.SGD(0.05), jit_compile=False if BACKEND == "tensorflow" else "auto")
        model.fit(IMAGES, np.array([0, 2]), epochs=5, verbose=0)  # blocks begin as identities, and adapters at zero
        still = [path for path, value in adapters.items() if np.array_equal(keras.ops.convert_to_numpy(variable_of(model, path)), value)]
    return {"adapters": len(adapters), "still": still}


def variable_of(model: keras.Model, path: str) -> Any:
    return next(variable for variable in model.weights if variable.path == path)


def quantized(folder: Path) -> dict[str, Any]:
    """A model whose projections and classifier are of int8."""
    model = create_model("axial_resnet_cifar10_xs", pretrained=True)
    before = model(IMAGES, training=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.quantize("int8")
        after = model(IMAGES, training=False)
        texts = said(caught)
        model(IMAGES, training=False)
        again = len(said(caught)) - len(texts)
    names = [layer.path for layer in model._flatten_layers() if layer.quantization_mode == "int8"]
    model.save(folder / "quantized.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = distance(keras.saving.load_model(folder / "quantized.keras")(IMAGES, training=False), after)
    projection = next(layer for layer in model._flatten_layers() if (layer.path or "").endswith("height/qkv"))
    projection.kernel_scale.assign(2 * keras.ops.convert_to_numpy(projection.kernel_scale))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stale = distance(model(IMAGES, training=False), after)
    return {
        "names": names, "moved": distance(after, before), "stale": stale, "said": texts, "said again": again,
        "optimised": refused(lambda: optimize_for_inference(model)),
        "checkpoint": refused(lambda: save_model(model, folder / "quantized")),
        "loaded": loaded,
    }  # fmt: skip


def refused(function: Callable[[], Any]) -> str:
    try:
        function()
    except ValueError as error:
        return str(error)
    return ""


def frozen() -> dict[str, Any]:
    """Norms that are not trainable: they keep their moving statistics, and training computes with those; nothing is said."""
    actual = {}
    for name, make in LAYERS.items():
        for sub in (item for item in leaves(built(make)) if "norm" in item):
            layer = built(make)
            norm = leaves(layer)[sub]
            norm.trainable = False
            before = keras.ops.convert_to_numpy(norm.moving_mean).copy()
            with warnings.catch_warnings():
                warnings.filterwarnings("error", message=".*is slower")
                run(layer, X, True)
            remaining = bool(np.array_equal(before, keras.ops.convert_to_numpy(norm.moving_mean)))
            others = [item for key, item in leaves(layer).items() if "norm" in key and item is not norm]
            sizes = [float(np.abs(grad).max()) for grad in gradients(layer, X)]
            actual[f"{name}: {sub}"] = [remaining, all(item.trainable for item in others), len(sizes) - sizes.count(0.0)]
    return actual


def frozen_outputs() -> dict[str, float]:
    """Difference between training with every norm frozen and evaluation."""
    actual = {}
    for name, make in LAYERS.items():
        layer = built(make)
        for sub, item in leaves(layer).items():
            if "norm" in sub:
                item.trainable = False
        actual[name] = distance(run(layer, X, True)["output"], run(layer, X, False)["output"])
    return actual


def foreign() -> dict[str, Any]:
    """Keras's own batch norm, which takes no residual, in the place of ours: the same numbers in evaluation."""
    actual = {}
    for name in ("height", "global", "1x1", "3x3, stride 2", "depthwise"):
        for sub in (item for item in leaves(built(LAYERS[name])) if "norm" in item):
            layer = built(LAYERS[name])
            expected, norm = run(layer, X, False)["output"], leaves(layer)[sub]
            other = keras.layers.BatchNormalization(epsilon=norm.norm.epsilon, name=norm.name)
            other.build((None, None, None, norm.channels))
            other.set_weights(norm.get_weights())
            layer._tracker.unlock()
            setattr(layer, sub, other)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                actual[f"{name}: {sub}"] = [distance(run(layer, X, False)["output"], expected), said(caught)]
                run(layer, X, True)
    return actual


def patched_class() -> list[int]:
    """Calls of a projection whose class was changed for all, and calls once it was changed back."""
    layer, calls = built(LAYERS["height"]), []
    kind = type(layer.qkv)
    original = kind.call

    def call(self, *args, **kwargs):
        calls.append(1)
        return original(self, *args, **kwargs)

    kind.call = call
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run(layer, X, True)
    finally:
        kind.call = original
    return [len(calls), len(calls) if run(layer, X, True) else -1]


def said(caught: list[warnings.WarningMessage]) -> list[str]:
    """The warnings of this package; of Keras's own ones there are many."""
    return [str(item.message) for item in caught if "is slower" in str(item.message)]


def unchanged() -> list[str]:
    """Warnings of unchanged layers: none."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for make in LAYERS.values():
            for training in (False, True):
                run(built(make), X, training)
    return said(caught)


def planted() -> dict[str, int]:
    """Calls of sub-layers that are looked into, where the check for such is left out."""
    honest, calls_of = sublayers.obstacle, {}
    sublayers.obstacle = lambda *_: None
    try:
        for name, sub in (("height", "qkv"), ("height", "norm_similarity"), ("1x1", "conv")):
            layer = built(LAYERS[name])
            with counted(leaves(layer)[sub], "patched") as calls:
                run(layer, X, True)
            calls_of[f"{name}: {sub}"] = len(calls)
    finally:
        sublayers.obstacle = honest
    return calls_of


SECTIONS: dict[str, Callable[..., Any]] = {
    "unchanged": unchanged, "hooks": hooks, "folded": folded, "model": whole_model, "lora": lora, "fit": fitted_lora,
    "quantized": quantized,
    "frozen": frozen, "frozen outputs": frozen_outputs, "foreign": foreign, "class": patched_class, "planted": planted,
}  # fmt: skip


def main(folder: Path, *names: str) -> None:
    print(json.dumps({name: SECTIONS[name](folder) if name == "quantized" else SECTIONS[name]() for name in names or SECTIONS}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
