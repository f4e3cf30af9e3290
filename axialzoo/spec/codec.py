"""Specs as JSON: ``from_dict(type(spec), to_dict(spec)) == spec``. Unknown fields are refused."""

from __future__ import annotations

import dataclasses
import types
import typing

from axialzoo.spec.check import SpecError, did_you_mean
from axialzoo.spec.heads.head import Head, head_named


def to_dict(spec) -> dict:
    """Convert a spec to JSON: every field by name, dataclasses as objects (a head's with its kind), tuples as lists."""

    def plain(value) -> typing.Any:
        if dataclasses.is_dataclass(value):
            tag = {"kind": value.kind} if isinstance(value, Head) else {}
            return tag | {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        if isinstance(value, tuple):
            return [plain(item) for item in value]
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return value

    return plain(spec)


def from_dict(cls, data, path: str = ""):
    """Build the dataclass `cls` from the result of `to_dict`.

    Raises:
        SpecError: naming the path, for an unknown or missing field or a value of the wrong type.
    """
    path = path or cls.__name__
    if not isinstance(data, dict):
        raise SpecError(f"{path}: expected an object with the fields of {cls.__name__}, found {data!r}")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in data:
        if key not in fields:
            raise SpecError(
                f"{path}.{key}: unknown field{did_you_mean(key, fields)} (known: {', '.join(fields)}; a newer axialzoo may have written it)"
            )
    missing = [
        name
        for name, field in fields.items()
        if name not in data and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise SpecError(f"{path}: missing field {', '.join(missing)}")
    values = {key: _decode(hints[key], value, f"{path}.{key}") for key, value in data.items()}
    return cls(**values)


def _decode(hint, value, path: str):
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        (inner,) = [arm for arm in typing.get_args(hint) if arm is not type(None)]
        return None if value is None else _decode(inner, value, path)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise SpecError(f"{path}: expected a list, found {value!r}")
        arms = typing.get_args(hint)
        if arms[-1] is Ellipsis:
            return tuple(_decode(arms[0], item, f"{path}[{index}]") for index, item in enumerate(value))
        if len(value) != len(arms):
            raise SpecError(f"{path}: expected {len(arms)} values, found {len(value)}")
        return tuple(_decode(arm, item, f"{path}[{index}]") for index, (arm, item) in enumerate(zip(arms, value)))
    if hint is Head:
        if not isinstance(value, dict):
            raise SpecError(f"{path}: expected an object with a kind, or null, found {value!r}")
        rest = {key: field for key, field in value.items() if key != "kind"}
        return from_dict(head_named(value.get("kind"), path), rest, path)
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, path)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise SpecError(f"{path}: expected {hint.__name__}, found {value!r}")
    return value
