"""A feature pyramid (FPN, arXiv:1612.03144), which adds coarse features to finer ones."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from axialzoo.keras.blocks import ConvNorm
from axialzoo.keras.layer import Layer
from axialzoo.keras.pooling import strided_shape
from axialzoo.keras.scope import build_numbered, own_scope
from axialzoo.spec import Norm, from_dict, to_dict
from axialzoo.spec.heads.pyramid import check_half


@keras.saving.register_keras_serializable(package="axialzoo")
class FeaturePyramid(Layer):
    """Features of one number of channels at each level, each level half as fine as the one before.

    Every convolution has a norm, as in pyramids that are trained from scratch (arXiv:1911.09070). Only the inputs of the second and
    further extra levels are activated (arXiv:1708.02002).

    Args:
        inputs: Channels of the backbone's features, finest first.
        channels: Channels of each level.
        extra: Levels beyond the coarsest feature, each by a convolution of stride 2 from the one before.

    Shapes:
        ``(N, H, W, C)`` of each feature, H and W those of the one before halved and rounded up, to ``(N, H, W, channels)`` of each,
        then of the `extra` levels.
    """

    def __init__(self, inputs: Sequence[int], channels: int, norm: Norm, extra: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.inputs, self.channels, self.norm_spec, self.extras = tuple(inputs), channels, norm, extra
        dtype = self.dtype_policy
        self.lateral = [ConvNorm(count, channels, 1, norm, name=str(i), dtype=dtype) for i, count in enumerate(self.inputs)]
        self.outputs = [ConvNorm(channels, channels, 3, norm, name=str(i), dtype=dtype) for i in range(len(self.inputs))]
        self.extra = [ConvNorm(channels, channels, 3, norm, 2, name=str(i), dtype=dtype) for i in range(extra)]

    def build(self, input_shape=None):
        with own_scope(self):
            build_numbered("lateral", self.lateral)
            build_numbered("output", self.outputs)
            build_numbered("extra", self.extra)

    def call(self, features, training=None):
        merged = [lateral(x, training=training) for lateral, x in zip(self.lateral, features, strict=True)]  # (N, H, W, channels) each
        for level in range(len(merged) - 1, 0, -1):
            merged[level - 1] = merged[level - 1] + upsample(merged[level], merged[level - 1])
        levels = [output(x, training=training) for output, x in zip(self.outputs, merged)]
        for index, extra in enumerate(self.extra):
            levels.append(extra(levels[-1] if index == 0 else ops.relu(levels[-1]), training=training))
        return levels

    def compute_output_shape(self, input_shape):
        shapes = [(*shape[:-1], self.channels) for shape in input_shape]
        for _ in self.extra:
            shapes.append(strided_shape(shapes[-1], 2))
        return shapes

    def get_config(self) -> dict:
        config = {"inputs": list(self.inputs), "channels": self.channels, "norm": to_dict(self.norm_spec), "extra": self.extras}
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: dict):
        return super().from_config({**config, "norm": from_dict(Norm, config["norm"])})


def upsample(x, finer):
    """Repeat each pixel in height and width: (N, ceil(H / 2), ceil(W / 2), C) to the (N, H, W, C) of `finer`.

    Raises:
        ValueError: where `x` is not half as fine.
    """
    height, width = ops.shape(finer)[1:3]
    check_half(x.shape[1:3], finer.shape[1:3])
    return ops.repeat(ops.repeat(x, 2, 1), 2, 2)[:, :height, :width]
