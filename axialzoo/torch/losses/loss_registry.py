"""Registry of the loss of each head."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from axialzoo.spec import Head
from axialzoo.spec.heads.head import HeadRegistry

Loss = Callable[..., dict[str, Tensor]]
Normalizer = Callable[[Mapping[str, Tensor]], Tensor]
LOSSES: HeadRegistry[Loss] = HeadRegistry("PyTorch has no loss for it; decorate one with register_loss")
register_loss = LOSSES.register
NORMALIZERS: HeadRegistry[Normalizer] = HeadRegistry("its loss divides by the number of pictures")
register_normalizer = NORMALIZERS.register  # a function that counts what a loss divides by: see `normalizer_of`


def loss_of(head: Head) -> Loss:
    """Return the loss of a head: ``loss(outputs, targets, head, **options)`` computes its parts by name, and their ``"total"``.

    `outputs` are those of the model, `targets` those of the task's ``targets``, as tensors with the batch first.
    """
    return LOSSES.of(head)


def normalizer_of(head: Head) -> Normalizer | None:
    """Return the function that computes a loss's divisors from a batch's targets; None if the loss divides by the number of pictures.

    Processes that share a batch pass the mean of these divisors to the loss as ``normalizer=``. The mean of their gradients is then that
    of the whole batch.
    """
    return NORMALIZERS.get(type(head))
