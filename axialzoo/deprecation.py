"""Warnings about what will go: docs/policy.md says how long it stays."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class AxialzooDeprecationWarning(FutureWarning):
    """Warning about a name that a later version will not have. It is shown to users, as a `DeprecationWarning` would not be."""


def warn_deprecated(name: str, instead: str, removed_in: str, stacklevel: int = 3) -> None:
    """Warn about the use of a name that will go.

    Args:
        name: As the user wrote it.
        instead: What to write now.
        removed_in: First version without it.
        stacklevel: Of the line to blame, as `warnings.warn` counts; default the caller of the function that calls this one.
    """
    warnings.warn(f"{name} will be removed in {removed_in}; use {instead}", AxialzooDeprecationWarning, stacklevel)


def deprecated(instead: str, removed_in: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator of functions that will go: each call warns, and does what it did.

    Example:
        >>> @deprecated("new", removed_in="2.0")
        ... def old(x):
        ...     return x
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            warn_deprecated(f"{getattr(function, '__qualname__', function)}()", instead, removed_in)
            return function(*args, **kwargs)

        return call

    return decorate
