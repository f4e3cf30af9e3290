"""Launch of a kernel with its settings."""

from __future__ import annotations

from typing import Any

import triton.language as tl
from triton.runtime.interpreter import InterpretedFunction

from axialzoo.ops.kernels.gpu.settings import Settings


def launch(kernel: Any, grid: tuple[int, int], tiling: Settings, dtype: str, exact: bool, *arguments: object, **flags: bool) -> None:
    """Run a kernel of this package.

    Args:
        kernel: A kernel of ``forward.py`` or ``backward.py``.
        grid: Number of programs along each axis.
        tiling: Tile sizes for the shape.
        dtype: Type of the inputs of products: ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        exact: Whether products of float32 use float32 instead of TF32.
        arguments, flags: The kernel's own, in its order.
    """
    kind = getattr(tl, dtype)
    unit = tl.float32 if isinstance(kernel, InterpretedFunction) else kind
    kernel[grid](
        *arguments, **flags, HEADS=tiling.heads, B=tiling.tile, DK=tiling.key_width, DV=tiling.value_width, TYPE=kind, UNIT=unit,
        PRECISION="ieee" if exact else "tf32", num_warps=tiling.warps, num_stages=tiling.stages,
    )  # fmt: skip
