"""Default losses and metrics of ``model.compile()``, and the losses that it refuses."""

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
    """Return the Keras loss and metrics of a head, or (None, []) where :func:`loss_of` has its loss."""
    return DEFAULTS[type(head)](head) if type(head) in DEFAULTS else (None, [])


def refuse_probabilities(loss: Any, model: str) -> None:
    """Refuse a loss that expects probabilities: the models give logits, on which such a loss does not train.

    Args:
        loss: A loss as ``compile`` takes it: a name, a function, a loss, its class, or a list or dictionary of such.
        model: Name of the model, for the message.

    Raises:
        ValueError: with the right spelling.
    """
    for single_loss in keras.tree.flatten(loss):
        if _expects_probabilities(single_loss):
            name = single_loss if isinstance(single_loss, str) else getattr(single_loss, "__name__", type(single_loss).__name__)
            raise ValueError(
                f"compile: {model} gives logits, and the loss {name!r} expects probabilities: training would stand still; leave the loss "
                f"out (compile() takes the head's own), or say loss={_class_of(name)}(from_logits=True)"
            )


def refuse_one_hot(loss: Any, y: Any, y_pred: Any) -> None:
    """Refuse one-hot targets, (N, C), for a loss of class numbers: the back ends fail on them in words of their own.

    Raises:
        ValueError: with the right spelling.
    """
    if isinstance(loss, keras.losses.SparseCategoricalCrossentropy) and hasattr(y_pred, "shape"):
        shape = tuple(getattr(y, "shape", ()))
        if len(shape) == len(y_pred.shape) and shape[-1:] == tuple(y_pred.shape[-1:]) != (1,):
            raise ValueError(
                f"fit: the loss expects the number of each class, found targets of shape {shape}; pass y.argmax(-1), or compile with "
                "loss=keras.losses.CategoricalCrossentropy(from_logits=True)"
            )


def _expects_probabilities(loss: Any) -> bool:
    """Return True if `loss` has an option ``from_logits``, and it is False."""
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
    classes = [attribute for attribute in dir(keras.losses) if isinstance(getattr(keras.losses, attribute), type)]
    matches = [class_name for class_name in classes if class_name.lower() == flat]
    return f"keras.losses.{matches[0]}" if matches else name
