"""The feature extractor: a stem, stages of residual blocks, a neck."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
from PIL import Image

from axialzoo.checkpoint import Config, digest
from axialzoo.checkpoint.migrate import migrate_spec
from axialzoo.keras.functional import Activation, image_input, neck_stage, residual_stage, to_data_format
from axialzoo.keras.norm import BatchNorm
from axialzoo.keras.stem import Stem
from axialzoo.keras.tokens import Tokens
from axialzoo.keras.weights import to_tensors
from axialzoo.ops.keras.inference import xla_unsupported
from axialzoo.ops.kernels import use_kernel
from axialzoo.spec import Model, from_dict, size_pair, to_dict
from axialzoo.spec.check import check_indices, check_trainable
from axialzoo.spec.text import model_text


class Extractor(keras.Model):
    """Functional model of stem, stages and neck, with its spec, config and feature information.

    Args:
        spec: Its architecture.
        input_size: A side or (height, width) in pixels that the inputs are fixed to; default any.
        data_format: ``"channels_last"`` or ``"channels_first"``, of images and outputs that are maps; default Keras's.
        dtype: Policy of every layer, such as ``"mixed_bfloat16"``; default Keras's.

    Attributes:
        spec: Its architecture.
        config: Config of the weights that it was loaded from, or None.
        name: Name in the registry, or ``"custom"``.
        num_features: Channels of the last endpoint.
        feature_info: ``num_chs``, ``reduction`` and ``module`` of each endpoint.
    """

    def __init__(self, spec: Model, *, input_size=None, data_format=None, dtype=None, trainable=True, **kwargs):
        backbone = spec.backbone
        policy = keras.dtype_policies.get(dtype) if dtype is not None else keras.config.dtype_policy()
        data_format = keras.config.image_data_format() if data_format is None else data_format
        size = None if input_size is None else size_pair(input_size)
        images, x = image_input(backbone.in_channels, size, data_format, policy)
        features, memory = self._unactivated(x, spec, policy)
        super().__init__(images, self._outputs(features, memory, x, spec, data_format, policy), **kwargs)
        used = {id(layer) for layer in self.layers}
        endpoints = [*features, *([] if memory is None else [memory])]
        self.unused_layers = [layer for layer in keras.Model(images, endpoints).layers if id(layer) not in used]  # checkpoints hold them
        self.spec: Model = spec
        self.config: Config | None = None
        self.input_size, self.data_format, self.dtype_policy = size, data_format, policy
        self.restored = False  # from a file, and not compiled since
        self.num_features = backbone.channels
        self.feature_info = backbone.feature_info()
        if not trainable:
            self.trainable = False

    def __call__(self, inputs, *args, **kwargs):
        check_image(inputs)
        return super().__call__(inputs, *args, **kwargs)

    def _unactivated(self, x, spec: Model, dtype) -> tuple[list, Any]:
        """Return the endpoints, not activated if the blocks activate their own input, and the memory tokens."""
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
        for index, (inputs, stage) in enumerate(zip(backbone.neck_inputs(), backbone.neck)):
            x, memory = neck_stage(features, memory, images, inputs, stage, backbone, f"neck.{index}", dtype)
            features.append(x)
            if stage.endpoint or index + 1 == len(backbone.neck):
                outputs.append(x)
        return outputs, memory

    def _activated(self, features: list, spec: Model, dtype) -> list:
        """Activate the endpoints of :meth:`_unactivated` where the blocks have not."""
        backbone = spec.backbone
        if not backbone.pre_activation:
            return features
        names = [f"{info['module']}.activation" for info in backbone.feature_info()]
        return [Activation(backbone.activation, name=name, dtype=dtype)(x) for name, x in zip(names, features)]

    def _outputs(self, features: list, memory: Any, image: Any, spec: Model, data_format: str, dtype) -> Any:
        """Return the model's outputs, from its endpoints, not activated, its memory tokens and the image, channels last."""
        raise NotImplementedError

    def _norms(self) -> list[BatchNorm]:
        return [layer for layer in self._flatten_layers(include_self=False) if isinstance(layer, BatchNorm)]

    def __str__(self) -> str:
        """Return input, stages, head and parameters in a few lines; ``model.summary()`` has all layers."""
        return model_text(self.spec, self.name)

    @property
    def optimized(self) -> bool:
        """True for a model of :func:`axialzoo.keras.optimize_for_inference`, whose variables are no longer those of its spec."""
        return any(norm.folded for norm in self._norms())

    @property
    def supports_jit(self) -> bool:
        """True if Keras may compile the model by default."""
        return self._supports_jit and not (self.optimized and xla_unsupported())

    @supports_jit.setter
    def supports_jit(self, value: bool) -> None:  # by Keras
        self._supports_jit = value

    def save_weights(self, filepath, overwrite=True, **kwargs):
        check_trainable(self, "save_weights")  # a model that is not folded would load them without an error
        super().save_weights(filepath, overwrite, **kwargs)

    def export(self, filepath, *args, **kwargs):
        with use_kernel("plain"):  # an exported file runs where there is no kernel
            return super().export(filepath, *args, **kwargs)

    def rematerialized_call(self, layer_call, *args, **kwargs):
        return layer_call  # a `keras.RematScope` recomputes layer by layer: recomputing the whole model would save nothing

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
            **self._quantized_config(),
            "checkpoint": None if self.config is None else self._current_config(self.config).to_json(),
        }

    def _current_config(self, config: Config) -> Config:
        """Return `config` with the digest of the current variables, empty if they are no longer those of the spec."""
        try:
            return config.with_digest(digest(to_tensors(self)))
        except ValueError:  # optimised, quantised, or of a dtype that no checkpoint has
            return config.with_digest("")

    def _quantized_config(self) -> dict:
        """Return mode and settings of each quantized layer by its path, which a file of the model needs."""
        quantized = [layer for layer in self._flatten_layers(include_self=False) if getattr(layer, "_is_quantized", False)]
        settings = {
            layer.path: [layer.quantization_mode, keras.saving.serialize_keras_object(layer.quantization_config)] for layer in quantized
        }
        return {"quantized": settings} if settings else {}

    @classmethod
    def from_config(cls, config: dict, custom_objects=None):
        dtype = config.get("dtype")
        dtype = keras.dtype_policies.deserialize(dtype) if isinstance(dtype, dict) else dtype
        config = {**config, "spec": from_dict(Model, migrate_spec(config["spec"])), "dtype": dtype}
        checkpoint, frozen, folded = config.pop("checkpoint", None), set(config.pop("frozen", ())), set(config.pop("folded", ()))
        quantized = config.pop("quantized", {})
        model = cls(**config)
        for layer in model._flatten_layers(include_self=False) if quantized else ():
            if layer.path in quantized:
                mode, settings = quantized[layer.path]
                settings = keras.saving.deserialize_keras_object(settings)
                layer.quantize(mode if settings is None else None, config=settings)
        if quantized:
            model._post_quantize(None)
        model.config = None if checkpoint is None else Config.from_json(checkpoint)
        model.restored = True
        for layer in model._flatten_layers(include_self=False) if frozen else ():
            layer.trainable = layer.path not in frozen  # outer layers first
        for norm in model._norms() if folded else ():
            norm.folded = norm.path in folded
        return model


