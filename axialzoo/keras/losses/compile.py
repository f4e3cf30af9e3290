"""What ``model.compile()`` takes without being told, and what it refuses."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras

from axialzoo.spec import Head
from axialzoo.spec.heads.head import HeadRegistry

DEFAULTS: HeadRegistry[Callable[[Any], tuple[Any, list[Any]]]] = HeadRegistry("Keras has no loss and metrics of its own for it")
register_defaults = DEFAULTS.register  # the Keras loss and metrics that compile() takes, where Keras has them


def defaults_of(head: Head) -> tuple[Any, list[Any]]:
    """A loss that Keras knows and metrics; (None, []) where the head's own loss of :func:`loss_of` is the one."""
    return DEFAULTS[type(head)](head) if type(head) in DEFAULTS else (None, [])


def refuse_probabilities(loss: Any, model: str) -> None:
    """Refuses a loss that expects probabilities: our models give logits, and training on them would stand still.

    Args:
        loss: What ``compile`` takes: a name, a function, a loss, its class, or a list or dictionary of such.
        model: Its name, for the message.

    Raises:
        ValueError: with the right spelling.
    """
    for one in keras.tree.flatten(loss):
        if _expects_probabilities(one):
            name = one if isinstance(one, str) else getattr(one, "__name__", type(one).__name__)
            raise ValueError(
                f"compile: {model} gives logits, and the loss {name!r} expects probabilities: training would stand still; leave the loss "
                f"out (compile() takes the head's own), or say loss={_class_of(name)}(from_logits=True)"
            )


def _expects_probabilities(loss: Any) -> bool:
    """Whether `loss` can be told to expect logits and is not."""
    if isinstance(loss, str):
        try:
            loss = keras.losses.get(loss)
        except ValueError:  # Keras says which it knows
            return False
    if isinstance(loss, keras.losses.Loss):
        return loss.get_config().get("from_logits") is False
    try:
        options = inspect.signature(loss).parameters
    except (TypeError, ValueError):  # no function, or one without a signature
        return False
    return "from_logits" in options and options["from_logits"].default is False


def _class_of(name: str) -> str:
    flat = name.replace("_", "").lower()
    known = [one for one in dir(keras.losses) if one.lower() == flat and isinstance(getattr(keras.losses, one), type)]
    return f"keras.losses.{known[0]}" if known else name
