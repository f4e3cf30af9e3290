"""Our classification models in keras-hub: after ``import axialzoo.keras_hub`` its presets, tasks and backbones are ours too.

axialzoo.keras_hub.save_preset("axial_resnet_cifar10", "folder")
keras_hub.models.ImageClassifier.from_preset("folder").predict(pictures)
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import keras
import keras_hub
import numpy as np

from axialzoo.checkpoint import Config, Tensors
from axialzoo.checkpoint.migrate import migrate_spec
from axialzoo.files import atomic_write_folder, check_output
from axialzoo.hub import fetch_checkpoint
from axialzoo.keras import backbone as ours
from axialzoo.keras.weights import load_tensors
from axialzoo.spec import Model, SpecError, from_dict, get_entry, parameters, to_dict, without_head

PACKAGE = "axialzoo.keras_hub"


@keras.saving.register_keras_serializable(package=PACKAGE)
class AxialBackbone(keras_hub.models.FeaturePyramidBackbone):
    """The last endpoint of a model, as keras-hub's backbones give it.

    Args:
        model: A name in our registry, or a spec as :func:`axialzoo.spec.to_dict` makes it.
        image_shape: (H, W, C), or channels first where `data_format` says so; None for a free side.
        data_format: ``"channels_last"`` or ``"channels_first"``; default Keras's.
        dtype: Policy of every layer.

    Attributes:
        pyramid_outputs: ``"P1"``, ``"P2"`` and so on, of stride 2, 4 ...: the last endpoint at each stride.

    Shapes:
        ``(N, H, W, C)`` to ``(N, H', W', num_chs)``, or channels second.
    """

    def __init__(self, model: Any, image_shape=None, data_format=None, dtype=None, **kwargs):
        spec: Model = without_head(get_entry(model).spec if isinstance(model, str) else from_dict(Model, migrate_spec(model)))
        data_format = keras.config.image_data_format() if data_format is None else data_format
        shape = (None, None, spec.backbone.in_channels) if image_shape is None else tuple(image_shape)
        sides = shape[:2] if data_format == "channels_last" else shape[1:]
        size = None if None in sides else sides
        backbone = ours.AxialBackbone(spec, input_size=size, data_format=data_format, dtype=dtype)
        self.__dict__["own_backbone"] = [backbone]  # in a list, so that Keras does not track it: its layers are those of this model
        super().__init__(inputs=backbone.input, outputs=backbone.outputs[-1], dtype=dtype, **kwargs)
        self.spec, self.image_shape, self.data_format = spec, image_shape, data_format
        strides = [info["reduction"] for info in spec.backbone.feature_info()]
        self.pyramid_outputs = {f"P{stride.bit_length() - 1}": x for stride, x in zip(strides, backbone.outputs)}

    def load_tensors(self, tensors: Tensors) -> None:
        """Load those tensors of a checkpoint that are this backbone's, all of them."""
        names = {parameter.name for parameter in parameters(self.spec)}
        load_tensors(self.own_backbone[0], {name: array for name, array in tensors.items() if name in names})

    def get_config(self) -> dict:
        return {**super().get_config(), "model": to_dict(self.spec), "image_shape": self.image_shape, "data_format": self.data_format}


@keras.saving.register_keras_serializable(package=PACKAGE)
class AxialImageConverter(keras_hub.layers.ImageConverter):
    """Pictures of 0 to 255 to a model's input."""

    backbone_cls = AxialBackbone


@keras.saving.register_keras_serializable(package=PACKAGE)
class AxialImageClassifierPreprocessor(keras_hub.models.ImageClassifierPreprocessor):
    """keras-hub's preprocessor, with our backbone's converter."""

    backbone_cls = AxialBackbone
    image_converter_cls = AxialImageConverter


@keras.saving.register_keras_serializable(package=PACKAGE)
class AxialImageClassifier(keras_hub.models.ImageClassifier):
    """keras-hub's task: our backbone, pooled, and a linear layer."""

    backbone_cls = AxialBackbone
    preprocessor_cls = AxialImageClassifierPreprocessor


def preprocessor(config: Config) -> AxialImageClassifierPreprocessor:
    """Return keras-hub's preprocessor for a checkpoint. It crops pictures to their shorter side and no further.

    Raises:
        SpecError: for padding, pictures that are stretched to their own range, and channels in another order, which it does not have.
    """
    preprocessing = config.preprocessing
    if preprocessing.resize not in ("shorter", "squash") or preprocessing.per_image or preprocessing.channel_order != "rgb":
        option = "per_image" if preprocessing.per_image else f"resize={preprocessing.resize!r}"
        option = option if preprocessing.channel_order == "rgb" else "channel_order='bgr'"
        raise SpecError(f"preprocessing: keras-hub has no {option}; use axialzoo's own preprocess")
    if preprocessing.resize == "shorter" and preprocessing.crop < 1:
        text = f"keras-hub does not crop the centre: pictures show all of what {preprocessing.crop:.1%} of was asked for"
        warnings.warn(text, stacklevel=2)
    converter = AxialImageConverter(
        image_size=preprocessing.size,
        scale=[1 / (255 * deviation) for deviation in preprocessing.std],
        offset=[-mean / deviation for mean, deviation in zip(preprocessing.mean, preprocessing.std)],
        interpolation=preprocessing.interpolation,
        antialias=True,
        crop_to_aspect_ratio=preprocessing.resize == "shorter",
    )
    return AxialImageClassifierPreprocessor(converter)


def image_classifier(source: str | os.PathLike[str], **kwargs: Any) -> AxialImageClassifier:
    """Load a checkpoint as keras-hub's image classifier.

    Args:
        source: A folder, a name with weights, or ``org/repo``.
        **kwargs: As keras-hub's ``ImageClassifier`` takes them; logits by default.
    """
    checkpoint = fetch_checkpoint(source)
    spec, tensors = checkpoint.config.spec, checkpoint.tensors
    backbone = AxialBackbone(to_dict(without_head(spec)))
    backbone.load_tensors(tensors)
    options = {"num_classes": spec.num_classes, "activation": None, "preprocessor": preprocessor(checkpoint.config), **kwargs}
    task = AxialImageClassifier(backbone=backbone, **options)
    if options["num_classes"] == spec.num_classes:
        task.output_dense.set_weights([np.asarray(tensors["head.fc.weight"]).T, np.asarray(tensors["head.fc.bias"])])
    return task


def save_preset(source: str | os.PathLike[str], folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a checkpoint as a preset of keras-hub, which ``ImageClassifier.from_preset`` loads after this module is imported.

    Raises:
        FileExistsError: where `folder` has something in it and `overwrite` is not said.
    """
    there = Path(folder)
    check_output(there, overwrite=overwrite or (there.is_dir() and not any(there.iterdir())))
    with atomic_write_folder(there) as beside:
        image_classifier(source).save_to_preset(str(beside))
