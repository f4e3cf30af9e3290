"""Cross entropy of the class of an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from axialzoo.keras.losses.compile import register_defaults
from axialzoo.keras.losses.loss_registry import register_loss
from axialzoo.ops.keras.tables import statistics_dtype
from axialzoo.spec.heads.classifier import Classifier
from axialzoo.spec.heads.loss_inputs import check_targets


@register_loss(Classifier)
def classification_loss(outputs: Any, targets: Mapping[str, Any], head: Classifier, label_smoothing: float = 0.0) -> dict[str, Any]:
    """Compute the mean cross entropy over the batch, in float32 or better.

    Args:
        outputs: Logits, (N, classes).
        targets: ``labels``, (N,) int64.
        head: Its spec.
        label_smoothing: Share of the target spread evenly over all classes (arXiv:1512.00567, section 7).
    """
    check_targets(targets)
    logits = ops.cast(outputs, statistics_dtype(outputs.dtype))
    shifted = logits - ops.max(logits, -1, keepdims=True)  # (N, classes)
    logs = shifted - ops.log(ops.sum(ops.exp(shifted), -1, keepdims=True))
    labels = ops.cast(ops.one_hot(ops.cast(targets["labels"], "int32"), head.num_classes), logs.dtype)  # (N, classes)
    share = labels * (1 - label_smoothing) + label_smoothing / head.num_classes
    losses = -ops.sum(share * logs, -1)  # (N,)
    return {"total": ops.sum(losses) / ops.cast(ops.shape(losses)[0], losses.dtype)}


@register_defaults(Classifier)
def classification_defaults(head: Classifier) -> tuple[Any, list[Any]]:
    """Return the Keras loss and metrics for integer labels, (N,) or (N, 1)."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return loss, [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
