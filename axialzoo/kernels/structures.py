"""The structures of ``source/axial.h`` for ctypes: the same fields in the same order; a test compares them."""

from __future__ import annotations

import ctypes

INTEGER, FLOATS = ctypes.c_int64, ctypes.c_void_p


def _fields(text: str) -> list[tuple[str, type]]:
    """Names separated by blanks; those that end in ``*`` are pointers to floats."""
    return [(name.rstrip("*"), FLOATS if name.endswith("*") else INTEGER) for name in text.split()]


class AxialForward(ctypes.Structure):
    """Arguments of ``axial_forward``."""

    _fields_ = _fields(
        "batch others length heads key_depth value_depth reach table_reach x* x_batch x_other x_position inputs weight* bias* "
        "query_table* key_table* value_table* content_scale* query_scale* key_scale* content_value position_scale* shift* "
        "out* out_position_term* out_batch out_other out_position out_head out_depth relu normaliser*"
    )


class AxialBackward(ctypes.Structure):
    """Arguments of ``axial_backward``."""

    _fields_ = [
        ("forward", AxialForward),
        *_fields("grad_content* grad_position* grad_x* grad_query_table* grad_key_table* grad_value_table* grad_scales*"),
    ]


class AxialLinear(ctypes.Structure):
    """Arguments of ``axial_linear``."""

    _fields_ = _fields("batch height width x_batch x_height x_width inputs outputs x* weight* bias* residual* y* relu")
