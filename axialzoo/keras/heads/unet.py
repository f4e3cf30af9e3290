"""U-Net's decoder (arXiv:1505.04597) and the local branch of the Medical Transformer (arXiv:2102.10662)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from axialzoo.keras.blocks import ResidualBlock
from axialzoo.keras.heads.head_module import HeadModule, register_head
from axialzoo.keras.layer import Layer
from axialzoo.keras.linear import NumpyNormal, SingleLevelConv
from axialzoo.keras.scope import build_numbered, own_scope
from axialzoo.keras.stem import Stem
from axialzoo.spec import Backbone, from_dict, to_dict
from axialzoo.spec.heads.unet import UNet as Spec
from axialzoo.spec.heads.unet import decoder_widths


@register_head(Spec)
class UNet(HeadModule):
    """Endpoints and the image to ``semantic``.

    Shapes:
        The endpoints, (N, H', W', C) each, and the image (N, H, W, in_channels), to (N, H, W, num_classes) logits.
    """

    def __init__(self, spec: Spec, backbone: Backbone, dtype: Any):
        super().__init__(spec, dtype)
        self.decoder = UNetDecoder(backbone, spec.channels, spec.bottleneck, name="head.decoder", dtype=dtype)
        self.local = None if spec.local is None else LocalBranch(backbone, spec, name="head.local", dtype=dtype)
        self.merge = None if spec.local is None else _conv(spec.channels, spec.channels, 3, name="merge", dtype=dtype)
        self.classes = _conv(spec.channels, spec.num_classes, 1, name="classes", dtype=self.output_dtype)
        with keras.name_scope("head"):  # where their variables are
            for layer in (self.merge, self.classes):
                if layer is not None:
                    layer.build((None, None, None, spec.channels))

    def __call__(self, features: Sequence[Any], pre_logits: bool = False) -> dict[str, Any]:
        *endpoints, image = features
        x = self.decoder([*endpoints, image])  # (N, H, W, channels)
        if self.local is not None and self.merge is not None:
            x = ops.relu(self.merge(x + self.local([x, image])))  # (N, H, W, channels)
        return {"semantic": x if pre_logits else self.classes(x)}

    def get_classifier(self) -> Any:
        return self.classes


@keras.saving.register_keras_serializable(package="axialzoo")
class UNetDecoder(Layer):
    """A convolution, upsampling, ReLU and the sum with an endpoint, from the coarsest endpoint to the image.

    Shapes:
        The endpoints, (N, H', W', C) each, fine to coarse, and an image (N, H, W, ...), for its size, to (N, H, W, channels).
    """

    def __init__(self, backbone: Backbone, channels: int, bottleneck: bool, **kwargs):
        super().__init__(**kwargs)
        self.backbone, self.channels, self.bottleneck = backbone, channels, bottleneck
        self.convs = [
            _conv(inputs, outputs, 3, 2 if bottleneck and index == 0 else 1, name=str(index), dtype=self.dtype_policy)
            for index, (inputs, outputs) in enumerate(decoder_widths(backbone, channels, bottleneck))
        ]
        self.inputs = [inputs for inputs, _ in decoder_widths(backbone, channels, bottleneck)]

    def build(self, input_shape=None):
        with own_scope(self):
            for layer, inputs in zip(self.convs, self.inputs):
                layer.build((None, None, None, inputs))

    def call(self, features):
        *endpoints, image = features
        x, skips = endpoints[-1], list(endpoints if self.bottleneck else endpoints[:-1])
        for index, layer in enumerate(self.convs):
            skip = skips.pop() if skips else None
            if self.bottleneck and index == 0:
                x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
            x = ops.relu(upsample_bilinear(layer(x), image if skip is None else skip))  # (N, H', W', C)
            x = x if skip is None else x + skip
        return x

    def compute_output_shape(self, input_shape):
        return (*input_shape[-1][:-1], self.channels)

    def get_config(self) -> dict:
        return {**super().get_config(), "backbone": to_dict(self.backbone), "channels": self.channels, "bottleneck": self.bottleneck}

    @classmethod
    def from_config(cls, config: dict):
        return super().from_config({**config, "backbone": from_dict(Backbone, config["backbone"])})


@keras.saving.register_keras_serializable(package="axialzoo")
class LocalBranch(Layer):
    """A separate U-Net on the picture's patches, row by row.

    In evaluation it computes all patches as one batch. In training it computes one after the other, so that the norms take the statistics
    of each patch position by itself and update their running statistics once a patch, as upstream does.

    Shapes:
        The features of the global branch (N, H, W, channels) and the image (N, H, W, in_channels) to (N, H, W, channels).
    """

    def __init__(self, backbone: Backbone, head: Spec, **kwargs):
        super().__init__(**kwargs)
        assert head.local is not None
        self.spec, self.backbone, self.head_spec = head.local, backbone, head
        spec = self.spec
        encoder, dtype = spec.encoder(backbone), self.dtype_policy
        self.stem = Stem(encoder, name="stem", dtype=dtype)
        self.blocks, self.depths, channels = [], [len(stage.blocks) for stage in spec.stages], encoder.stem_channels
        for i, stage in enumerate(spec.stages):
            for j, block in enumerate(stage.blocks):
                self.blocks.append(ResidualBlock(channels, block, encoder, name=f"stages.{i}.blocks.{j}", dtype=dtype))
                channels = block.channels[-1]
        self.decoder = UNetDecoder(encoder, head.channels, spec.bottleneck, name="decoder", dtype=dtype)
        widths = spec.unused_widths()
        self.unused = [_conv(width, width, 1, name=str(i), trainable=False, dtype=dtype) for i, width in enumerate(widths)]
        self.classes = _conv(head.channels, head.num_classes, 1, name="classes", trainable=False, dtype=dtype) if spec.unused else None

    def build(self, input_shape=None):
        with own_scope(self):
            self.stem.build()
            for block in self.blocks:
                block.build()
            self.decoder.build()
            for layer, width in zip(self.unused, self.spec.unused_widths()):
                build_numbered("unused", [layer], None, None, None, width)
            if self.classes is not None:
                self.classes.build((None, None, None, self.head_spec.channels))

    def call(self, inputs, training=None):
        x, image = inputs
        grid, (height, width) = self.spec.grid, ops.shape(image)[1:3]
        rows, columns = self.spec.patch(height), self.spec.patch(width)
        patches = split_patches(fit(image, grid * rows, grid * columns), grid)  # (grid², N, rows, columns, in_channels)
        if training:
            local = ops.stack([self.patch_features(patches[index], training) for index in range(grid**2)])  # (grid², N, rows, ...)
        else:
            merged = ops.reshape(patches, (-1, *ops.shape(patches)[2:4], patches.shape[4]))  # (grid² N, rows, columns, in_channels)
            local = self.patch_features(merged, training)  # (grid² N, rows, columns, channels)
            local = ops.reshape(local, (grid**2, -1, *ops.shape(local)[1:3], local.shape[3]))
        local = join_patches(local, grid)[:, :height, :width]  # (N, H, W, channels) or the corner that patches cover
        if self.spec.patches == "whole":
            return local
        right, below = x[:, : ops.shape(local)[1], ops.shape(local)[2] :], x[:, ops.shape(local)[1] :]
        return ops.concatenate([ops.concatenate([local, right], 2), below], 1)  # (N, H, W, channels)

    def patch_features(self, patch, training):
        """Compute the features of a patch: (N, rows, columns, in_channels) to (N, rows, columns, channels)."""
        x, endpoints, blocks = self.stem(patch, training=training), [], iter(self.blocks)
        for depth in self.depths:
            for _ in range(depth):
                x = next(blocks)(x, training=training)
            endpoints.append(x)
        return self.decoder([*endpoints, patch])

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[0])

    def get_config(self) -> dict:
        return {**super().get_config(), "backbone": to_dict(self.backbone), "head": to_dict(self.head_spec)}

    @classmethod
    def from_config(cls, config: dict):
        head = from_dict(Spec, {key: value for key, value in config["head"].items() if key != "kind"})
        return super().from_config({**config, "head": head, "backbone": from_dict(Backbone, config["backbone"])})


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, **kwargs) -> keras.layers.Conv2D:
    """Make a convolution with bias; with stride 2, the caller pads its input."""
    layer = SingleLevelConv if outputs == 1 else keras.layers.Conv2D
    return layer(
        outputs,
        kernel,
        stride,
        "same" if stride == 1 else "valid",
        data_format="channels_last",
        kernel_initializer=NumpyNormal((1 / (3 * inputs * kernel**2)) ** 0.5),
        **kwargs,
    )


def upsample_bilinear(x, finer):
    """Double height and width with half-pixel centres and crop to `finer`: (N, ceil(H / 2), ceil(W / 2), C) to (N, H, W, C)."""
    height, width = ops.shape(finer)[1:3]
    return _double(_double(x, 1), 2)[:, :height, :width]


def _double(x, axis: int):
    """Interpolate two values for each position, a quarter of a step before and after it, or at the ends the values there."""
    _, h, w, _ = ops.shape(x)
    first, last = (x[:, :1], x[:, -1:]) if axis == 1 else (x[:, :, :1], x[:, :, -1:])
    inner = (x[:, :-1], x[:, 1:]) if axis == 1 else (x[:, :, :-1], x[:, :, 1:])
    before, after = ops.concatenate([first, inner[0]], axis), ops.concatenate([inner[1], last], axis)
    pair = ops.stack([0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after], axis + 1)  # (N, H, 2, W, C) or (N, H, W, 2, C)
    return ops.reshape(pair, (-1, 2 * h, w, x.shape[3]) if axis == 1 else (-1, h, 2 * w, x.shape[3]))


def fit(image, height, width):
    """Crop, or pad with zeros, at the bottom and on the right: (N, H, W, C) to (N, height, width, C)."""
    for axis, length in ((1, height), (2, width)):
        before = ops.shape(image)[axis]
        if isinstance(before, int) and isinstance(length, int):
            if length <= before:
                image = image[:, :length] if axis == 1 else image[:, :, :length]
            else:
                image = ops.pad(image, [(0, length - before if number == axis else 0) for number in range(4)])
        else:
            place = ops.arange(length, dtype="int32")
            inside = ops.reshape(ops.cast(place < before, image.dtype), (-1, 1, 1) if axis == 1 else (-1, 1))
            image = ops.take(image, ops.minimum(place, before - 1), axis=axis) * inside
    return image


def split_patches(image, grid: int):
    """Cut images into patches, row by row: (N, grid H, grid W, C) to (grid², N, H, W, C)."""
    _, height, width, _ = ops.shape(image)
    sides = height // grid, width // grid
    x = ops.reshape(image, (-1, grid, sides[0], grid, sides[1], image.shape[3]))  # (N, grid, H, grid, W, C)
    return ops.reshape(ops.transpose(x, (1, 3, 0, 2, 4, 5)), (grid**2, -1, *sides, image.shape[3]))


def join_patches(patches, grid: int):
    """Undo `split_patches`: (grid², N, H, W, C) to (N, grid H, grid W, C)."""
    _, _, height, width, _ = ops.shape(patches)
    x = ops.reshape(patches, (grid, grid, -1, height, width, patches.shape[4]))  # (grid, grid, N, H, W, C)
    return ops.reshape(ops.transpose(x, (2, 0, 3, 1, 4, 5)), (-1, grid * height, grid * width, patches.shape[4]))
