"""Which loss goes with which head."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from axialzoo.spec import Head
from axialzoo.spec.heads.head import HeadRegistry

Loss = Callable[..., dict[str, Tensor]]
Totals = Callable[[Mapping[str, Tensor]], Tensor]
LOSSES: HeadRegistry[Loss] = HeadRegistry("PyTorch has no loss for it; decorate one with register_loss")
register_loss = LOSSES.register
TOTALS: HeadRegistry[Totals] = HeadRegistry("its loss divides by the number of pictures")
register_totals = TOTALS.register  # counts what a loss divides by: see `totals_of`


def loss_of(head: Head) -> Loss:
    """The loss of a head: ``loss(outputs, targets, head, **options)`` gives its parts by name, and their ``"total"``.

    `outputs` are what the model's forward gives, `targets` what the task's ``targets`` gives, as tensors with the batch first.
    """
    return LOSSES.of(head)


def normalizer_of(head: Head) -> Totals | None:
    """What counts, in the targets of a batch, that which the loss of a head divides by; None where that is the number of pictures.

    Processes that share a batch give the loss the mean of their counts as ``totals=``: then the mean of their gradients is that of the
    whole batch.
    """
    return TOTALS.get(type(head))
