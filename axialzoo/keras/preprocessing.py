"""Preprocessing as a layer: for tensors, also inside a ``tf.data`` pipeline, on any back end, and for pictures of any other kind."""

from __future__ import annotations

import os

import keras
import numpy as np
from keras import ops
from PIL import Image

from axialzoo.image import preprocess, preprocessed
from axialzoo.image.depth import check_range
from axialzoo.spec import Preprocessing, from_dict, to_dict


@keras.saving.register_keras_serializable(package="axialzoo")
class Preprocess(keras.layers.Layer):
    """Preprocesses a batch of pictures, as :func:`axialzoo.image.preprocess` does for each picture.

    Resizing is Pillow's, on eight bits per channel and on the CPU, so that the numbers are the same everywhere;
    pictures that have the model's size already are only scaled, wherever they are. A layer that resizes belongs into the
    input pipeline, not into a compiled model.

    Args:
        spec: Preprocessing of the model.
        data_format: ``"channels_last"`` or ``"channels_first"``; default Keras's.

    Shapes:
        ``(N, H, W, C)`` or ``(H, W, C)``, uint8 or float, 0 to 255 (any numbers from 0 on where
        ``spec.per_image``), to float32 of ``spec.size`` (of the picture's own
        where ``spec.resize`` is ``"none"``); channels before height and width where `data_format` says so. A path or a Pillow
        picture to ``(H, W, C)``, and a list of these and of arrays ``(H, W, C)`` to ``(N, H, W, C)``: see
        :func:`axialzoo.image.pictures.iter_images`.

    Example:
        >>> Preprocess(Preprocessing(size=(32, 32), resize="none"))(np.zeros((1, 32, 32, 3), "uint8")).shape
        (1, 32, 32, 3)
    """

    def __init__(self, spec: Preprocessing, data_format: str | None = None, **kwargs):
        super().__init__(**{"dtype": "float32", "trainable": False, **kwargs, "autocast": False})
        self.spec = spec
        self.data_format = keras.config.image_data_format() if data_format is None else data_format
        shape = (-1, 1, 1) if self.data_format == "channels_first" else (-1,)
        self.mean, self.std = (np.array(values, "float32").reshape(shape) for values in (spec.mean, spec.std))

    def __call__(self, x, *args, **kwargs):
        if isinstance(x, (str, os.PathLike, Image.Image, list, tuple)):
            return self._from_pictures(x)
        if _is_tensorflow(x) and keras.backend.backend() != "tensorflow":
            return self._in_tensorflow(x)  # in a tf.data pipeline, which runs TensorFlow's operations only
        return super().__call__(x, *args, **kwargs)

    def call(self, x):
        if _is_tensorflow(x):
            return self._in_tensorflow(x)
        self._check(x.shape)
        if _has_values(x) and keras.backend.standardize_dtype(x.dtype) != "uint8":
            check_range(ops.convert_to_numpy(x), self.spec.per_image)
        if self._resizes(x.shape) or keras.backend.standardize_dtype(x.dtype) == "uint16":
            return ops.convert_to_tensor(self._resized(ops.convert_to_numpy(x)))
        x = ops.flip(x, -3 if self.data_format == "channels_first" else -1) if self.spec.channel_order == "bgr" else x
        return (ops.cast(x, "float32") / 255 - ops.convert_to_tensor(self.mean)) / ops.convert_to_tensor(self.std)

    def _from_pictures(self, x):
        is_batch = isinstance(x, (list, tuple))
        x = [ops.convert_to_numpy(picture) if keras.ops.is_tensor(picture) else picture for picture in x] if is_batch else x
        batch = preprocessed(x, self.spec)  # (N, C, H, W)
        batch = batch if self.data_format == "channels_first" else np.ascontiguousarray(batch.transpose(0, 2, 3, 1))
        return ops.convert_to_tensor(batch if is_batch else batch[0])

    def _in_tensorflow(self, x):
        import tensorflow as tf

        self._check(x.shape)
        if hasattr(x, "numpy") and x.dtype != tf.uint8:  # an eager tensor
            check_range(x.numpy(), self.spec.per_image)
        if not self._resizes(x.shape) and x.dtype != tf.uint16:
            x = tf.reverse(x, [-3 if self.data_format == "channels_first" else -1]) if self.spec.channel_order == "bgr" else x
            return (tf.cast(x, tf.float32) / 255 - self.mean) / self.std
        out = tf.numpy_function(self._resized, [x], tf.float32)
        out.set_shape(self.compute_output_shape(tuple(x.shape)))
        return out

    def _check(self, shape) -> None:
        channels, at = len(self.spec.mean), -3 if self.data_format == "channels_first" else -1
        if len(shape) not in (3, 4) or shape[at] not in (None, channels):
            form = f"{channels}, H, W" if at == -3 else f"H, W, {channels}"
            raise ValueError(f"preprocessing: expected pictures of shape ([N, ]{form}), found {tuple(shape)}")

    def _resizes(self, shape) -> bool:
        spec = self.spec
        size = tuple(shape[-2:] if self.data_format == "channels_first" else shape[-3:-1])
        if spec.per_image:  # stretching needs whole pictures of 8 bits, as resizing does
            return True
        return spec.resize != "none" and (size != tuple(spec.size) or (spec.resize == "shorter" and spec.crop < 1))

    def _resized(self, x: np.ndarray) -> np.ndarray:
        batch = x if x.ndim == 4 else x[None]
        first = self.data_format == "channels_first"
        pictures = batch.transpose(0, 2, 3, 1) if first else batch  # (N, H, W, C)
        out = np.stack([preprocess(picture, self.spec) for picture in pictures])
        out = out if first else out.transpose(0, 2, 3, 1)
        return np.ascontiguousarray(out if x.ndim == 4 else out[0])

    def compute_output_shape(self, input_shape):
        *batch, a, _, c = input_shape
        if self.spec.resize == "none":
            return tuple(input_shape)
        return (*batch, a, *self.spec.size) if self.data_format == "channels_first" else (*batch, *self.spec.size, c)

    def get_config(self) -> dict:
        return {**super().get_config(), "spec": to_dict(self.spec), "data_format": self.data_format}

    @classmethod
    def from_config(cls, config: dict):
        return super().from_config({**config, "spec": from_dict(Preprocessing, config["spec"])})


def _has_values(x) -> bool:
    """Return whether a tensor has numbers already, and is not being traced."""
    name = type(x).__name__
    return "Tracer" not in name and name != "KerasTensor" and "Symbolic" not in name and "Fake" not in name


def _is_tensorflow(x) -> bool:
    return type(x).__module__.startswith("tensorflow.")
