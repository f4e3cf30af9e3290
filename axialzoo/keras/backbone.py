"""The feature extractor: a stem, stages of residual blocks, a neck."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from axialzoo.checkpoint import Config
from axialzoo.checkpoint.migrate import upgraded_spec
from axialzoo.keras.blocks import ACTIVATIONS, MaxPool
from axialzoo.keras.fused import beyond_jit
from axialzoo.keras.neck import fused_stage
from axialzoo.keras.norm import BatchNorm
from axialzoo.keras.stem import Stem
from axialzoo.keras.tokens import Tokens
from axialzoo.keras.transformer import through
from axialzoo.kernels import use_kernel
from axialzoo.spec import Backbone, Model, SpecError, Stage, from_dict, size_pair, to_dict


def residual_stage(x, memory, spec: Stage, inputs: int, backbone: Backbone, name: str, dtype):
    """A max pool where the spec has one, then blocks, each followed by its transformer, if any.

    Pixels (N, H, W, inputs) to (N, H / stride, W / stride, outputs), rounded up, and tokens (N, T, C), or None, to the same. Layers of the
    model itself, so that ``model.get_layer("stages.0.blocks.1")`` finds them.
    """
    if spec.pool:
        x = MaxPool(name=f"{name}.pool", dtype=dtype)(x)
    return through(spec.blocks, x, memory, inputs, backbone, name, dtype)


class Extractor(keras.Model):
    """What every network here has: a functional model of stem, stages and neck, and what is known of it.

    Args:
        spec: What it computes.
        input_size: A side or (height, width) in pixels that the inputs are fixed to; default any.
        data_format: ``"channels_last"`` or ``"channels_first"``, of images and outputs that are maps; default Keras's.
        dtype: Policy of every layer, such as ``"mixed_bfloat16"``; default Keras's.

    Attributes:
        spec: What it computes.
        config: Of the weights it was loaded from, or None.
        name: In the registry, or ``"custom"``.
        num_features: Channels of the last endpoint.
        feature_info: Of each endpoint: ``num_chs``, ``reduction``, ``module``.
    """

    def __init__(self, spec: Model, *, input_size=None, data_format=None, dtype=None, trainable=True, **kwargs):
        backbone = spec.backbone
        policy = keras.dtype_policies.get(dtype) if dtype is not None else keras.config.dtype_policy()
        data_format = keras.config.image_data_format() if data_format is None else data_format
        size = None if input_size is None else size_pair(input_size)
        images, x = image_input(backbone.in_channels, size, data_format, policy)
        features, memory = self._unactivated(x, spec, policy)
        super().__init__(images, self._outputs(features, memory, spec, data_format, policy), **kwargs)
        used = {id(layer) for layer in self.layers}
        endpoints = [*features, *([] if memory is None else [memory])]
        self.beyond = [layer for layer in keras.Model(images, endpoints).layers if id(layer) not in used]  # checkpoints hold them too
        self.spec: Model = spec
        self.config: Config | None = None
        self.input_size, self.data_format, self.dtype_policy = size, data_format, policy
        self.num_features = backbone.channels
        self.feature_info = backbone.feature_info()
        if not trainable:
            self.trainable = False

    def _unactivated(self, x, spec: Model, dtype) -> tuple[list, Any]:
        """The endpoints as blocks leave them, which activate their own input or have activated their sum; and the memory tokens."""
        backbone, images, memory = spec.backbone, x, None
        if backbone.memory is not None:
            memory = Tokens(backbone.memory.tokens, backbone.memory.channels, name="memory", dtype=dtype)(x)  # (N, T, C)
        x = Stem(backbone, name="stem", dtype=dtype)(x) if backbone.stem.convs else x
        features = [x] if backbone.stem_is_endpoint else []
        channels = backbone.stem_channels
        for index, stage in enumerate(backbone.stages):
            x, memory = residual_stage(x, memory, stage, channels, backbone, f"stages.{index}", dtype)
            channels = stage.channels
            features.append(x)
        outputs = list(features)
        for index, (fused, stage) in enumerate(zip(backbone.fusions(), backbone.neck)):
            x, memory = fused_stage(features, memory, images, fused, stage, backbone, f"neck.{index}", dtype)
            features.append(x)
            if stage.endpoint or index + 1 == len(backbone.neck):
                outputs.append(x)
        return outputs, memory

    def _activated(self, features: list, spec: Model, dtype) -> list:
        """Endpoints as :meth:`_unactivated` gives them, activated where they are not."""
        backbone = spec.backbone
        if not backbone.pre_activation:
            return features
        names = [f"{info['module']}.activation" for info in backbone.feature_info()]
        return [Activation(backbone.activation, name=name, dtype=dtype)(x) for name, x in zip(names, features)]

    def _outputs(self, features: list, memory: Any, spec: Model, data_format: str, dtype) -> Any:
        """What the model gives, from its endpoints, not activated, and its memory tokens."""
        raise NotImplementedError

    def _norms(self) -> list[BatchNorm]:
        return [layer for layer in self._flatten_layers(include_self=False) if isinstance(layer, BatchNorm)]

    @property
    def optimized(self) -> bool:
        """Whether :func:`axialzoo.keras.optimize_for_inference` made it: its variables are then not those of its spec."""
        return any(norm.folded for norm in self._norms())

    @property
    def supports_jit(self) -> bool:
        """Whether Keras may compile it unasked."""
        return self._supports_jit and not (self.optimized and beyond_jit())

    @supports_jit.setter
    def supports_jit(self, value: bool) -> None:  # by Keras
        self._supports_jit = value

    def save_weights(self, filepath, overwrite=True, **kwargs):
        check_trainable(self, "save_weights")  # a model that is not folded would read them without a word
        super().save_weights(filepath, overwrite, **kwargs)

    def export(self, filepath, *args, **kwargs):
        with use_kernel("plain"):  # what is exported runs where there is no kernel
            return super().export(filepath, *args, **kwargs)

    def rematerialized_call(self, layer_call, *args, **kwargs):
        return layer_call  # in a `keras.RematScope` the layers are computed again one by one: the whole at once would save nothing

    def get_config(self) -> dict:
        frozen = [layer.path for layer in self._flatten_layers(include_self=False) if not layer.trainable]
        return {
            "spec": to_dict(self.spec),
            "input_size": None if self.input_size is None else list(self.input_size),
            "data_format": self.data_format,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "name": self.name,
            "trainable": self.trainable,
            "frozen": frozen,  # by the layers' paths
            **({"folded": [norm.path for norm in self._norms() if norm.folded]} if self.optimized else {}),
            "checkpoint": None if self.config is None else replace(self.config, digest="").to_json(),  # training changes the digest
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects=None):
        dtype = config.get("dtype")
        dtype = keras.dtype_policies.deserialize(dtype) if isinstance(dtype, dict) else dtype
        config = {**config, "spec": from_dict(Model, upgraded_spec(config["spec"])), "dtype": dtype}
        checkpoint, frozen, folded = config.pop("checkpoint", None), set(config.pop("frozen", ())), set(config.pop("folded", ()))
        model = cls(**config)
        model.config = None if checkpoint is None else Config.from_json(checkpoint)
        for layer in model._flatten_layers(include_self=False) if frozen else ():
            layer.trainable = layer.path not in frozen  # a layer before those in it
        for norm in model._norms() if folded else ():
            norm.folded = norm.path in folded
        return model


@keras.saving.register_keras_serializable(package="axialzoo")
class AxialBackbone(Extractor):
    """Images to a pyramid of features; a functional model.

    Args:
        spec: What it computes; its head is left out.
        out_indices: Which endpoints, as timm counts them: 0 at stride 2 for the ImageNet models, then one per stage, the
            neck last; see :meth:`axialzoo.spec.Backbone.feature_info`; default all.
        input_size, data_format, dtype: As for :class:`Extractor`.

    Attributes:
        feature_info: Of each endpoint returned: ``num_chs``, ``reduction``, ``module``.

    Shapes:
        ``(N, H, W, 3)`` of any height and width to a list of ``(N, H / reduction, W / reduction, num_chs)``, rounded
        up, all activated; the channels second where `data_format` says so.
    """

    def __init__(self, spec: Model, out_indices: Sequence[int] | None = None, **kwargs):
        indices = check_indices(out_indices, len(spec.backbone.feature_info()))
        self._wanted = tuple(indices)
        super().__init__(spec, **kwargs)
        self.out_indices = indices
        self.feature_info = [self.feature_info[index] for index in indices]

    def _outputs(self, features: list, memory: Any, spec: Model, data_format: str, dtype) -> list:
        endpoints = self._activated(features, spec, dtype)
        modules = [info["module"] for info in spec.backbone.feature_info()]
        return [to_format(endpoints[index], data_format, modules[index], dtype) for index in self._wanted]

    def get_config(self) -> dict:
        return {**super().get_config(), "out_indices": list(self.out_indices)}


@keras.saving.register_keras_serializable(package="axialzoo")
class Activation(keras.layers.Layer):
    """An activation by its name in the spec."""

    def __init__(self, activation: str, **kwargs):
        super().__init__(**kwargs)
        self.activation = activation

    def call(self, x):
        return ACTIVATIONS[self.activation](x)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "activation": self.activation}


@keras.saving.register_keras_serializable(package="axialzoo")
class Turned(keras.layers.Layer):
    """Axes in another order; Keras's own `Permute` changes with the global data format."""

    def __init__(self, axes: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        self.axes = tuple(axes)

    def call(self, x):
        return keras.ops.transpose(x, self.axes)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[axis] for axis in self.axes)

    def get_config(self) -> dict:
        return {**super().get_config(), "axes": list(self.axes)}


