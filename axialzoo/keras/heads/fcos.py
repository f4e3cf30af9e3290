"""FCOS (arXiv:1904.01355, arXiv:2006.09214): the class, the distances to the box's sides and the centerness of each location."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from axialzoo.keras.blocks import ACTIVATIONS
from axialzoo.keras.heads.head_module import HeadModule, register_head
from axialzoo.keras.heads.pyramid import FeaturePyramid
from axialzoo.keras.layer import Layer
from axialzoo.keras.linear import NumpyNormal, SingleLevelConv
from axialzoo.keras.norm import BatchNorm
from axialzoo.keras.scope import build_numbered, own_scope
from axialzoo.spec import Backbone, Norm, from_dict, to_dict
from axialzoo.spec.heads.fcos import FCOS as Spec
from axialzoo.spec.heads.fcos import PRIOR, SPREAD


@register_head(Spec)
class FCOS(HeadModule):
    """A feature pyramid, and an :class:`FCOSPredictor` on its levels.

    Shapes:
        The endpoints, [(N, H', W', C)], to maps of each level: see :class:`FCOSPredictor`.
    """

    def __init__(self, spec: Spec, backbone: Backbone, dtype: Any):
        super().__init__(spec, dtype)
        pyramid, norm = spec.pyramid, backbone.norm
        sizes = pyramid.inputs(backbone), pyramid.channels, norm, pyramid.extra(backbone)
        self.pyramid = FeaturePyramid(*sizes, name="head.pyramid", dtype=dtype)
        numbers = pyramid.channels, spec.num_classes, len(pyramid.strides), norm, spec.depth, spec.activation
        self.levels = FCOSPredictor(*numbers, self.output_dtype, name="head.levels", dtype=dtype)

    def __call__(self, features: Sequence[Any], pre_logits: bool = False) -> Any:
        levels = self.pyramid(list(features))
        return self.levels(levels, pre_logits=True) if pre_logits else self.levels(levels)

    def get_classifier(self) -> Any:
        return self.levels.classes


@keras.saving.register_keras_serializable(package="axialzoo")
class FCOSPredictor(Layer):
    """Classes, boxes and centerness of each level of a pyramid; all levels share the convolutions.

    Args:
        channels: Channels of each level and of the towers.
        classes: Number of classes.
        levels: Number of levels.
        depth: Convolutions of each of the two towers.
        output_dtype: Dtype of the last convolutions, and so of the outputs.

    Shapes:
        ``(N, H, W, channels)`` of each level to, of each level, ``classes`` ``(N, H, W, classes)`` logits, ``boxes`` ``(N, H, W, 4)``
        distances of 0 or more to left, top, right and bottom in strides of the level, ``centerness`` ``(N, H, W, 1)`` logits.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        levels: int,
        norm: Norm,
        depth: int = 4,
        activation: str = "relu",
        output_dtype: Any = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.config = {"channels": channels, "classes": classes, "levels": levels, "depth": depth, "activation": activation}
        self.norm_spec, dtype = norm, self.dtype_policy
        self.class_tower = Tower(channels, levels, norm, depth, activation, name="class_tower", dtype=dtype)
        self.box_tower = Tower(channels, levels, norm, depth, activation, name="box_tower", dtype=dtype)
        last = output_dtype or dtype
        self.classes = _conv(classes, NumpyNormal(SPREAD), -math.log((1 - PRIOR) / PRIOR), name="classes", dtype=last)
        self.boxes = _conv(4, NumpyNormal(SPREAD), 1.0, name="boxes", dtype=last)  # 1: a relu's gradient is not 0
        self.centerness = _conv(1, NumpyNormal(SPREAD), 0.0, name="centerness", dtype=last)

    def build(self, input_shape=None):
        with own_scope(self):
            for part in self._flatten_layers(include_self=False, recursive=False):
                part.build((None, None, None, self.config["channels"]))
            with keras.name_scope("scales"):
                self.scales = [keras.Variable(keras.initializers.Ones(), (1,), self.variable_dtype, name=str(i)) for i in range(self.count)]

    @property
    def count(self) -> int:
        """Number of levels."""
        return self.config["levels"]

    def call(self, features, training=None, pre_logits=False):
        outputs = {"classes": [], "boxes": [], "centerness": []}
        for level, x in enumerate(features):
            x, y = (tower(x, level=level, training=training) for tower in (self.class_tower, self.box_tower))  # (N, H, W, channels) each
            outputs["classes"].append(x if pre_logits else self.classes(x))
            reach = self.boxes(y)  # (N, H, W, 4)
            outputs["boxes"].append(ops.relu(reach * ops.cast(ops.convert_to_tensor(self.scales[level]), reach.dtype)))
            outputs["centerness"].append(self.centerness(y))
        return outputs

    def compute_output_spec(self, features, training=None, pre_logits=False):
        maps = {"classes": self.config["channels" if pre_logits else "classes"], "boxes": 4, "centerness": 1}
        types = {**dict.fromkeys(maps, self.boxes.compute_dtype), **({"classes": self.compute_dtype} if pre_logits else {})}
        return {name: [keras.KerasTensor((*x.shape[:-1], count), types[name]) for x in features] for name, count in maps.items()}

    def compute_output_shape(self, input_shape):
        maps = {"classes": self.config["classes"], "boxes": 4, "centerness": 1}
        return {name: [(*shape[:-1], count) for shape in input_shape] for name, count in maps.items()}

    def get_config(self) -> dict:
        last = keras.dtype_policies.serialize(self.boxes.dtype_policy)
        return {**super().get_config(), **self.config, "norm": to_dict(self.norm_spec), "output_dtype": last}

    @classmethod
    def from_config(cls, config: dict):
        last = config["output_dtype"]
        last = keras.dtype_policies.deserialize(last) if isinstance(last, dict) else last
        return super().from_config({**config, "norm": from_dict(Norm, config["norm"]), "output_dtype": last})


