"""Class and mask of each slot, from pixels and from the slots' embeddings (MaX-DeepLab, arXiv:2012.00759, section 3.1)."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from axialzoo.keras.heads.decoder import PredictionHead
from axialzoo.keras.linear import Linear, NumpyNormal
from axialzoo.keras.norm import BatchNorm
from axialzoo.keras.scope import own_scope
from axialzoo.keras.tokens import Configured, TokenNorm
from axialzoo.spec import Norm

VOID = 0.9  # initial probability of "no class"


@keras.saving.register_keras_serializable(package="axialzoo")
class MaskPredictor(Configured):
    """Pixel features of length 1, their products with the slots' mask kernels, and the slots' classes.

    Args:
        inputs: Channels of the pixels.
        queries: Channels of the slots' embeddings.
        hidden: Channels before the last convolution of the pixels.
        outputs: Channels of pixel features and mask kernels.
        classes: Number of classes without void.
        norm, activation, kernel: Of the layers.

    Shapes:
        Pixels ``(N, H, W, inputs)``, embeddings of classes and of masks ``(N, slots, queries)`` each, to ``class_logits``
        ``(N, slots, classes + 1)``, ``mask_logits`` ``(N, H, W, slots)`` and ``pixel_feature`` ``(N, H, W, outputs)``.
    """

    def __init__(
        self, inputs: int, queries: int, hidden: int, outputs: int, classes: int, norm: Norm, activation: str, kernel: int,
        output_dtype: Any = None, **kwargs,
    ):  # fmt: skip
        arguments = {"inputs": inputs, "queries": queries, "hidden": hidden, "outputs": outputs, "classes": classes, "norm": norm}
        policy = keras.dtype_policies.get(output_dtype)
        super().__init__({**arguments, "activation": activation, "kernel": kernel, "output_dtype": policy and policy.name}, **kwargs)
        make = {"dtype": policy or self.dtype_policy}
        self.outputs, self.queries, self.num_classes = outputs, queries, classes
        self.pixel = PredictionHead(inputs, hidden, outputs, norm, activation, kernel, policy, name="pixel", dtype=self.dtype_policy)
        self.pixel_norm = BatchNorm(outputs, norm, name="pixel_norm", **make)
        self.mask = TokenNorm(queries, outputs, norm, name="mask", dtype=self.dtype_policy)
        self.mask_norm = BatchNorm(1, norm, name="mask_norm", **make)
        self.classes = Linear(classes + 1, kernel_initializer=NumpyNormal(0.01), name="classes", **make)
        self.void_bias = math.log(classes * VOID / (1 - VOID))

    def build(self, input_shape=None):
        self.build_layers()
        self.mask_norm.gamma.assign(ops.full((1,), 0.1))

    def build_layers(self) -> None:
        with own_scope(self):
            for layer in (self.pixel, self.pixel_norm, self.mask, self.mask_norm):
                layer.build()
            self.classes.build((None, None, self.queries))

    def call(self, x, class_embedding, mask_embedding, pre_logits: bool = False, training=None):
        feature = self.pixel_norm(self.pixel(x, training=training), training=training)  # (N, H, W, outputs)
        length = ops.relu(ops.sum(ops.square(feature), -1, keepdims=True) - 1e-12) + 1e-12  # `maximum` and `matmul` lose float64 on PyTorch
        feature = feature * ops.rsqrt(length)
        _, height, width, _ = ops.shape(x)
        kernel = ops.cast(self.mask(mask_embedding, training=training), feature.dtype)  # (N, slots, outputs)
        masks = ops.reshape(feature, (-1, height * width, self.outputs)) @ ops.swapaxes(kernel, 1, 2)  # (N, HW, slots)
        masks = self.mask_norm(masks[..., None], training=training)[..., 0]
        masks = ops.reshape(masks, (-1, height, width, kernel.shape[1]))  # (N, H, W, slots)
        classes = class_embedding if pre_logits else self.logits(class_embedding)  # (N, slots, classes + 1)
        return {"class_logits": classes, "mask_logits": masks, "pixel_feature": feature}

    def logits(self, embedding):
        """Compute the class logits; void has a bias of its own: (N, slots, queries) to (N, slots, classes + 1)."""
        logits = self.classes(embedding)
        bias = np.zeros(self.num_classes + 1)
        bias[-1] = self.void_bias
        return logits + ops.cast(ops.convert_to_tensor(bias, dtype=logits.dtype), logits.dtype)

    def compute_output_spec(self, x, class_embedding, mask_embedding, pre_logits=False, training=None):
        slots, dtype = class_embedding.shape[1], self.classes.compute_dtype
        classes = self.queries if pre_logits else self.num_classes + 1
        return {
            "class_logits": keras.KerasTensor((x.shape[0], slots, classes), dtype=dtype),
            "mask_logits": keras.KerasTensor((*x.shape[:3], slots), dtype=dtype),
            "pixel_feature": keras.KerasTensor((*x.shape[:3], self.outputs), dtype=dtype),
        }