def image_input(channels: int, size, data_format: str, dtype):
    """The model's input, and the same with channels last."""
    if data_format not in ("channels_last", "channels_first"):
        raise SpecError(f"data_format: expected 'channels_last' or 'channels_first', found {data_format!r}")
    height, width = size or (None, None)
    if data_format == "channels_last":
        images = keras.Input((height, width, channels), name="images", dtype=dtype.variable_dtype)
        return images, images
    images = keras.Input((channels, height, width), name="images", dtype=dtype.variable_dtype)
    return images, Turned((0, 2, 3, 1), name="images.channels_last", dtype=dtype)(images)


def to_format(x, data_format: str, name: str, dtype):
    """Features as the model's user wants them laid out."""
    return x if data_format == "channels_last" else Turned((0, 3, 1, 2), name=f"{name}.channels_first", dtype=dtype)(x)


def check_indices(indices: Sequence[int] | None, endpoints: int) -> list[int]:
    """`indices` as a list of valid, increasing endpoints; negative ones count from the last."""
    wanted = list(range(endpoints)) if indices is None else [index + endpoints if index < 0 else index for index in indices]
    if wanted != sorted(set(wanted)) or not wanted or wanted[0] < 0 or wanted[-1] >= endpoints:
        raise SpecError(f"out_indices: expected increasing numbers from 0 to {endpoints - 1}, found {list(indices or [])}")
    return wanted


def check_trainable(model: keras.Model, what: str) -> None:
    """Refuses, for `what`, a model that has been optimised for inference."""
    if getattr(model, "optimized", False):
        raise ValueError(
            f"{what}: expected a model with the tensors of its spec, found one optimised for inference; use what it was made of"
        )