class Tower(Layer):
    """3 x 3 convolutions that all levels share, each followed by the level's own norm and an activation.

    The levels do not share norms: their values are distributed differently, so that the moving statistics of a shared norm would
    follow the last level and fit none. Each level has its own norm instead (as in arXiv:1911.09070), whose statistics come from
    N H W values. For small batches take no more levels than the objects need.

    Shapes:
        ``(N, H, W, channels)`` to the same.
    """

    def __init__(self, channels: int, levels: int, norm: Norm, depth: int, activation: str, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        dtype, spread = self.dtype_policy, NumpyNormal((2 / (channels * 9)) ** 0.5)
        self.convs = [_conv(channels, spread, None, name=str(i), dtype=dtype) for i in range(depth)]
        self.norms = [[BatchNorm(channels, norm, name=str(j), dtype=dtype) for j in range(levels)] for _ in range(depth)]
        self.activation = ACTIVATIONS[activation]

    def build(self, input_shape=None):
        build_numbered("convs", self.convs, None, None, None, self.channels)
        with keras.name_scope("norms"):
            for index, norms in enumerate(self.norms):
                build_numbered(str(index), norms)

    def call(self, x, level: int, training=None):
        for conv, norms in zip(self.convs, self.norms):
            x = norms[level](conv(x), activation=self.activation, training=training)
        return x


def _conv(outputs: int, spread: NumpyNormal, start: float | None, **kwargs) -> keras.layers.Conv2D:
    """Make a 3 x 3 convolution that keeps height and width; its bias starts at `start`, None for no bias."""
    options = {"use_bias": start is not None, "bias_initializer": keras.initializers.Constant(start or 0.0)}
    layer = SingleLevelConv if outputs == 1 else keras.layers.Conv2D
    return layer(outputs, 3, padding="same", data_format="channels_last", kernel_initializer=spread, **options, **kwargs)