@keras.saving.register_keras_serializable(package="axialzoo")
class AxialBackbone(Extractor):
    """Images to a pyramid of features; a functional model.

    Args:
        spec: Its architecture; its head is left out.
        out_indices: Endpoints to return, as timm counts them: 0 at stride 2 for the ImageNet models, then one per stage, the
            neck last; see :meth:`axialzoo.spec.Backbone.feature_info`; default all.
        input_size, data_format, dtype: As for :class:`Extractor`.

    Attributes:
        feature_info: ``num_chs``, ``reduction`` and ``module`` of each endpoint that it returns.

    Shapes:
        ``(N, H, W, 3)`` of any height and width to a list of ``(N, H / reduction, W / reduction, num_chs)``, rounded
        up, all activated; the channels second where `data_format` says so.
    """

    def __init__(self, spec: Model, out_indices: Sequence[int] | None = None, **kwargs):
        indices = check_indices(out_indices, len(spec.backbone.feature_info()))
        self._endpoint_indices = tuple(indices)
        super().__init__(spec, **kwargs)
        self.out_indices = indices
        self.feature_info = [self.feature_info[index] for index in indices]

    def _outputs(self, features: list, memory: Any, image: Any, spec: Model, data_format: str, dtype) -> list:
        endpoints = self._activated(features, spec, dtype)
        modules = [info["module"] for info in spec.backbone.feature_info()]
        return [to_data_format(endpoints[index], data_format, modules[index], dtype) for index in self._endpoint_indices]

    def get_config(self) -> dict:
        return {**super().get_config(), "out_indices": list(self.out_indices)}


keras.saving.get_custom_objects()[AxialBackbone.__name__] = AxialBackbone  # .h5 files hold names of classes without their package


def check_image(x: Any) -> None:
    """Refuse pictures in place of the model's input.

    Raises:
        TypeError: for a path, a Pillow picture or whole numbers, which have not been preprocessed.
    """
    dtype = getattr(x, "dtype", None)
    if isinstance(x, (str, os.PathLike, Image.Image)) or (dtype is not None and "int" in keras.backend.standardize_dtype(dtype)):
        actual = type(x).__name__ + ("" if dtype is None else f" of {keras.backend.standardize_dtype(dtype)}")
        raise TypeError(
            f"model(x): expected preprocessed pictures of floating-point numbers, found {actual}; call model(model.preprocess(x))"
        )
