"""Errors of the spec, and the checks its dataclasses share."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


class SpecError(ValueError):
    """Error of a spec, a name or a config that does not describe a model."""


def require(condition: bool, message: str) -> None:
    """Raise a :class:`SpecError` unless `condition` holds."""
    if not condition:
        raise SpecError(message)


def require_count(owner: str, field: str, value: object, least: int = 1) -> None:
    """Refuse a value that is no whole number of at least `least`."""
    ok = isinstance(value, int) and not isinstance(value, bool) and value >= least
    require(ok, f"{owner}.{field}: expected a whole number of at least {least}, found {value!r}")


def require_number(owner: str, field: str, value: object, low: float, high: float) -> None:
    """Refuse a value that is no number between `low` and `high`."""
    ok = isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
    require(ok, f"{owner}.{field}: expected a number between {low} and {high}, found {value!r}")


def require_choice(owner: str, field: str, value: object, known: tuple) -> None:
    """Refuse a value that is not in `known`."""
    if value not in known:
        raise SpecError(f"{owner}.{field}: expected one of {list(known)}, found {value!r}{did_you_mean(value, known)}")


def did_you_mean(name: object, known) -> str:
    """Return ``"; did you mean 'x'?"`` where a known name is near, else ``""``."""
    near = difflib.get_close_matches(str(name), [str(word) for word in known], n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def check_indices(indices: Sequence[int] | None, endpoints: int) -> list[int]:
    """Return `indices` as a list of valid, increasing endpoints; negative ones count from the last.

    Raises:
        SpecError: for indices that are not increasing, or outside the endpoints.
    """
    valid = list(range(endpoints)) if indices is None else [index + endpoints if index < 0 else index for index in indices]
    if valid != sorted(set(valid)) or not valid or valid[0] < 0 or valid[-1] >= endpoints:
        raise SpecError(f"out_indices: expected increasing numbers from 0 to {endpoints - 1}, found {list(indices or [])}")
    return valid


def check_trainable(model: object, purpose: str) -> None:
    """Refuse, for `purpose`, a model that has been optimised for inference."""
    if getattr(model, "optimized", False):
        raise ValueError(
            f"{purpose}: expected a model with the tensors of its spec, found one optimised for inference; use what it was made of"
        )
