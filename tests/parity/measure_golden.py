"""The authors' layers and networks in Keras."""

from __future__ import annotations

import keras
from keras import ops

from axialzoo.keras import AxialAttention, blocks, build, load_tensors
from axialzoo.spec import Norm
from tests.parity import common
from tests.parity.in_keras import forward, last, model_of, numpy


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
