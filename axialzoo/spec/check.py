"""Errors of the spec, and the checks its dataclasses share."""

from __future__ import annotations

import difflib


class SpecError(ValueError):
    """A spec, a name or a config that does not describe a model."""


def require(condition: bool, message: str) -> None:
    if not condition:
        raise SpecError(message)


def require_count(owner: str, field: str, value: object, least: int = 1) -> None:
    ok = isinstance(value, int) and not isinstance(value, bool) and value >= least
    require(ok, f"{owner}.{field}: expected a whole number of at least {least}, found {value!r}")


def require_number(owner: str, field: str, value: object, low: float, high: float) -> None:
    ok = isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
    require(ok, f"{owner}.{field}: expected a number between {low} and {high}, found {value!r}")


def require_choice(owner: str, field: str, value: object, known: tuple) -> None:
    if value not in known:
        raise SpecError(f"{owner}.{field}: expected one of {list(known)}, found {value!r}{did_you_mean(value, known)}")


def did_you_mean(name: object, known) -> str:
    """``"; did you mean 'x'?"`` where a known name is near, else ``""``."""
    near = difflib.get_close_matches(str(name), [str(word) for word in known], n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
