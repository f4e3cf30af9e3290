"""Registry of the loss of each head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from axialzoo.spec import Head
from axialzoo.spec.heads.head import HeadRegistry

Loss = Callable[..., dict[str, Any]]
LOSSES: HeadRegistry[Loss] = HeadRegistry("Keras has no loss for it; decorate one with register_loss")
register_loss = LOSSES.register


def loss_of(head: Head) -> Loss:
    """Return the loss of a head: ``loss(outputs, targets, head, **options)`` computes its parts by name, and their ``"total"``.

    `outputs` are those of the model, `targets` those of the task's ``targets``, as tensors with the batch first.
    """
    return LOSSES.of(head)
