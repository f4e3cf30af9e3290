"""Starts a kernel as its settings say."""

from __future__ import annotations

from typing import Any

import triton.language as tl
from triton.runtime.interpreter import InterpretedFunction

from axialzoo.ops.kernels.gpu.settings import Settings


def launch(kernel: Any, grid: tuple[int, int], made: Settings, dtype: str, exact: bool, *arguments: object, **flags: bool) -> None:
    """Runs a kernel of this package.

    Args:
        kernel: Of ``forward.py`` or ``backward.py``.
        grid: How many programs along each axis.
        made: How the shape is cut.
        dtype: What products take: ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        exact: Whether products of float32 are of float32, and not of TF32.
        arguments, flags: The kernel's own, in its order.
    """
    kind = getattr(tl, dtype)
    unit = tl.float32 if isinstance(kernel, InterpretedFunction) else kind
    kernel[grid](
        *arguments, **flags, HEADS=made.heads, B=made.tile, DK=made.key_width, DV=made.value_width, TYPE=kind, UNIT=unit,
        PRECISION="ieee" if exact else "tf32", num_warps=made.warps, num_stages=made.stages,
    )  # fmt: skip
