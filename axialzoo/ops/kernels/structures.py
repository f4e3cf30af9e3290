"""Structures of ``source/axial.h`` for ctypes, with the same fields in the same order; a test compares them."""

from __future__ import annotations

import ctypes

INTEGER, POINTER = ctypes.c_int64, ctypes.c_void_p


def _fields(text: str) -> list[tuple[str, type]]:
    """Parse field names separated by blanks; names that end in ``*`` are pointers."""
    return [(name.rstrip("*"), POINTER if name.endswith("*") else INTEGER) for name in text.split()]


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


class AxialWeightGradient(ctypes.Structure):
    """Arguments of ``axial_weight_gradient``."""

    _fields_ = _fields("batch height width x_batch x_height x_width inputs outputs x* grad_y* grad_weight*")


class AxialNorm(ctypes.Structure):
    """Arguments of ``axial_norm_moments``, ``axial_norm_forward`` and ``axial_norm_backward``."""

    _fields_ = _fields(
        "rows terms outputs heads x_bfloat y_bfloat relu x* mean* variance* scale* inverse* bias* residual* y* grad_y* grad_x* "
        "grad_residual* grad_weight* grad_bias*"
    )


class AxialMoments(ctypes.Structure):
    """Arguments of ``axial_moments_forward`` and ``axial_moments_backward``."""

    _fields_ = _fields(
        "batch others length heads key_depth table_reach x* x_batch x_other x_position query_table* key_table* content sums* grams* "
        "grad_sums* grad_x* grad_query_table* grad_key_table*"
    )


class AxialSlots(ctypes.Structure):
    """Arguments of ``axial_slots``."""

    _fields_ = _fields(
        "height width columns slots maps* row* row_after* column* column_after* row_share* column_share* offsets* best* second* scores* "
        "second_scores*"
    )


class AxialAxis(ctypes.Structure):
    """One axis of :class:`AxialAttention2D`."""

    _fields_ = _fields("reach window offset table_reach query_table* key_table* value_table*")


class AxialAttention2D(ctypes.Structure):
    """Attention over both axes in :class:`AxialStep`."""

    _fields_ = [
        *_fields(
            "heads key_depth value_depth key_height key_width content_value content_scale* query_scale* key_scale* value_scale* "
            "position_scale* shift*"
        ),
        ("lines", AxialAxis),
        ("columns", AxialAxis),
    ]


class AxialMap(ctypes.Structure):
    """A map of :class:`AxialStep`."""

    _fields_ = _fields("data* batch line position ring")


class AxialStep(ctypes.Structure):
    """One operation of :class:`AxialProgram`."""

    _fields_ = [
        *_fields("kind activation late batch height width outputs in_height in_width inputs side stride dilation padding"),
        *((name, AxialMap) for name in ("x", "residual", "factor", "y")),
        *_fields(
            "weight* bias* line_low* line_high* position_low* position_high* line_share* position_share* attention* attention2d* strips*"
        ),
        ("epsilon", ctypes.c_double),
        ("seconds", ctypes.c_double),
    ]


class AxialStrips(ctypes.Structure):
    """Operations of :class:`AxialProgram` that run strip by strip."""

    _fields_ = _fields("count batch strips floats steps* rows*")


class AxialProgram(ctypes.Structure):
    """Arguments of ``axial_program``."""

    _fields_ = _fields("count timed steps*")


class AxialStatistics(ctypes.Structure):
    """Arguments of ``statistics_forward`` and ``statistics_backward`` of ``frameworks/call.h``."""

    _fields_ = [
        ("moments", AxialMoments),
        *_fields("mean* variance* grad_mean* grad_variance* grad_from* pairs values"),
    ]
