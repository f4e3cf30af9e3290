"""Cross entropy of the class of an image."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

from axialzoo.spec.heads.classifier import Classifier
from axialzoo.spec.heads.loss_inputs import check_targets
from axialzoo.torch.losses.loss_registry import register_loss


@register_loss(Classifier)
def classification_loss(
    outputs: Tensor, targets: Mapping[str, Tensor], head: Classifier, label_smoothing: float = 0.0
) -> dict[str, Tensor]:
    """Compute the mean cross entropy over the batch, in float32 or better.

    Args:
        outputs: Logits, (N, classes).
        targets: ``labels``, (N,) int64.
        head: Its spec.
        label_smoothing: Share of the target spread evenly over all classes (arXiv:1512.00567, section 7).
    """
    check_targets(targets)
    logits = outputs.float() if outputs.dtype.itemsize < 4 else outputs
    return {"total": F.cross_entropy(logits, targets["labels"], label_smoothing=label_smoothing)}
