"""The third room, in Keras: the layers and the loss."""

from __future__ import annotations

import keras
from keras import ops

from axialzoo.keras.heads import HeadModule, register_head
from axialzoo.keras.linear import Linear
from axialzoo.keras.losses import register_loss
from tests.contract.toy.spec import Toy


@register_head(Toy)
class ToyHead(HeadModule):
    def __init__(self, spec, backbone, dtype):
        super().__init__(spec, dtype)
        self.pool = keras.layers.GlobalAveragePooling2D(name="pool", dtype=dtype)
        self.out = Linear(spec.num_classes, name="out", dtype=self.output_dtype)
        with keras.name_scope("head"):  # where its variables are
            self.out.build((None, backbone.channels))

    def __call__(self, features, pre_logits=False):
        x = self.pool(features[-1])  # (N, C)
        return x if pre_logits else self.out(x)  # (N, classes)

    def get_classifier(self):
        return self.out


@register_loss(Toy)
def toy_loss(outputs, targets, head):
    """Mean squared error of the shares."""
    return {"total": ops.mean(ops.square(ops.sigmoid(ops.cast(outputs, "float32")) - targets["cover"]))}
