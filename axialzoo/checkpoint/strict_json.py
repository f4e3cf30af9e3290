"""Parses JSON from untrusted files."""

from __future__ import annotations

import json
import math

from axialzoo.checkpoint.checkpoint_error import CheckpointError

MAX_DEPTH = 32


def parse(data: str | bytes, where: str, most: int) -> object:
    """Parse the JSON value in `data` more strictly than JSON libraries do.

    Args:
        data: UTF-8.
        where: Name of the source, for the message.
        most: Largest number of bytes (characters).

    Raises:
        CheckpointError: for more than `most` bytes, bytes that are not UTF-8 or not JSON, repeated keys, NaN and
            numbers beyond float64, nesting deeper than 32, and halves of surrogate pairs.
    """
    if len(data) > most:
        raise CheckpointError(f"{where}: expected at most {most} bytes of JSON, found {len(data)}")
    try:
        value = json.loads(
            data if isinstance(data, str) else data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except RecursionError:
        raise CheckpointError(f"{where}: expected JSON nested at most {MAX_DEPTH} deep, found deeper") from None
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{where}: expected UTF-8, found byte {error.object[error.start]:#04x} at {error.start}") from None
    except ValueError as error:
        raise CheckpointError(f"{where}: not valid JSON: {error}") from None
    check_plain(value, where)
    return value


def check_plain(value: object, where: str) -> None:
    """Refuse values that JSON cannot hold: other types, NaN, keys that are not text, deep nesting."""
    level, depth = [value], 0
    while level:
        if depth > MAX_DEPTH:
            raise CheckpointError(f"{where}: expected values nested at most {MAX_DEPTH} deep, found deeper")
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                for key in item:
                    _check_text(key, where)
                below.extend(item.values())
            elif isinstance(item, (list, tuple)):
                below.extend(item)
            elif isinstance(item, str):
                _check_text(item, where)
            elif isinstance(item, float):
                if not math.isfinite(item):
                    raise CheckpointError(f"{where}: expected finite numbers, found {item}")
            elif item is not None and not isinstance(item, (bool, int)):
                raise CheckpointError(f"{where}: expected plain JSON values, found a {type(item).__name__}")
        level, depth = below, depth + 1


def _check_text(text: object, where: str) -> None:
    if not isinstance(text, str):
        raise CheckpointError(f"{where}: expected text as key, found {text!r}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise CheckpointError(f"{where}: expected text that UTF-8 can hold, found {text!r}") from None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    unique: dict[str, object] = {}
    for key, value in pairs:
        if key in unique:
            raise ValueError(f"the key {key!r} occurs twice")
        unique[key] = value
    return unique


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} does not fit into float64")
    return number
