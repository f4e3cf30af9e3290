"""Attributes of the attention operators, flattened for PyTorch's schemas and for the attributes of XLA and TensorFlow."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from typing import Any

from axialzoo.spec import Attention
from axialzoo.spec.attention import POSITION_TABLES, SIMILARITY_TERMS

TABLES = tuple(name.replace("position", "table") for name in POSITION_TABLES)  # arguments of the operators, fields of the kernels
SCALES = tuple(f"{term}_scale" for term in SIMILARITY_TERMS)  # fields of the kernels


@dataclass(frozen=True)
class AttentionAttributes:
    """Attributes of attention along one axis: everything but its tensors.

    Attributes:
        axis: 0 attends along the height, 1 along the width.
        key_depth: Dk.
        span: Number of keys that a query attends to; 0 for all that the tables reach.
        content_similarity: Whether there is q.k.
        content_value: Whether v is retrieved.
        head_fastest: Whether channels lie as ``d * G + g`` instead of head by head, ``g * D + d``. In training this holds for q, k, v
            and the result, in the inference form for the result alone.
        interpolate: Whether tables are interpolated for an axis longer than they reach (inference form).
        relu: Whether a ReLU follows (inference form).
    """

    axis: int
    key_depth: int
    span: int = 0
    content_similarity: bool = True
    content_value: bool = True
    head_fastest: bool = True
    interpolate: bool = False
    relu: bool = False

    @classmethod
    def of(cls, spec: Attention, axis: int, **layout: bool) -> AttentionAttributes:
        """Return the attributes of a layer along `axis`; `layout` are the last three attributes by name."""
        return cls(axis, spec.key_depth, spec.span or 0, "content" in spec.similarity, "content" in spec.value, **layout)

    def flat(self) -> tuple[int | bool, ...]:
        """Return the values in the order of :data:`SCHEMA`, for an operator of ``torch.library``."""
        return astuple(self)

    @classmethod
    def from_flat(cls, values: tuple[Any, ...]) -> AttentionAttributes:
        """Return the attributes that :meth:`flat` flattened; an operator may leave out defaults at the end."""
        return cls(*values)

    def named(self) -> dict[str, int]:
        """Return the attributes of the operators of JAX and TensorFlow, by name; their C++ code fixes the other attributes."""
        return {name: int(getattr(self, name)) for name in NAMED}


NAMED = ("axis", "key_depth", "span", "content_similarity", "content_value")
TABLE_SCHEMA = ", ".join(f"Tensor? {name}" for name in TABLES)  # for torch.library
SCHEMA = ", ".join(  # for torch.library
    f"{field.type} {field.name}" + (f"={field.default}" if field.name not in NAMED else "") for field in fields(AttentionAttributes)
)
